// What every chart has: a title, controls, the drawing, a note, and its numbers as a table, unless it is one.
function chart({ id, title, controls, note, draw, table, plot }) {
	const body = plot || el('div', { class: 'plot' });
	const heading = el('h3', {});
	const caption = el('p', { class: 'note' });
	const numbers = el('div', { class: 'numbers-body' });
	const details = el('details', { class: 'numbers' }, el('summary', {}, 'Numbers'), numbers);
	const controlBox = el('div', { class: 'controls' });
	const figureBox = el('figure', { id, class: 'chart' }, heading, controlBox, body, el('figcaption', {}, caption), table ? details : null);
	const words = (value) => (typeof value === 'function' ? value() : value);
	const again = drawToWidth(body, (width) => draw(body, width));

	function update() {
		replace(heading, words(title));
		replace(caption, words(note) || '');
		if (controls)
			replace(controlBox, controls(update));
		if (table)
			replace(numbers, table());
		again();
	}
	onChange(update);
	update();
	return figureBox;
}

// The models as buttons: which of them stand out. Also the legend.
function legend() {
	const box = el('div', { class: 'legend', role: 'group', 'aria-label': 'Models that stand out' });
	const draw = () => {
		const focused = box.contains(document.activeElement) ? document.activeElement.dataset.model : null;
		replace(box, models.map((model) => {
			const button = el('button', { type: 'button', class: 'chip', 'aria-pressed': String(state.chosen.has(model.name)), title: model.name,
				onclick: () => {
					choose(model.name, !state.chosen.has(model.name));
					changed();
				} }, sample(model.name), shortName(model.name));
			button.dataset.model = model.name;
			return button;
		}));
		if (focused !== null)
			[...box.children].filter((button) => button.dataset.model === focused).forEach((button) => button.focus());
	};
	onChange(draw);
	draw();
	return box;
}

const svgOf = (width, height, label) => sv('svg', { width: '100%', height, viewBox: `0 0 ${width} ${height}`, role: 'img',
	'aria-label': label, class: 'drawing' });

function axisGroup(axis, x, y, className) {
	const group = sv('g', { transform: `translate(${x} ${y})`, class: className });
	d3.select(group).call(axis.tickSizeOuter(0));
	group.setAttribute('aria-hidden', 'true');
	for (const name of ['font-family', 'font-size', 'fill'])
		group.removeAttribute(name);
	return group;
}

// Labels of one column, moved apart as far as they must be and no further.
function apart(labels, distance, top, bottom) {
	const order = [...labels].sort((a, b) => a.y - b.y);
	let last = -Infinity;
	for (const label of order)
		last = label.y = Math.max(label.y, last + distance, top);
	last = bottom + distance;
	for (const label of order.reverse())
		last = label.y = Math.min(label.y, last - distance);
	return labels;
}

const domainOf = (values) => [Math.min(...values), Math.max(...values)];

// A linear scale's ticks in round numbers of the unit that its largest value has.
function bytesTicks(scale, wanted) {
	const [low, high] = scale.domain();
	const unit = 1024 ** Math.max(0, Math.floor(Math.log(high) / Math.log(1024)));
	return d3.ticks(low / unit, high / unit, wanted).map((tick) => tick * unit);
}

// A logarithmic scale's ticks: each power of ten, and what lies between where there are few. Of bytes, powers of two.
function logTicks(scale, wanted, bytes = false) {
	const [low, high] = scale.domain();
	const within = (tick) => tick >= low * 0.999 && tick <= high * 1.001;
	if (bytes) {
		const every = Math.max(1, Math.ceil(Math.log2(high / low) / wanted));
		return d3.range(0, 41, every).map((power) => 2 ** power).filter(within);
	}
	const decades = Math.log10(high / low);
	const steps = decades < 1.2 ? [1, 2, 3, 5, 7] : decades < 2.6 ? [1, 2, 5] : decades < wanted * 0.8 ? [1, 3] : [1];
	return d3.range(Math.floor(Math.log10(low)), Math.ceil(Math.log10(high)) + 1)
		.flatMap((power) => steps.map((step) => step * 10 ** power)).filter(within);
}
