// How connections travel in a model, drawn from its axes: clients, sockets, who accepts, who serves, where handlers run.
const CLIENTS = [22, 46, 70, 94, 118];
const DRAWING_HEIGHT = 150;

function label(x, y, text, className = 'small') {
	return sv('text', { x, y, class: className, 'text-anchor': 'middle' }, text);
}

const way = (x1, y1, x2, y2, className = 'way') => sv('path', { class: className,
	d: `M${x1} ${y1}C${(x1 + x2) / 2} ${y1} ${(x1 + x2) / 2} ${y2} ${x2} ${y2}` });

// What moves bytes: one at a time, a loop over what is ready, a ring of what is complete.
function engineGlyph(x, y, engine) {
	if (engine === 'blocking')
		return sv('g', { class: 'glyph' }, sv('path', { d: `M${x - 9} ${y}H${x + 6}M${x + 2} ${y - 4}L${x + 7} ${y}L${x + 2} ${y + 4}` }));
	const loop = (r) => `M${x + r} ${y}A${r} ${r} 0 1 1 ${x + r * 0.5} ${y - r * 0.87}`;
	const head = (r) => `M${x + r * 0.5 - 5} ${y - r * 0.87 - 1}L${x + r * 0.5 + 0.6} ${y - r * 0.87}L${x + r * 0.5 - 3} ${y - r * 0.87 + 4.6}`;
	if (engine === 'io_uring')
		return sv('g', { class: 'glyph' }, sv('path', { d: loop(8.5) }), sv('path', { d: head(8.5) }), sv('circle', { cx: x, cy: y, r: 4.2 }));
	return sv('g', { class: 'glyph' }, sv('path', { d: loop(8) }), sv('path', { d: head(8) }));
}

function workersOf(axesHere) {
	const workers = String(axesHere.workers || '1');
	if (workers === 'per-connection')
		return { rows: CLIENTS, each: true };
	if (workers === '1')
		return { rows: [70] };
	return { rows: workers === '2' ? [45, 95] : [30, 70, 110], many: workers };
}

function drawing(model) {
	const own = model.axes || {};
	const accept = own.accept || 'shared', engine = String(own.engine || 'epoll'), apartUnit = own.unit === 'process';
	const compute = own.compute || 'inline', { rows, each, many } = workersOf(own), blocking = engine === 'blocking';
	const pool = compute !== 'inline', acceptor = accept === 'acceptor';
	const sockets = accept === 'reuseport' ? rows : [70];
	const place = { clients: 12, socket: 58, acceptor: 104, worker: acceptor ? 186 : 150, pool: acceptor ? 284 : 252 };
	const half = each ? 10 : 17, wide = 31;
	const parts = [];
	const box = (x, y, w, h, unit) => sv('rect', { x: x - w, y: y - h, width: 2 * w, height: 2 * h, rx: unit === 'process' ? 1 : 7, class: unit });

	// A process is drawn with a hard edge; threads are round and share one.
	if (!apartUnit)
		parts.push(sv('rect', { x: (acceptor ? place.acceptor - 28 : place.worker - wide - 10), y: 4, rx: 2, class: 'process whole',
			width: (compute === 'threads' ? place.pool + 26 : place.worker + wide + 10) - (acceptor ? place.acceptor - 28 : place.worker - wide - 10), height: 132 }));
	const target = (i) => (accept === 'reuseport' ? rows[i % rows.length] : 70);
	CLIENTS.forEach((y, i) => parts.push(way(place.clients + 4, y, place.socket - 5, target(i)), sv('circle', { cx: place.clients, cy: y, r: 4, class: 'client' })));
	sockets.forEach((y) => parts.push(sv('rect', { x: place.socket - 4, y: y - 9, width: 8, height: 18, rx: 2, class: 'socket' })));
	if (acceptor) {
		parts.push(way(place.socket + 4, 70, place.acceptor - 22, 70), box(place.acceptor, 70, 22, 15, apartUnit ? 'process' : 'thread'), label(place.acceptor, 73, 'accept'));
		rows.forEach((y) => parts.push(way(place.acceptor + 22, 70, place.worker - wide, y)));
	} else {
		rows.forEach((y) => parts.push(way(place.socket + 4, accept === 'reuseport' ? y : 70, place.worker - wide, y)));
	}
	rows.forEach((y) => {
		parts.push(box(place.worker, y, wide, half, apartUnit ? 'process' : 'thread'), engineGlyph(place.worker - (pool ? 0 : 13), y, engine));
		if (!pool)
			parts.push(sv('text', { x: place.worker + 15, y: y + 4, class: 'handler', 'text-anchor': 'middle' }, 'ƒ'));
		else
			parts.push(way(place.worker + wide, y, place.pool - 15, 70, 'way back'));
	});
	if (pool)
		[42, 70, 98].forEach((y) => parts.push(box(place.pool, y, 15, 11, compute === 'processes' ? 'process' : 'thread'),
			sv('text', { x: place.pool, y: y + 4, class: 'handler', 'text-anchor': 'middle' }, 'ƒ')));
	const foot = DRAWING_HEIGHT - 3;
	parts.push(label(place.clients + 6, foot, 'clients'), label(place.socket + 3, foot, accept === 'reuseport' ? 'sockets' : 'socket'),
		label(place.worker, foot, `${each ? 'one each' : many ? `${many} × ` : ''}${each ? '' : engine}`));
	if (pool)
		parts.push(label(place.pool, foot, 'pool'));
	return sv('svg', { viewBox: `0 0 320 ${DRAWING_HEIGHT}`, class: 'travel', role: 'img', 'aria-label': drawingText(own, blocking) }, parts);
}

function drawingText(own, blocking) {
	const who = { shared: 'Workers accept from one listening socket', acceptor: 'An acceptor hands connections to the workers',
		reuseport: 'Each worker accepts from a listening socket of its own' }[own.accept] || 'Connections are accepted';
	const workers = String(own.workers) === '1' ? `one ${own.unit || 'thread'}` : String(own.workers) === 'per-connection' ?
		`one ${own.unit} for each connection` : `${own.workers} ${own.unit === 'process' ? 'processes' : 'threads'}`;
	const how = blocking ? 'each serves one connection at a time' : `each with a loop of ${own.engine}`;
	const pool = own.compute === 'threads' ? '; a pool of threads runs handlers' : own.compute === 'processes' ? '; a pool of processes runs handlers' : '';
	return `${who}; ${workers}, ${how}${pool}.`;
}
