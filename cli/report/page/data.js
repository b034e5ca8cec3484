// The comparison, and how its figures are written.
const data = JSON.parse(document.getElementById('data').textContent);
const axes = (data.axes || []).filter((axis) => axis.values.length > 0);
const models = data.models;
const points = data.points;
const machine = data.machine || {};
const load = data.load || {};
const byName = new Map(models.map((model, index) => [model.name, { ...model, index }]));

// Three digits; no power of ten where a person would write none.
function digits(value, count = 3) {
	if (value === 0)
		return '0';
	const size = Math.floor(Math.log10(Math.abs(value)));
	const text = value.toFixed(Math.max(0, Math.min(6, count - 1 - size)));
	return text.includes('.') ? text.replace(/\.?0+$/, '') : text;
}

// The unit as it is after rounding to three digits: 999.6 µs are 1 ms.
function scaled(value, units) {
	const size = Math.abs(value);
	let unit = units[0];
	for (const candidate of units)
		if (size >= candidate[0] * 0.9995)
			unit = candidate;
	return `${digits(value / unit[0])}${unit[1]}`;
}

// A number stays with its unit.
const SI = [[1, ''], [1e3, '\u00a0k'], [1e6, '\u00a0M'], [1e9, '\u00a0G']];
const TIME = [[1, '\u00a0ns'], [1e3, '\u00a0µs'], [1e6, '\u00a0ms'], [1e9, '\u00a0s']];
const BYTES = [[1, '\u00a0B'], [1024, '\u00a0KiB'], [1048576, '\u00a0MiB'], [1073741824, '\u00a0GiB']];
const percents = (value, count = 2) => `${digits(value, count)}\u00a0%`;

const format = {
	rate: (value) => scaled(value, SI),
	ns: (value) => scaled(value, TIME),
	bytes: (value) => scaled(value, BYTES),
	count: (value) => scaled(value, SI),
	share: (value) => percents(value * 100),
	ratio: (value) => digits(value),
};

// better: 1 when more is better, -1 when less is. least: so much is no difference, as compare has it.
const METRICS = [
	{ key: 'messages_per_second', name: 'throughput', short: 'messages/s', form: 'rate', better: 1, unit: ' messages/s' },
	{ key: 'cpu_ns_per_message', name: 'CPU per message', short: 'CPU/message', form: 'ns', better: -1 },
	{ key: 'p50_ns', name: 'median latency (p50)', short: 'p50', form: 'ns', better: -1 },
	{ key: 'p90_ns', name: 'p90 latency', short: 'p90', form: 'ns', better: -1 },
	{ key: 'p99_ns', name: 'p99 latency', short: 'p99', form: 'ns', better: -1 },
	{ key: 'p99_9_ns', name: 'p99.9 latency', short: 'p99.9', form: 'ns', better: -1 },
	{ key: 'p99_99_ns', name: 'p99.99 latency', short: 'p99.99', form: 'ns', better: -1 },
	{ key: 'max_ns', name: 'longest latency', short: 'max', form: 'ns', better: -1 },
	{ key: 'memory_per_connection_bytes', name: 'memory per connection', short: 'memory/conn.', form: 'bytes', better: -1, least: 256 },
	{ key: 'idle_cpu_share', name: 'CPU while idle', short: 'idle CPU', form: 'share', better: -1, least: 0.01 },
	{ key: 'instructions_per_message', name: 'instructions per message', short: 'instr./msg', form: 'count', better: -1 },
	{ key: 'context_switches_per_message', name: 'context switches per message', short: 'switches/msg', form: 'ratio', better: -1, least: 0.01 },
	{ key: 'system_calls_per_message', name: 'system calls per message', short: 'syscalls/msg', form: 'ratio', better: -1, least: 0.01 },
	{ key: 'loop_delay_p99_ns', name: 'loop delay (p99)', short: 'loop delay', form: 'ns', better: -1 },
	{ key: 'imbalance', name: 'imbalance of workers (maximum over mean)', short: 'imbalance', form: 'ratio', better: -1, least: 0.05 },
	{ key: 'imbalance_deviation', name: 'imbalance of workers (deviation)', short: 'imb. dev.', form: 'share', better: -1, least: 0.05 },
];
const metricOf = new Map(METRICS.map((metric) => [metric.key, metric]));

const isNumber = (value) => typeof value === 'number' && Number.isFinite(value);

function figure(point, key, which = 'median') {
	const value = point && point.ok && point[which] ? point[which][key] : undefined;
	return isNumber(value) ? value : undefined;
}

// Metrics that were counted somewhere, in the order above.
const metricsHere = METRICS.filter((metric) => points.some((point) => figure(point, metric.key) !== undefined));
const written = (metric, value) => (value === undefined ? '–' : format[metric.form](value));
const told = (metric, value) => (value === undefined ? 'not counted' : format[metric.form](value) + (metric.unit || ''));

const keyOf = (at) => JSON.stringify(axes.map((axis) => (at || {})[axis.name] ?? null));
const pointsAt = new Map();
for (const point of points) {
	const key = keyOf(point.at);
	if (!pointsAt.has(key))
		pointsAt.set(key, new Map());
	pointsAt.get(key).set(point.model, point);
}
const pointAt = (model, at) => (pointsAt.get(keyOf(at)) || new Map()).get(model);
const here = () => models.map((model) => pointAt(model.name, state.at)).filter((point) => point);

// The first value of each axis differs least from what people know; the middle one shows most.
for (const axis of axes)
	state.at[axis.name] = axis.values[Math.floor(axis.values.length / 2)];

const UNIT_FORMS = { ns: 'ns', bytes: 'bytes', byte: 'bytes', B: 'bytes' };

function axisValue(axis, value) {
	if (!isNumber(value))
		return String(value);
	if (axis.unit === 'us' || axis.unit === 'µs')
		return format.ns(value * 1e3);
	if (axis.unit === 'ms')
		return format.ns(value * 1e6);
	if (UNIT_FORMS[axis.unit])
		return format[UNIT_FORMS[axis.unit]](value);
	return axis.name === 'rate' ? `${format.rate(value)}/s` : value.toLocaleString('en');
}

const AXIS_NAMES = {
	connections: ['connections', 'connections'], rate: ['offered rate', 'offered messages/s'],
	size: ['message size', 'message size'], compute: ['computing', 'computing of the handler, each message'],
	block: ['blocking', 'blocking of the handler, each message'], workers: ['workers', 'workers'],
};
const AXIS_PHRASES = {
	connections: 'number of connections', compute: 'amount of computing', block: 'time of blocking', workers: 'number of workers',
};
const axisPhrase = (axis) => AXIS_PHRASES[axis.name] || axisName(axis);
const axisName = (axis) => (AXIS_NAMES[axis.name] || [axis.name])[0];
const axisTitle = (axis) => (AXIS_NAMES[axis.name] || [axis.name, axis.name])[1];

const AXIS_COUNTED = { connections: 'connection', workers: 'worker' };

function place(at) {
	return axes.filter((axis) => at && at[axis.name] !== undefined).map((axis) =>
		AXIS_COUNTED[axis.name] ? plural(at[axis.name], AXIS_COUNTED[axis.name]) : `${axisName(axis)} ${axisValue(axis, at[axis.name])}`).join(', ');
}

// Two figures are told apart as compare does it: beyond what an A/A control differs by, and their bounds do not overlap.
const noise = data.noise || {};

function noiseOf(key) {
	const value = noise[key];
	if (!isNumber(value))
		return undefined;
	return value >= 1 ? value : 1 + value;
}

function differ(a, b, key) {
	const [x, y] = [figure(a, key), figure(b, key)];
	if (x === undefined || y === undefined || Math.abs(x - y) <= (metricOf.get(key).least || 0))
		return false;
	if (Math.max(x, y) <= Math.min(x, y) * (noiseOf(key) || 1))
		return false;
	const [lowA, highA, lowB, highB] = [figure(a, key, 'low'), figure(a, key, 'high'), figure(b, key, 'low'), figure(b, key, 'high')];
	return !(lowA <= highB && lowB <= highA);
}

// Points by a metric, the best first.
function ranked(list, key) {
	const sign = metricOf.get(key).better;
	return list.filter((point) => figure(point, key) !== undefined)
		.sort((a, b) => sign * (figure(b, key) - figure(a, key)));
}

// What cannot be told from the best, it included.
function best(list, key) {
	const order = ranked(list, key);
	return order.filter((point) => point === order[0] || !differ(order[0], point, key));
}

// How a model is drawn: colour by its place, dashes and pattern by what moves its bytes, a mark of its own.
const FAMILIES = [
	{ key: 'blocking', name: 'blocking', dash: '2 4' },
	{ key: 'readiness', name: 'reactor', dash: '' },
	{ key: 'completion', name: 'proactor', dash: '9 4' },
	{ key: 'against', name: 'another server', dash: '10 3 2 3' },
];

function family(name) {
	const model = byName.get(name) || {};
	const engine = String((model.axes || {}).engine || (/engine=([a-z_]+)/.exec(model.spec || '') || [])[1] || '');
	const key = model.kind === 'against' ? 'against' : engine === 'io_uring' ? 'completion' :
		engine === 'blocking' ? 'blocking' : 'readiness';
	return FAMILIES.find((each) => each.key === key);
}

// Of the models that stand out each has a place, and by it a colour and a mark, as long as it does.
const COLOURS = 8;
const SYMBOLS = [d3.symbolCircle, d3.symbolSquare, d3.symbolTriangle, d3.symbolDiamond, d3.symbolCross, d3.symbolStar, d3.symbolWye];
const places = new Map();
const colour = (name) => (places.has(name) ? `var(--s${places.get(name) % COLOURS})` : 'var(--faint-ink)');
const mark = (name, size = 46) => d3.symbol().type(SYMBOLS[(places.get(name) || 0) % SYMBOLS.length]).size(size)();

function choose(name, wanted) {
	if (!wanted) {
		state.chosen.delete(name);
		places.delete(name);
		return;
	}
	const taken = new Set(places.values());
	let free = 0;
	while (taken.has(free))
		free++;
	state.chosen.add(name);
	places.set(name, free);
}

function sample(name) {
	return sv('svg', { width: 34, height: 12, viewBox: '0 0 34 12', 'aria-hidden': 'true', class: 'sample' },
		sv('path', { d: 'M1 6H33', class: 'series', style: { stroke: colour(name), 'stroke-dasharray': family(name).dash } }),
		sv('path', { d: mark(name), transform: 'translate(17 6)', class: 'mark', style: { fill: colour(name) } }));
}

const shortName = (name, most = 26) => (name.length > most ? `${name.slice(0, most - 1)}…` : name);

// The models that stand out at first: the best by each of a few metrics, and the slowest, for scale.
function chooseAtFirst(most = 5) {
	const list = here();
	const order = ranked(list, 'messages_per_second');
	const wanted = [order[0], ranked(list, 'p99_ns')[0], ranked(list, 'cpu_ns_per_message')[0],
		list.find((point) => (byName.get(point.model) || {}).kind === 'against'), order[order.length - 1], ...order];
	for (const point of wanted)
		if (point && state.chosen.size < most && !state.chosen.has(point.model))
			choose(point.model, true);
	for (const model of models)
		if (state.chosen.size < Math.min(most, 2) && !state.chosen.has(model.name))
			choose(model.name, true);
}
