// Curves of models over something: percentiles, offered load, connections. A pointer or the arrow keys move along.
const HEIGHT = 340;

// Series: { model, points: [{ x, y }] }, x ascending. Models that do not stand out are thin and grey.
function drawCurves(body, width, spec) {
	const series = spec.series();
	const chosen = series.filter((each) => state.chosen.has(each.model) && each.points.length);
	const all = series.flatMap((each) => each.points);
	if (!all.length)
		return replace(body, el('p', { class: 'empty' }, 'Nothing was measured here.'));
	const wide = width >= 560;
	const longest = Math.max(0, ...chosen.map((each) => Math.min(each.model.length, 24)));
	const margin = { top: 30, right: wide ? longest * 6.5 + 26 : 14, bottom: 46, left: 62 };
	const inner = { width: width - margin.left - margin.right, height: HEIGHT - margin.top - margin.bottom };
	const x = spec.xScale(all.map((point) => point.x)).range([0, inner.width]);
	const scale = spec.yScale(all.map((point) => point.y)).range([inner.height, 0]);
	// What a logarithm cannot show, nothing, lies on the lower edge.
	const y = Object.assign((value) => scale(Math.max(value, scale.domain()[0])), { domain: scale.domain, ticks: scale.ticks });
	const svg = svgOf(width, HEIGHT, spec.label(chosen));
	const area = sv('g', { transform: `translate(${margin.left} ${margin.top})` });
	const yTicks = spec.yTicks(y, 6, spec.isBytes && spec.isBytes()), xTicks = spec.xTicks(x);
	area.append(sv('g', { class: 'grid', 'aria-hidden': 'true' }, yTicks.map((tick) => sv('path', { d: `M0 ${y(tick)}H${inner.width}` }))),
		axisGroup(d3.axisBottom(x).tickValues(xTicks).tickFormat(spec.xFormat).tickPadding(7), 0, inner.height, 'axis'),
		axisGroup(d3.axisLeft(scale).tickValues(yTicks).tickFormat(spec.yFormat).tickSize(0).tickPadding(9), 0, 0, 'axis left'),
		sv('text', { class: 'axis-title', x: inner.width / 2, y: inner.height + 40, 'text-anchor': 'middle' }, spec.xTitle()),
		sv('text', { class: 'axis-title', x: -margin.left + 2, y: -20 }, spec.yTitle()));
	const line = d3.line().x((point) => x(point.x)).y((point) => y(point.y));
	for (const each of series.filter((one) => !state.chosen.has(one.model) && one.points.length > 1))
		area.append(sv('path', { d: line(each.points), class: 'series rest' }, sv('title', {}, each.model)));
	for (const each of chosen)
		area.append(...drawSeries(each, line, x, y, spec));
	if (wide)
		area.append(...endLabels(chosen, x, y, inner));
	svg.append(area);
	replace(body, svg);
	body.append(cursor(body, { area, x, y, inner, margin, chosen, spec, width }));
}

// Of values those that have room beside those before them.
function roomy(x, values, distance) {
	const taken = [];
	for (const value of values)
		if (!taken.length || Math.abs(x(value) - x(taken[taken.length - 1])) >= distance)
			taken.push(value);
	return taken;
}

function drawSeries(each, line, x, y, spec) {
	const style = { stroke: colour(each.model), 'stroke-dasharray': family(each.model).dash };
	const marks = spec.marks(each.points);
	return [sv('path', { d: line(each.points), class: 'series', style }, sv('title', {}, each.model)),
		...marks.map((point) => sv('path', { d: mark(each.model), transform: `translate(${x(point.x)} ${y(point.y)})`, class: 'mark',
			style: { fill: colour(each.model) } })),
		...each.points.filter((point) => point.knee).map((point) => sv('g', { class: 'knee', transform: `translate(${x(point.x)} ${y(point.y)})` },
			sv('title', {}, `${each.model}: the knee`), sv('circle', { r: 8.5, style: { stroke: colour(each.model) } })))];
}

function endLabels(chosen, x, y, inner) {
	const labels = chosen.map((each) => {
		const last = each.points[each.points.length - 1];
		return { model: each.model, y: y(last.y), at: y(last.y), x: x(last.x) };
	});
	return apart(labels, 15, 4, inner.height).map((label) => sv('g', { class: 'end-label' },
		sv('path', { d: `M${label.x + 5} ${label.at}L${inner.width + 14} ${label.y}`, style: { stroke: colour(label.model) } }),
		sv('text', { x: inner.width + 18, y: label.y, style: { fill: colour(label.model) } }, shortName(label.model, 24))));
}

// A slider over the steps of the x axis: what it is at is told as text, to the eye and to the ear.
function cursor(body, { x, y, inner, margin, chosen, spec, area, width }) {
	const steps = [...new Set(chosen.flatMap((each) => each.points.map((point) => point.x)))].sort((a, b) => a - b);
	const rule = sv('path', { class: 'rule', d: `M0 0V${inner.height}`, hidden: true });
	const dots = sv('g', {});
	const tip = el('div', { class: 'tip', hidden: true });
	const slider = el('div', { class: 'cursor', role: 'slider', tabindex: 0, 'aria-label': `${spec.name()}: values along ${spec.xTitle()}`,
		'aria-valuemin': 0, 'aria-valuemax': Math.max(0, steps.length - 1), 'aria-valuenow': 0,
		style: { left: `${margin.left}px`, top: `${margin.top}px`, width: `${inner.width}px`, height: `${inner.height}px` } });
	let at = -1;
	area.append(rule, dots);

	function rows() {
		return chosen.map((each) => ({ model: each.model, point: each.points.find((point) => point.x === steps[at]) }))
			.filter((row) => row.point).sort((a, b) => b.point.y - a.point.y);
	}
	function show(next) {
		at = Math.max(0, Math.min(steps.length - 1, next));
		const shown = rows();
		rule.removeAttribute('hidden');
		rule.setAttribute('transform', `translate(${x(steps[at])} 0)`);
		replace(dots, shown.map((row) => sv('circle', { cx: x(steps[at]), cy: y(row.point.y), r: 4, class: 'at', style: { fill: colour(row.model) } })));
		replace(tip, el('p', { class: 'tip-head' }, spec.xTell(steps[at])), el('dl', {}, shown.map((row) =>
			el('div', {}, el('dt', {}, sample(row.model), shortName(row.model)), el('dd', {}, spec.yTell(row.point.y), row.point.knee ? ' (knee)' : '')))));
		tip.hidden = false;
		const left = margin.left + x(steps[at]);
		tip.style.setProperty('left', left < width / 2 ? `${left + 14}px` : 'auto');
		tip.style.setProperty('right', left < width / 2 ? 'auto' : `${width - left + 14}px`);
		slider.setAttribute('aria-valuenow', at);
		slider.setAttribute('aria-valuetext', `${spec.xTell(steps[at])}: ` +
			shown.map((row) => `${row.model} ${spec.yTell(row.point.y)}`).join(', '));
	}
	function hide() {
		tip.hidden = true;
		rule.setAttribute('hidden', '');
		replace(dots);
	}
	const KEYS = { ArrowRight: () => at + 1, ArrowUp: () => at + 1, ArrowLeft: () => at - 1, ArrowDown: () => at - 1,
		Home: () => 0, End: () => steps.length - 1, PageUp: () => at + 10, PageDown: () => at - 10 };
	slider.addEventListener('keydown', (event) => {
		if (event.key === 'Escape')
			hide();
		if (!KEYS[event.key] || !steps.length)
			return;
		event.preventDefault();
		show(KEYS[event.key]());
	});
	slider.addEventListener('focus', () => slider.matches(':focus-visible') && steps.length && show(Math.max(at, 0)));
	slider.addEventListener('blur', hide);
	slider.addEventListener('pointermove', (event) => {
		const where = event.clientX - slider.getBoundingClientRect().left;
		let nearest = 0;
		steps.forEach((step, i) => {
			if (Math.abs(x(step) - where) < Math.abs(x(steps[nearest]) - where))
				nearest = i;
		});
		if (steps.length)
			show(nearest);
	});
	slider.addEventListener('pointerleave', hide);
	if (steps.length)
		slider.setAttribute('aria-valuetext', 'Arrow keys move along the curves');
	const both = document.createDocumentFragment();
	both.append(slider, tip);
	return both;
}

const logScale = (values) => {
	const [low, high] = domainOf(values.filter((value) => value > 0));
	return d3.scaleLog().domain(low < high ? [low * 0.93, high * 1.07] : [low / 2, high * 2]);
};

// The percentiles: as HdrHistogram's plots have it, each nine takes as much room as the one before.
const PERCENTILES = [0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999];
const percent = (q) => `${Number((q * 100).toPrecision(7))}\u00a0%`;
const hdr = (q) => 1 / (1 - q);

function latencySeries() {
	return here().filter((point) => point.ok && (point.latency || []).length).map((point) => ({ model: point.model,
		points: point.latency.filter(([q, ns]) => q < 1 && ns > 0).map(([q, ns]) => ({ x: hdr(q), q, y: ns })).sort((a, b) => a.x - b.x) }));
}

function percentileChart() {
	const spec = {
		name: () => 'Latency by percentile', series: latencySeries,
		xScale: (values) => d3.scaleLog().domain([1, Math.max(10, ...values)]),
		yScale: logScale, yTicks: logTicks,
		xTicks: (x) => roomy(x, PERCENTILES.map(hdr).filter((tick) => tick <= x.domain()[1] * 1.01).reverse(), 46).reverse(),
		xFormat: (value) => percent(1 - 1 / value), yFormat: format.ns, yTell: format.ns,
		xTell: (value) => `${percent(Number((1 - 1 / value).toPrecision(6)))} of replies within`,
		xTitle: () => 'share of replies', yTitle: () => 'reply within',
		marks: (list) => PERCENTILES.slice(1).map((q) => list.find((point) => point.q >= q - 1e-9)).filter((point) => point),
		label: (chosen) => `Latency by percentile, logarithmic axes, of ${chosen.map((each) => each.model).join(', ')}. ` +
			'The arrow keys read the values; a table follows.',
	};
	const columns = PERCENTILES.slice(1, 6);
	return chart({
		id: 'percentiles', title: 'Latency by percentile',
		note: 'Read upward from a share of replies: within what time they were there. The axis gives each further nine the same room, ' +
			'as HdrHistogram’s plots do; a flat curve is a predictable server.',
		draw: (body, width) => drawCurves(body, width, spec),
		table: () => plainTable('Latency by percentile', ['Model', ...columns.map(percent)], latencySeries().map((each) => [each.model,
			...columns.map((q) => {
				const found = each.points.find((point) => point.q >= q - 1e-9);
				return found ? format.ns(found.y) : '–';
			})])),
	});
}

// Where else a chart over one axis stands on the other.
const restOf = (axis) => Object.fromEntries(axes.filter((each) => each !== axis).map((each) => [each.name, state.at[each.name]]));

// The knee, as compare has it: the highest rate that is answered in full, with a p99 not far above that at the lowest. A lower
// one that did worse was disturbed.
const KEPT = 0.97, RISEN = 5;

function kneeOf(model, rest) {
	const axis = axes.find((each) => each.name === 'rate');
	const at = (value, key) => figure(pointAt(model, { ...rest, rate: value }), key);
	const most = at(axis.values[0], 'p99_ns') * RISEN;
	return [...axis.values].reverse().find((value) => at(value, 'p99_ns') <= most && at(value, 'messages_per_second') >= value * KEPT);
}

function sweepSeries(axis, key) {
	return models.map((model) => {
		const knee = axis.name === 'rate' && /^p\d|^max/.test(key) ? kneeOf(model.name, restOf(axis)) : undefined;
		return { model: model.name, points: axis.values.map((value, i) => ({ x: isNumber(value) ? value : i,
			y: figure(pointAt(model.name, { ...restOf(axis), [axis.name]: value }), key),
			knee: knee !== undefined && value === knee && value !== axis.values[axis.values.length - 1] })).filter((point) => point.y !== undefined) };
	});
}

const TITLES = {
	'rate p': 'Latency against offered load', 'connections memory_per_connection_bytes': 'Memory against connections',
	'connections messages_per_second': 'Throughput against connections',
};

function sweepTitle(axis, key) {
	const fixed = TITLES[`${axis.name} ${key}`] || (/^p\d/.test(key) && TITLES[`${axis.name} p`]);
	return fixed ? `${fixed}${/^p\d/.test(key) ? ` (${metricOf.get(key).short})` : ''}` : `${sentenceCase(metricOf.get(key).name)} against ${axisName(axis)}`;
}

function sweepChart(axis, wanted) {
	let key = metricsHere.some((metric) => metric.key === wanted) ? wanted : metricsHere[0].key;
	const metric = () => metricOf.get(key);
	const numeric = axis.values.every(isNumber);
	const tell = (value) => axisValue(axis, numeric ? value : axis.values[value]);
	const spread = numeric && Math.min(...axis.values) > 0 && Math.max(...axis.values) / Math.min(...axis.values) > 8;
	const isLog = () => {
		const values = sweepSeries(axis, key).flatMap((each) => each.points.map((point) => point.y));
		const some = values.filter((value) => value > 0);
		return values.every((value) => value >= 0) && some.length > 1 && Math.max(...some) / Math.min(...some) > 12;
	};
	const spec = {
		name: () => sweepTitle(axis, key), series: () => sweepSeries(axis, key),
		xScale: () => {
			const values = numeric ? axis.values : axis.values.map((_, i) => i);
			const [low, high] = domainOf(values);
			return low === high ? d3.scaleLinear().domain([low - 1, high + 1]) : (spread ? d3.scaleLog() : d3.scaleLinear()).domain([low, high]);
		},
		yScale: (values) => (isLog() ? logScale(values) : d3.scaleLinear().domain([0, Math.max(...values) * 1.06 || 1])),
		isBytes: () => metric().form === 'bytes',
		yTicks: (y, count, bytes) => (isLog() ? logTicks(y, count, bytes) : bytes ? bytesTicks(y, count) : y.ticks(count)),
		xTicks: (x) => {
			const values = numeric ? [...axis.values].sort((a, b) => b - a) : axis.values.map((_, i) => i).reverse();
			return roomy(x, values, 56).reverse();
		},
		xFormat: tell, yFormat: (value) => written(metric(), value), xTell: (value) => `${axisName(axis)} ${tell(value)}`,
		yTell: (value) => written(metric(), value), xTitle: () => axisTitle(axis), yTitle: () => metric().short,
		marks: (list) => list,
		label: (chosen) => `${sweepTitle(axis, key)} of ${chosen.map((each) => each.model).join(', ')}. The arrow keys read the values; a table follows.`,
	};
	const rest = () => place(restOf(axis));
	return chart({
		id: unique(`sweep-${axis.name}`), title: () => sweepTitle(axis, key),
		controls: (again) => choice('Metric', metricsHere.map((each) => [each.key, each.name]), key, (value) => {
			key = value;
			again();
		}),
		note: () => [axes.length > 1 ? `At ${rest()}. ` : '', isLog() ? 'The vertical axis is logarithmic. ' : '', axis.name === 'rate' && /^p\d|^max/.test(key) ?
			`A ring is the knee: the highest rate of those offered that was kept (${KEPT * 100}\u00a0%) while p99 was at most ${RISEN} times that at the lowest rate. ` : ''],
		draw: (body, width) => drawCurves(body, width, spec),
		table: () => plainTable(sweepTitle(axis, key), ['Model', ...axis.values.map((value) => axisValue(axis, value)),
			...(axis.name === 'rate' ? ['Knee'] : [])],
		models.map((model) => [model.name, ...axis.values.map((value) => written(metric(), figure(pointAt(model.name, { ...restOf(axis), [axis.name]: value }), key))),
			...(axis.name === 'rate' ? [kneeOf(model.name, restOf(axis)) === undefined ? '–' : axisValue(axis, kneeOf(model.name, restOf(axis)))] : [])])),
	});
}
