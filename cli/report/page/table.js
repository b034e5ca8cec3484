// All figures, a row for each model at each point. A column's head sorts by it, by mouse and by keyboard.
const table = { key: metricsHere.length ? metricsHere[0].key : 'model', down: true, all: false };

function sortedPoints() {
	const list = [...(table.all || !axes.length ? points : here())];
	const valueOf = (point) => (table.key === 'model' ? point.model : table.key.startsWith('at:') ? point.at[table.key.slice(3)] :
		figure(point, table.key));
	const sign = table.down ? -1 : 1;
	return list.sort((a, b) => {
		const [x, y] = [valueOf(a), valueOf(b)];
		if (x === undefined || y === undefined) // what was not counted stands last, whichever way
			return (x === undefined) - (y === undefined);
		return sign * (typeof x === 'string' || typeof y === 'string' ? String(x).localeCompare(String(y), 'en', { numeric: true }) : x - y);
	});
}

function columnsOfTable() {
	const swept = table.all || axes.length === 0 ? axes : [];
	return [{ key: 'model', text: 'model', name: 'model', first: true }, ...swept.map((axis) => ({ key: `at:${axis.name}`, text: axisName(axis), name: axisName(axis), axis })),
		...metricsHere.map((metric) => ({ key: metric.key, text: metric.short, name: metric.name, metric }))];
}

function headCell(column, again) {
	const active = column.key === table.key;
	const button = el('button', { type: 'button', title: `Sort by ${column.name}`, onclick: () => {
		table.down = active ? !table.down : column.metric ? column.metric.better > 0 : false;
		table.key = column.key;
		again(column.key);
	} }, column.text, el('span', { class: 'arrow', 'aria-hidden': 'true' }, active ? (table.down ? ' ▾' : ' ▴') : ''));
	button.dataset.key = column.key;
	return el('th', { scope: 'col', class: column.first ? 'first' : null, 'aria-sort': active ? (table.down ? 'descending' : 'ascending') : 'none' }, button);
}

function bodyCell(column, point, tops) {
	if (column.first)
		return el('th', { scope: 'row', class: 'first', title: point.model }, shortName(point.model, 30), point.ok ? '' : el('span', { class: 'bad' }, ' failed'),
			point.ok && (point.warnings || []).length ? el('a', { href: '#trouble', class: 'warn', title: point.warnings.join('; ') }, ' (!)') : '');
	if (column.axis)
		return el('td', {}, point.at && point.at[column.axis.name] !== undefined ? axisValue(column.axis, point.at[column.axis.name]) : '–');
	const top = (tops.get(`${column.key} ${keyOf(point.at)}`) || []).includes(point);
	return el('td', { class: top ? 'best' : null }, written(column.metric, figure(point, column.key)));
}

function bigTable() {
	const box = el('div', { class: 'scroll wide', tabindex: 0, role: 'region', 'aria-label': 'All figures' });
	const status = el('p', { class: 'hidden', role: 'status' });
	const draw = (focused) => {
		const columns = columnsOfTable();
		const rows = sortedPoints();
		const tops = new Map();
		for (const at of allPlaces())
			for (const metric of metricsHere)
				tops.set(`${metric.key} ${keyOf(at)}`, best(everybodyAt(at), metric.key));
		const left = box.scrollLeft;
		replace(box, el('table', { class: 'all' }, el('caption', { class: 'hidden' }, 'All figures: medians of the rounds'),
			el('thead', {}, el('tr', {}, columns.map((column) => headCell(column, draw)))),
			el('tbody', {}, rows.map((point) => el('tr', {}, columns.map((column) => bodyCell(column, point, tops)))))));
		box.scrollLeft = left;
		if (typeof focused === 'string') {
			[...box.querySelectorAll('th button')].filter((button) => button.dataset.key === focused).forEach((button) => button.focus());
			const column = columns.find((each) => each.key === focused);
			status.textContent = `Sorted by ${column.name}, ${table.down ? 'descending' : 'ascending'}`;
		}
	};
	onChange(() => draw());
	draw();
	const scope = axes.length ? segments('rows', [['here', 'this point of the sweep'], ['all', 'all points']], 'here', (value) => {
		table.all = value === 'all';
		draw();
	}) : null;
	return el('section', { id: 'table' }, el('h2', {}, 'All figures'),
		el('p', { class: 'note' }, 'Medians of the rounds; bold ones are the best of their load, or cannot be told from it. A head sorts by its column. ',
			'What this machine cannot count is not here.'), el('div', { class: 'controls' }, scope), status, box);
}
