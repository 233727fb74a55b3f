/**
 * One end of a TCP transfer, run inside a host's namespace.
 *
 *   tcp-peer.mjs sink PORT                     accepts connections for ever; answers each stream with its length and SHA-256
 *   tcp-peer.mjs source ADDRESS PORT BYTES     sends BYTES, prints JSON: bytes, seconds, sent and received hashes
 *   tcp-peer.mjs connects ADDRESS PORT COUNT   opens and closes COUNT connections with a few bytes each
 */

import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';

const CHUNK = 1 << 20;
const TIMEOUT_MS = 60_000;

function sink(port) {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const hash = createHash('sha256');
    let bytes = 0;
    socket.on('data', (data) => {
      bytes += data.length;
      hash.update(data);
    });
    socket.on('end', () => socket.end(JSON.stringify({ bytes, hash: hash.digest('hex') })));
    socket.on('error', () => socket.destroy());
  });
  server.listen(port, () => console.log('listening'));
}

/** Sends `bytes` random bytes over one connection; resolves to what both ends saw. */
async function transfer(host, port, bytes) {
  const socket = connect({ host, port, allowHalfOpen: true });
  socket.setTimeout(TIMEOUT_MS, () => socket.destroy(new Error(`no progress for ${TIMEOUT_MS / 1000} s`)));
  const reply = [];
  socket.on('data', (data) => reply.push(data));
  const ended = once(socket, 'end');
  await once(socket, 'connect');
  const hash = createHash('sha256');
  const block = randomBytes(Math.min(CHUNK, bytes));
  const started = performance.now();
  for (let left = bytes; left > 0; left -= block.length) {
    // Every megabyte differs from the one before: a block that arrived twice or in the wrong place changes the hash.
    if (block.length >= 4) block.writeUInt32LE(left >>> 0, 0);
    const part = Buffer.from(left < block.length ? block.subarray(0, left) : block);
    hash.update(part);
    if (!socket.write(part)) await once(socket, 'drain');
  }
  socket.end();
  await ended;
  const seconds = (performance.now() - started) / 1000;
  const far = JSON.parse(Buffer.concat(reply).toString());
  return { bytes, seconds, sent: hash.digest('hex'), received: far.hash, receivedBytes: far.bytes };
}

const [mode, ...args] = process.argv.slice(2);
if (mode === 'sink') sink(Number(args[0]));
else if (mode === 'source')
  console.log(JSON.stringify(await transfer(args[0], Number(args[1]), Number(args[2]))));
else if (mode === 'connects') {
  for (let i = 0; i < Number(args[2]); i++) await transfer(args[0], Number(args[1]), 16);
  console.log(JSON.stringify({ connections: Number(args[2]) }));
} else {
  console.error(`tcp-peer: unknown mode "${mode}"`);
  process.exitCode = 2;
}
