// The fact sheet of each model, then what went wrong, what changed, and how to measure all of it again.
const SHEETS_AT_FIRST = 24;
const SHEET_FIGURES = ['messages_per_second', 'cpu_ns_per_message', 'p99_ns', 'memory_per_connection_bytes'];

const quoted = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replace(/'/g, "'\\''")}'`);
const commandText = (command) => (Array.isArray(command) ? command.map(quoted).join(' ') : command);
const command = (words) => el('pre', { class: 'command', tabindex: 0 }, el('code', {}, commandText(words)));

function sheetFigures(model) {
	const box = el('dl', { class: 'sheet-figures' });
	const draw = () => {
		const point = pointAt(model.name, state.at);
		replace(box, SHEET_FIGURES.map((key) => metricOf.get(key)).filter((metric) => figure(point, metric.key) !== undefined)
			.map((metric) => el('div', {}, el('dt', {}, metric.short), el('dd', {}, written(metric, figure(point, metric.key))))));
	};
	onChange(draw);
	draw();
	return box;
}

function sheet(model) {
	const own = Object.entries(model.axes || {});
	return el('article', { class: 'sheet' },
		el('h3', {}, shortName(model.name, 60)),
		model.sentence ? el('p', { class: 'sentence' }, model.sentence) : null,
		own.length ? drawing(model) : null,
		own.length ? el('ul', { class: 'axes', 'aria-label': 'Axes' }, own.map(([name, value]) => el('li', {}, el('span', {}, `${name} `), String(value)))) :
			model.kind === 'against' ? el('p', { class: 'note' }, 'Another server, run beside for comparison.') : null,
		sheetFigures(model),
		model.when || model.when_not ? el('dl', { class: 'advice' },
			model.when ? el('div', {}, el('dt', {}, 'When'), el('dd', {}, model.when)) : null,
			model.when_not ? el('div', {}, el('dt', {}, 'When not'), el('dd', {}, model.when_not)) : null) : null,
		model.command ? command(model.command) : null);
}

function sheets() {
	const rest = models.slice(SHEETS_AT_FIRST);
	return el('section', { id: 'models' }, el('h2', {}, 'The models'),
		el('p', { class: 'note' }, 'Hard edges are processes, round ones threads. An arrow serves one connection at a time, a loop waits for whichever is ready, ',
			'a double ring for what is complete. ƒ is where the handler runs.'),
		el('div', { class: 'sheets' }, models.slice(0, SHEETS_AT_FIRST).map(sheet)),
		rest.length ? el('details', { class: 'on-paper' }, el('summary', {}, plural(rest.length, 'more model')), el('div', { class: 'sheets' }, rest.map(sheet))) : null);
}

function trouble() {
	const failed = points.filter((point) => !point.ok);
	const warned = points.filter((point) => (point.warnings || []).length);
	if (!failed.length && !warned.length)
		return null;
	const where = (point) => [el('strong', {}, shortName(point.model, 40)), axes.length ? ` at ${place(point.at)}` : '', ': '];
	// The same warning of many points is one line, whatever its numbers are.
	const byText = new Map();
	for (const point of warned)
		for (const text of new Set(point.warnings)) {
			const kind = text.replace(/\d+/g, '#');
			const known = byText.get(kind) || { text, list: new Set() };
			known.list.add(point);
			byText.set(kind, known);
		}
	return el('section', { id: 'trouble' }, el('h2', {}, 'Errors and warnings'),
		failed.length ? el('ul', { class: 'trouble bad-list' }, failed.map((point) => el('li', {}, where(point), point.error || 'failed without a word'))) : null,
		byText.size ? el('ul', { class: 'trouble' }, [...byText.values()].map(({ text, list }) => el('li', {}, where([...list][0]), text,
			list.size > 1 ? el('span', { class: 'faint' }, `; ${plural(list.size - 1, 'more', 'more')} like it, of `,
				and([...new Set([...list].map((point) => shortName(point.model)))], 6)) : ''))) : null);
}

function changes() {
	const list = (data.baseline && data.baseline.changes) || [];
	if (!data.baseline)
		return null;
	const shown = list.filter((change) => change.beyond_noise);
	const row = (change) => {
		const metric = metricOf.get(change.metric) || { name: change.metric, form: 'ratio', better: 0 };
		const better = metric.better * (change.now - change.before);
		return [change.model, axes.length ? place(change.at) : null, metric.name, written(metric, change.before), written(metric, change.now),
			change.before ? `${change.now >= change.before ? '+' : '−'}${percents(Math.abs(change.now / change.before - 1) * 100)}` : '–',
			better > 0 ? '▲ better' : better < 0 ? '▼ worse' : ''].filter((cell) => cell !== null);
	};
	const columns = ['Model', axes.length ? 'At' : null, 'Metric', 'Before', 'Now', 'Change', ''].filter((text) => text !== null);
	return el('section', { id: 'changes' }, el('h2', {}, 'What changed'),
		el('p', { class: 'note' }, `Since ${dateOf(data.baseline.when)}, beyond the noise. ${plural(list.length - shown.length, 'other figure')} did not change beyond it.`),
		shown.length ? plainTable('Changes beyond the noise', columns, shown.map(row)) : el('p', {}, 'Nothing did.'));
}

function facts(title, pairs) {
	const shown = pairs.filter(([, value]) => value !== null && value !== undefined && value !== '');
	return el('div', {}, el('h3', {}, title), el('dl', { class: 'facts' }, shown.map(([name, value]) => el('div', {}, el('dt', {}, name), el('dd', {}, value)))));
}

function method() {
	const noisy = metricsHere.filter((metric) => noiseOf(metric.key) !== undefined);
	return el('section', { id: 'method' }, el('h2', {}, 'How it was measured'),
		el('div', { class: 'columns' },
			facts('Machine', [['Host', machine.host], ['CPU', machine.cpu], ['CPUs', isNumber(machine.cpus) ? String(machine.cpus) : null],
				['CPUs allotted', isNumber(machine.cpus_allotted) ? String(machine.cpus_allotted) : null],
				['Quota', isNumber(machine.quota) ? `${digits(machine.quota)} CPUs` : machine.quota || 'none'],
				['Memory', isNumber(machine.memory_bytes) ? format.bytes(machine.memory_bytes) : null], ['Kernel', machine.kernel],
				['gearbox', machine.gearbox], ['Commit', machine.commit], ['Compiler', machine.compiler], ['OpenSSL', machine.openssl]].map(([name, value]) => [name, value === null || value === undefined ? null : String(value)])),
			facts('Load', [['Protocol', load.protocol], ['Connections', isNumber(load.connections) ? load.connections.toLocaleString('en') : null],
				['Under way on each', isNumber(load.depth) ? String(load.depth) : null], ['Message', isNumber(load.size) ? format.bytes(load.size) : null],
				['Rate', isNumber(load.rate) ? `${format.rate(load.rate)}/s, ${load.arrivals || 'constant'} arrivals` :
					axes.some((axis) => axis.name === 'rate') ? `swept, ${load.arrivals || 'constant'} arrivals` : 'as fast as replies come'],
				['Each round', isNumber(load.duration_ms) ? format.ns(load.duration_ms * 1e6) : null], ['Rounds', isNumber(load.rounds) ? String(load.rounds) : null],
				['Measured', data.when ? dateOf(data.when) : null]]),
			noisy.length ? facts('Noise: differences that mean nothing', noisy.map((metric) => [metric.name, `up to ${percents((noiseOf(metric.key) - 1) * 100)}`])) : null),
		el('h3', {}, 'To repeat it'),
		(data.command || []).length ? command(data.command) : el('p', {}, 'The command is not in the file.'));
}
