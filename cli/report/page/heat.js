// The heat map is a table whose cells have shades: two axes, or the models over one.
const BEST = '';

// Where a value lies between the worst (0) and the best (1), by its logarithm where that makes sense.
function shade(value, values, better) {
	const [low, high] = domainOf(values);
	if (!(high > low))
		return 0.5;
	const logs = low > 0;
	const part = logs ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
	return better > 0 ? part : 1 - part;
}

function cellOf(metric, point, values, isTop = false) {
	const value = figure(point, metric.key);
	if (value === undefined)
		return el('td', { class: 'heat none' }, point && !point.ok ? 'failed' : '–');
	const part = shade(value, values, metric.better);
	return el('td', { class: isTop ? 'heat best' : 'heat', style: { '--part': `${Math.round(part * 100)}%` }, title: `${point.model}: ${told(metric, value)}` },
		written(metric, value));
}

function winnerCell(metric, at, winners) {
	const ties = best(everybodyAt(at), metric.key);
	if (!ties.length)
		return el('td', { class: 'heat none' }, '–');
	if (ties.length > 2 && ties.length === ranked(everybodyAt(at), metric.key).length)
		return el('td', { class: 'heat none', title: 'no two can be told apart' }, el('span', { class: 'winner-name' }, 'all alike'),
			el('span', { class: 'winner-value' }, written(metric, figure(ties[0], metric.key))));
	const name = ties[0].model;
	const others = ties.length - 1;
	return el('td', { class: 'heat winner', style: { '--winner': `var(--s${winners.indexOf(name) % COLOURS})` },
		title: `${ties.map((point) => point.model).join(', ')}${others ? ' cannot be told apart' : ''}` },
	el('span', { class: 'winner-name' }, shortName(name, 18), others ? el('small', {}, ` +${others}`) : ''),
	el('span', { class: 'winner-value' }, written(metric, figure(ties[0], metric.key))));
}

function heatTable(caption, corner, columns, rows) {
	return el('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': caption },
		el('table', { class: 'heat-map' }, el('caption', { class: 'hidden' }, caption),
			el('thead', {}, el('tr', {}, el('th', { scope: 'col' }, corner), columns.map((text) => el('th', { scope: 'col' }, text)))),
			el('tbody', {}, rows.map(([name, cells]) => el('tr', {}, el('th', { scope: 'row' }, name), cells)))));
}

function heatOfTwo(metric, model) {
	const [across, down] = axes;
	const every = allPlaces();
	const values = every.map((at) => figure(pointAt(model, at), metric.key)).filter(isNumber);
	const winners = [...new Set(every.map((at) => (best(everybodyAt(at), metric.key)[0] || {}).model).filter((name) => name))];
	return heatTable(model === BEST ? `Best model by ${metric.name}` : `${metric.name} under ${model}`,
		`${axisName(down)} ↓ · ${axisName(across)} →`, across.values.map((value) => axisValue(across, value)),
		down.values.map((row) => [axisValue(down, row), across.values.map((column) => {
			const at = { [across.name]: column, [down.name]: row };
			return model === BEST ? winnerCell(metric, at, winners) : cellOf(metric, pointAt(model, at), values);
		})]));
}

function heatOfOne(metric) {
	const axis = axes[0];
	const columns = axis.values.map((value) => everybodyAt({ [axis.name]: value }));
	const values = columns.map((list) => list.map((point) => figure(point, metric.key)).filter(isNumber));
	const tops = columns.flatMap((list) => best(list, metric.key));
	const cells = (model) => axis.values.map((value) => pointAt(model.name, { [axis.name]: value }));
	const shades = (model) => cells(model).map((point, i) => [figure(point, metric.key), i]).filter(([value]) => value !== undefined)
		.map(([value, i]) => shade(value, values[i], metric.better));
	const mean = new Map(models.map((model) => [model, shades(model).length ? shades(model).reduce((sum, part) => sum + part, 0) / shades(model).length : -1]));
	const order = [...models].sort((a, b) => mean.get(b) - mean.get(a));
	return heatTable(`${metric.name} of each model over ${axisName(axis)}`, `model ↓ · ${axisName(axis)} →`,
		axis.values.map((value) => axisValue(axis, value)), order.map((model) => [shortName(model.name, 30),
			cells(model).map((point, i) => cellOf(metric, point, values[i], tops.includes(point)))]));
}

function heatMap() {
	let key = axes.some((axis) => axis.name === 'rate') && metricsHere.some((metric) => metric.key === 'p99_ns') ? 'p99_ns' : metricsHere[0].key;
	let model = BEST;
	const two = axes.length > 1;
	return chart({
		id: 'heat', title: () => (two && model === BEST ? `Which model is best by ${metricOf.get(key).name}` :
			`${sentenceCase(metricOf.get(key).name)}${two ? ` under ${model}` : ' of every model'}`),
		controls: (again) => [choice('Metric', metricsHere.map((each) => [each.key, each.name]), key, (value) => {
			key = value;
			again();
		}), two ? choice('Show', [[BEST, 'the best model'], ...models.map((each) => [each.name, each.name])], model, (value) => {
			model = value;
			again();
		}) : null],
		note: () => (two && model === BEST ? 'Each field names the best model and its figure; +1 means that one more cannot be told from it.' :
			two ? 'The darker a field, the better. Shades follow the logarithm.' :
				'The darker a field, the better its model is among all at that load; bold ones are the best there, or cannot be told from it.'),
		draw: (body) => replace(body, two ? heatOfTwo(metricOf.get(key), model) : heatOfOne(metricOf.get(key))),
	});
}
