// The page from top to bottom.
function atOnePoint() {
	return el('section', { id: 'point' }, el('h2', {}, axes.length ? 'At one point of the sweep' : 'Side by side'), placePicker(),
		metricsHere.length ? el('div', { class: 'pair' }, barChart('bars', 'messages_per_second'), barChart('bars-cpu', 'cpu_ns_per_message')) : null,
		points.some((point) => (point.latency || []).length) ? [legend(), percentileChart()] : null);
}

// What a sweep over an axis is about.
const SUBJECTS = {
	rate: ['p99_ns', 'cpu_ns_per_message'], connections: ['memory_per_connection_bytes', 'messages_per_second'],
};

function overTheSweep() {
	const swept = axes.filter((axis) => axis.values.length > 1);
	if (!swept.length || !metricsHere.length)
		return null;
	return el('section', { id: 'sweep' }, el('h2', {}, 'Over the sweep'), legend(),
		el('div', { class: 'pair' }, swept.flatMap((axis) => (SUBJECTS[axis.name] || ['messages_per_second', 'p99_ns']).map((key) => sweepChart(axis, key)))),
		heatMap());
}

function contents(sections) {
	return el('nav', { class: 'contents', 'aria-label': 'Sections' }, sections.filter((section) => section && section.id)
		.map((section) => el('a', { href: `#${section.id}` }, section.querySelector('h2').textContent)));
}

function build() {
	document.title = `${data.service || 'a service'}: server models compared`;
	chooseAtFirst();
	const sections = [atOnePoint(), overTheSweep(), trouble(), changes(), bigTable(), sheets(), method()];
	replace(document.getElementById('report'), patterns(), head(), summary(), tiles(), contents(sections), sections,
		el('footer', {}, `Written by gearbox${machine.gearbox ? ` ${machine.gearbox}` : ''}. Charts by D3. This file needs no other, and asks nobody for anything.`));
	redraw(true);
	// Open on paper, where nobody can click; as it was, afterwards.
	const closed = new Set();
	window.addEventListener('beforeprint', () => {
		for (const details of document.querySelectorAll('details.on-paper'))
			if (!details.open) {
				closed.add(details);
				details.open = true;
			}
		drawForPaper();
	});
	window.addEventListener('afterprint', () => {
		closed.forEach((details) => {
			details.open = false;
		});
		closed.clear();
		redraw(true);
	});
}

build();
