// Bars, the best first: the median, between which bounds it lies, each round as a dot.
const BAR = 26, BARS_AT_FIRST = 24;

function patterns() {
	const pattern = (key, ...children) => sv('pattern', { id: `fill-${key}`, width: 8, height: 8, patternUnits: 'userSpaceOnUse' },
		sv('rect', { width: 8, height: 8, class: `fill-${key}` }), ...children);
	return sv('svg', { width: 0, height: 0, 'aria-hidden': 'true', class: 'patterns' }, sv('defs', {},
		pattern('readiness'),
		pattern('blocking', sv('path', { d: 'M-2 2L2 -2M0 8L8 0M6 10L10 6', class: 'hatch' })),
		pattern('completion', sv('circle', { cx: 2, cy: 2, r: 1.1, class: 'dot' }), sv('circle', { cx: 6, cy: 6, r: 1.1, class: 'dot' })),
		pattern('against', sv('path', { d: 'M0 4H8', class: 'hatch' }))));
}

function barRow(point, metric, row, scale, left, isTie) {
	const value = figure(point, metric.key);
	const [low, high] = ['low', 'high'].map((which) => figure(point, metric.key, which));
	const y = row * BAR, middle = y + BAR / 2;
	const rounds = (point.rounds || []).map((round) => round[metric.key]).filter(isNumber);
	const end = Math.max(scale(value), high === undefined ? 0 : scale(high));
	return sv('g', { class: 'bar' },
		sv('title', {}, `${point.model}: ${told(metric, value)}${low !== undefined && high !== undefined ?
			` (between ${written(metric, low)} and ${written(metric, high)})` : ''}`),
		sv('text', { x: left - 8, y: middle, class: isTie ? 'name best' : 'name' }, shortName(point.model, Math.floor((left - 8) / 6.6))),
		sv('rect', { x: left, y: y + 4, width: Math.max(1, scale(value) - left), height: BAR - 9, rx: 2,
			fill: `url(#fill-${family(point.model).key})`, class: 'bar-fill' }),
		low !== undefined && high !== undefined && high > low ? sv('path', { class: 'whisker',
			d: `M${scale(low)} ${middle - 4}V${middle + 3}M${scale(low)} ${middle - 0.5}H${scale(high)}M${scale(high)} ${middle - 4}V${middle + 3}` }) : null,
		rounds.length > 1 && rounds.length < 30 ? rounds.map((round) => sv('circle', { cx: scale(round), cy: middle - 0.5, r: 1.8, class: 'round' })) : null,
		sv('text', { x: end + 8, y: middle, class: isTie ? 'value best' : 'value' }, written(metric, value), isTie ? ' ◂' : ''));
}

function drawBars(body, width, metric, order, ties, hidden) {
	const longest = Math.max(...order.map((point) => Math.min(point.model.length, 26)), 4);
	const left = Math.min(longest * 6.7 + 10, width * 0.42), right = 84;
	const most = Math.max(...order.flatMap((point) => [figure(point, metric.key), figure(point, metric.key, 'high') || 0]));
	const least = Math.min(...order.map((point) => figure(point, metric.key)));
	// Where the range is wide a logarithm shows all; bars then begin at a power of ten, and the note says so.
	const scale = isWide(order, metric) ? d3.scaleLog().domain([10 ** Math.floor(Math.log10(least) - 0.05), most]) :
		d3.scaleLinear().domain([0, most || 1]);
	scale.range([left, Math.max(left + 20, width - right)]);
	const svg = svgOf(width, order.length * BAR + 2, `${metric.name}, ${plural(order.length, 'model')}, the best first. ` +
		order.slice(0, 3).map((point) => `${point.model} ${told(metric, figure(point, metric.key))}`).join(', ') + '. All numbers are in the table below.');
	svg.append(sv('path', { d: `M${left} 0V${order.length * BAR}`, class: 'base' }),
		...order.map((point, row) => barRow(point, metric, row, scale, left, ties.includes(point))));
	replace(body, svg, hidden);
}

function isWide(order, metric) {
	const values = order.map((point) => figure(point, metric.key));
	return Math.min(...values) > 0 && Math.max(...values) / Math.min(...values) > 60;
}

function familyKey(order) {
	const used = FAMILIES.filter((each) => order.some((point) => family(point.model) === each));
	return used.length < 2 ? null : el('span', { class: 'key' }, used.map((each) => el('span', { class: 'key-item' },
		sv('svg', { width: 18, height: 12, 'aria-hidden': 'true' }, sv('rect', { width: 18, height: 12, rx: 2, fill: `url(#fill-${each.key})`, class: 'bar-fill' })),
		each.name)));
}

function barChart(id, firstKey) {
	let key = metricsHere.some((metric) => metric.key === firstKey) ? firstKey : metricsHere[0].key;
	let all = false;
	const metric = () => metricOf.get(key);
	const order = () => ranked(here(), key);
	let update = null;
	const more = (count) => (count > 0 ? el('button', { type: 'button', class: 'more', onclick: () => {
		all = true;
		update();
	} }, `Show ${plural(count, 'more model')}`) : null);
	return chart({
		id, title: () => sentenceCase(metric().name),
		controls: (again) => {
			update = again;
			return [choice('Metric', metricsHere.map((each) => [each.key, each.name]), key, (value) => {
				key = value;
				again();
			}), familyKey(order())];
		},
		note: () => [metric().better > 0 ? 'More is better. ' : 'Less is better. ',
			best(here(), key).length > 1 ? 'Those marked ◂ cannot be told apart. ' : '',
			isWide(order(), metric()) ? 'The scale is logarithmic. ' : '', 'The line shows how sure the median is, dots are rounds.'],
		draw: (body, width) => {
			const list = order();
			if (!list.length)
				return replace(body, el('p', { class: 'empty' }, 'Nothing was measured here.'));
			const shown = all ? list : list.slice(0, BARS_AT_FIRST);
			return drawBars(body, width, metric(), shown, best(here(), key), more(list.length - shown.length));
		},
		table: () => plainTable(`${sentenceCase(metric().name)}${axes.length ? ` at ${place(state.at)}` : ''}`,
			['Model', 'Median', 'At least', 'At most'],
			order().map((point) => [point.model, ...['median', 'low', 'high'].map((which) => written(metric(), figure(point, key, which)))])),
	});
}

const sentenceCase = (text) => text.replace(/^./, (first) => first.toUpperCase());
