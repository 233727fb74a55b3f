/** Programs that run in hosts, and their traffic. */

import type { Netns } from '@etherloom/testkit';

/** Starts a Node program in a host; `line` resolves to each line that it prints, in turn. */
export function program(host: Netns, script: string) {
  const child = host.spawn(process.execPath, ['-e', script]);
  const lines: string[] = [];
  const waiting: ((line: string) => void)[] = [];
  let rest = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    const parts = (rest + chunk.toString()).split('\n');
    rest = parts.pop() ?? '';
    for (const part of parts) {
      const wake = waiting.shift();
      if (wake === undefined) lines.push(part);
      else wake(part);
    }
  });
  return {
    lines,
    line: (): Promise<string> => {
      const line = lines.shift();
      return line === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(line);
    },
    write: (text: string) => child.stdin?.write(`${text}\n`),
  };
}

/** Prints "ready", and for each connection the SHA-256 of what came over it. */
export const TCP_SINK = `
  const hash = require('crypto').createHash('sha256');
  require('net').createServer((socket) => {
    socket.on('data', (chunk) => hash.update(chunk));
    socket.on('end', () => { console.log(hash.digest('hex')); });
  }).listen(5001, () => console.log('ready'));`;

/** Sends `bytes` random bytes to the sink at `address`, and prints their SHA-256. */
export const tcpSource = (address: string, bytes: number): string => `
  const socket = require('net').connect(5001, '${address}');
  const crypto = require('crypto');
  const hash = crypto.createHash('sha256');
  let left = ${bytes};
  const more = () => {
    while (left > 0) {
      const block = crypto.randomBytes(Math.min(left, 65536));
      hash.update(block);
      left -= block.length;
      if (!socket.write(block)) return socket.once('drain', more);
    }
    socket.end();
  };
  socket.on('connect', more);
  socket.on('close', () => console.log(hash.digest('hex')));`;
