// Node.js: a socket is a stream, and a stream is piped into itself; pipe() stops reading while output waits.
// Node raises the descriptor limit by itself.
'use strict';
const net = require('net');

const server = net.createServer({ noDelay: true }, (socket) => {
	socket.on('error', () => socket.destroy());
	socket.pipe(socket);
});
server.listen({ port: Number(process.argv[2] || 0), host: '127.0.0.1', backlog: 4096 }, () => {
	console.log(String(server.address().port));
});
