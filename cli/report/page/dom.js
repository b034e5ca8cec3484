// Elements. Texts become text nodes only: nothing here reads markup.
const SVG = 'http://www.w3.org/2000/svg';

function fill(element, attributes, children) {
	for (const [name, value] of Object.entries(attributes || {})) {
		if (value === undefined || value === null || value === false)
			continue;
		if (name.startsWith('on'))
			element.addEventListener(name.slice(2), value);
		else if (name === 'style')
			for (const [property, text] of Object.entries(value))
				element.style.setProperty(property, text);
		else
			element.setAttribute(name, value === true ? '' : value);
	}
	element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
	return element;
}

const el = (name, attributes, ...children) => fill(document.createElement(name), attributes, children);
const sv = (name, attributes, ...children) => fill(document.createElementNS(SVG, name), attributes, children);

function replace(parent, ...children) {
	parent.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
}

let serial = 0;
const unique = (prefix) => `${prefix}-${++serial}`;

// Called again whenever the width that an element has changes.
const drawn = new Set();
let watcher = null;

function drawToWidth(element, draw) {
	const entry = { element, draw, width: 0 };
	drawn.add(entry);
	watcher = watcher || new ResizeObserver(() => redraw(false));
	watcher.observe(element);
	return () => {
		entry.width = 0;
		redrawOne(entry, true);
	};
}

function redrawOne(entry, force) {
	const width = Math.floor(entry.element.clientWidth);
	if (!width || (width === entry.width && !force))
		return;
	entry.width = width;
	entry.draw(width);
}

function redraw(force) {
	for (const entry of drawn)
		redrawOne(entry, force);
}

// Widths on a page of A4: what is laid out before printing is the screen still.
const PAPER = { whole: 660, half: 316 };

function drawForPaper() {
	for (const entry of drawn)
		entry.draw(entry.element.closest('.pair') ? PAPER.half : PAPER.whole);
}

// What several parts of the page show: whoever changes it tells all.
const state = { at: {}, chosen: new Set() };
const listeners = [];
const onChange = (listener) => listeners.push(listener);
const changed = () => listeners.forEach((listener) => listener());

// A select box with its label.
function choice(label, options, value, pick) {
	const id = unique('choice');
	const select = el('select', { id, onchange: () => pick(select.value) },
		options.map(([key, text]) => el('option', { value: key, selected: key === value }, text)));
	return el('span', { class: 'choice' }, el('label', { for: id }, label), select);
}

// A row of radio buttons that look like one control.
function segments(label, options, value, pick) {
	const name = unique('segment');
	return el('fieldset', { class: 'segments' }, el('legend', {}, label),
		el('div', { class: 'segments-row' }, options.map(([key, text]) => {
			const id = unique('option');
			return el('span', {}, el('input', {
				type: 'radio', name, id, value: key, checked: key === value, onchange: () => pick(key) }),
				el('label', { for: id }, text));
		})));
}

// A plain table: rows of cells, of which the first is the row's head.
function plainTable(caption, columns, rows) {
	return el('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': caption },
		el('table', { class: 'plain' }, el('caption', {}, caption),
			el('thead', {}, el('tr', {}, columns.map((column) => el('th', { scope: 'col' }, column)))),
			el('tbody', {}, rows.map((row) => el('tr', {}, row.map((cell, i) =>
				i === 0 ? el('th', { scope: 'row' }, cell) : el('td', {}, cell)))))));
}
