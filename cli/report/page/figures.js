// The head of the page: what was measured, when and where, and four figures that people ask for first.
const dateOf = (text) => {
	const date = new Date(text);
	return Number.isNaN(date.getTime()) ? text :
		date.toLocaleString('en-GB', { dateStyle: 'long', timeStyle: 'short', timeZone: 'UTC' }) + ' UTC';
};

const plural = (count, one, many = `${one}s`) => `${count.toLocaleString('en')} ${count === 1 ? one : many}`;
const SMALL_NUMBERS = ['no', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten'];
const inWords = (count) => SMALL_NUMBERS[count] || count.toLocaleString('en');

function and(items, most = 4) {
	const list = items.length > most ? [...items.slice(0, most - 1), `${inWords(items.length - most + 1)} others`] : items;
	return list.flatMap((item, i) => [i === 0 ? '' : i === list.length - 1 ? ' and ' : ', ', item]);
}

function overTls() {
	const told = points.map((point) => point.tls).find((tls) => tls && tls.version);
	return told ? `over ${told.version} (${told.cipher})` : 'over TLS';
}

function loadText() {
	const parts = [];
	const swept = new Set(axes.map((axis) => axis.name));
	if (isNumber(load.connections) && !swept.has('connections'))
		parts.push(plural(load.connections, 'connection'));
	if (load.tls)
		parts.push(overTls());
	if (isNumber(load.depth) && load.depth !== 1)
		parts.push(`${load.depth} messages under way on each`);
	if (isNumber(load.size) && !swept.has('size'))
		parts.push(`messages of ${format.bytes(load.size)}`);
	if (isNumber(load.rate))
		parts.push(`${format.rate(load.rate)} messages/s offered`);
	else if (!swept.has('rate'))
		parts.push('each client sends its next message when the reply is there');
	if (load.arrivals && (swept.has('rate') || isNumber(load.rate)))
		parts.push(`${load.arrivals} arrivals`);
	if (isNumber(load.rounds))
		parts.push(`${plural(load.rounds, 'round')}${isNumber(load.duration_ms) ? ` of ${format.ns(load.duration_ms * 1e6)}` : ''}`);
	return sentenceCase(parts.join(' · '));
}

function machineText() {
	return [machine.cpu, isNumber(machine.cpus_allotted) ? plural(machine.cpus_allotted, 'CPU') :
		isNumber(machine.cpus) ? plural(machine.cpus, 'CPU') : null,
		isNumber(machine.memory_bytes) ? format.bytes(machine.memory_bytes) : null,
		machine.kernel ? `Linux ${String(machine.kernel).replace(/^Linux /, '')}` : null].filter((part) => part).join(' · ');
}

function head() {
	const swept = axes.map(axisName).join(' and ');
	const others = models.filter((model) => model.kind === 'against');
	return el('header', { class: 'top' },
		el('p', { class: 'kicker' }, 'gearbox compare'),
		el('h1', {}, el('span', { class: 'service' }, data.service || 'a service'),
			` under ${plural(models.length - others.length, 'server model')}`, others.length ? [' and beside ', and(others.map((model) => shortName(model.name)), 3)] : ''),
		el('p', { class: 'sub' }, swept ? `Swept over ${swept}. ` : '', loadText()),
		el('p', { class: 'sub faint' }, [machineText(), data.when ? dateOf(data.when) : null].filter((x) => x).join(' · ')));
}

const TILES = [
	['messages_per_second', 'Most messages'], ['cpu_ns_per_message', 'Least CPU per message'],
	['p99_ns', 'Shortest tail (p99)'], ['memory_per_connection_bytes', 'Least memory per connection'],
];

function tile(key, label) {
	const metric = metricOf.get(key);
	const list = here();
	const ties = best(list, key);
	if (!ties.length)
		return null;
	const worst = ranked(list, key).pop();
	const others = ties.slice(1).map((point) => shortName(point.model, 22));
	return el('div', { class: 'tile' }, el('p', { class: 'tile-label' }, label),
		el('p', { class: 'tile-figure' }, written(metric, figure(ties[0], key)), key === 'messages_per_second' ? el('small', {}, '/s') : ''),
		el('p', { class: 'tile-model' }, shortName(ties[0].model, 30)),
		el('p', { class: 'tile-note' }, others.length ? ['not told apart from ', and(others, 3)] :
			ties[0] === worst ? '' : `${written(metric, figure(worst, key))} under ${shortName(worst.model)}`));
}

function tiles() {
	const box = el('section', { class: 'tiles', 'aria-label': 'Best figures' });
	const draw = () => replace(box, TILES.map(([key, label]) => tile(key, label)));
	onChange(draw);
	draw();
	return box;
}

// One control for each axis that was swept; all that shows one point of the sweep follows it.
function placePicker() {
	if (!axes.length)
		return null;
	const box = el('div', { class: 'place' });
	const draw = () => replace(box, axes.map((axis) =>
		segments(axisName(axis), axis.values.map((value, i) => [String(i), axisValue(axis, value)]),
			String(axis.values.indexOf(state.at[axis.name])), (i) => {
				state.at[axis.name] = axis.values[Number(i)];
				changed();
			})));
	draw();
	return box;
}
