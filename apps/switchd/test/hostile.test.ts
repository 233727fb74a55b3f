/**
 * Peers that mean ill, or are broken, against a daemon process: it keeps forwarding, answers others, and holds no more memory than a
 * bounded number of connections may cost. Every connection here is a socket of its own, written to directly.
 */

import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { type RemoteSwitch, UnixctlClient } from '@etherloom/cli';
import { FP_CREATE } from '@etherloom/core';
import { parseActions, parseFlowKey } from '@etherloom/odp-codec';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { RemoteBench } from './remote-bench.js';

let bench: RemoteBench;
let remote: RemoteSwitch;
const sockets = new Set<Socket>();

beforeEach(async () => {
  bench = new RemoteBench();
  await bench.start();
  remote = await bench.connect();
  const { client } = remote;
  await client.transact('dpctl/add-dp', ['netdev@br0', 'p1,type=dummy', 'p2,type=dummy']);
  await client.transact('dpctl/add-flow', ['in_port(1),eth(),eth_type(0x88b5)', '2']);
});
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  sockets.clear();
  remote.close();
  await bench.daemon.close();
});

/** A connection that may be closed at any time. */
function peer(options: { readonly allowHalfOpen?: boolean } = {}): Promise<Socket> {
  const socket = connect({ path: bench.path, ...options });
  sockets.add(socket);
  socket.on('error', () => {});
  socket.on('close', () => sockets.delete(socket));
  return new Promise((resolve) => socket.once('connect', () => resolve(socket)));
}

const closed = (socket: Socket): Promise<void> =>
  new Promise((resolve) => (socket.closed ? resolve() : socket.once('close', () => resolve())));

const request = (id: number, method: string, ...params: string[]): string =>
  JSON.stringify({ id, method, params });

/** Bytes of memory that the daemon holds. */
function memory(): number {
  const status = readFileSync(`/proc/${bench.pid}/status`, 'utf8');
  return Number(/VmRSS:\s*(\d+) kB/.exec(status)?.[1]) * 1024;
}

/** A packet goes through the switch, and another client is answered. */
async function forwards(): Promise<void> {
  const frame = '02000000000202000000000188b5';
  const client = await UnixctlClient.connect(bench.path);
  await client.transact('netdev-dummy/receive', ['p1', frame], 10_000);
  expect(await client.transact('netdev-dummy/transmitted', ['p2'], 10_000)).toBe(`${frame}\n`);
  client.close();
}

/** More than 5 MB of dump text in the table. */
async function fill(): Promise<void> {
  const dpif = await remote.registries().dpifs.open('br0', 'netdev');
  const actions = parseActions(Array.from({ length: 300 }, () => 'trunc(100),2').join(','));
  const ops = Array.from({ length: 1500 }, (_, i) => ({
    type: 'flowPut' as const,
    flags: FP_CREATE,
    ...parseFlowKey(`in_port(1),eth(),eth_type(0x0800),ipv4(proto=17,frag=no),udp(src=${i + 1})`),
    actions,
  }));
  for (const { error } of await dpif.operate(ops)) expect(error).toBeUndefined();
  await dpif.close();
}

it('readers that do not read a big dump cost no more than a piece of it each', async () => {
  await fill();
  const before = memory();
  for (let i = 0; i < 40; i++) {
    const deaf = await peer();
    deaf.pause();
    deaf.write(request(1, 'dpctl/dump-flows'));
  }
  await sleep(1000);
  await forwards();
  // Held as wholes, they would be 200 MB and more.
  expect(memory() - before).toBeLessThan(100 << 20);
});

it('a slow reader gets all of it', async () => {
  await fill();
  const slow = await peer();
  let text = '';
  slow.write(request(1, 'dpctl/dump-flows'));
  for await (const chunk of slow) {
    text += chunk;
    if (text.length < 1_000_000) await sleep(5);
    if (text.endsWith('"error":null}')) break;
  }
  const reply: unknown = JSON.parse(text);
  const lines = String(Object(reply).result).split('\n');
  expect(lines).toHaveLength(1501 + 1 + 1);
  expect(lines[0]).toBe('flow-dump from the main thread:');
});

it.each([
  ['garbage', Buffer.alloc(10_000_000, 'garbage ')],
  ['zeros', Buffer.alloc(10_000_000)],
  ['one request without an end', Buffer.from(`{"id":1,"method":"${'x'.repeat(10_000_000)}`)],
  ['nothing but braces', Buffer.alloc(10_000_000, '{')],
  ['nothing but brackets in a request', Buffer.from(`{"id":${'['.repeat(900_000)}${']'.repeat(900_000)}}`)],
  ['a deep id', Buffer.from(`{"id":${'['.repeat(2000)}${']'.repeat(2000)},"method":"version","params":[]}`)],
])('10 MB of %s end their own connection', async (_what, bytes) => {
  const before = memory();
  const bad = await peer();
  bad.resume();
  bad.write(bytes);
  await closed(bad);
  await forwards();
  expect(memory() - before).toBeLessThan(100 << 20);
});

it('thousands of connections keep nobody out', async () => {
  const before = memory();
  const dpif = await remote.registries().dpifs.open('br0', 'netdev');
  for (let i = 0; i < 3000; i++) {
    const idle = connect(bench.path);
    sockets.add(idle);
    idle.on('error', () => {});
    idle.on('close', () => sockets.delete(idle));
    if (i % 3 === 0) idle.write('{"id":1,"method":"ver');
    // Not more than the kernel lets wait to be accepted.
    if (i % 100 === 0) await Promise.race([once(idle, 'connect').catch(() => {}), closed(idle)]);
  }
  await forwards();
  // The one that has something open is still there.
  expect(await dpif.getDpStats()).toMatchObject({ flows: 1 });
  await sleep(500);
  expect(sockets.size).toBeLessThan(100);
  expect(memory() - before).toBeLessThan(100 << 20);
});

it('peers that close half of a connection are answered and let go', async () => {
  for (const bytes of ['', '{', request(1, 'version'), request(1, 'nosuch') + request(2, 'version')]) {
    const half = await peer({ allowHalfOpen: true });
    let text = '';
    half.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    half.end(bytes);
    await new Promise((resolve) => half.once('end', resolve));
    expect(text.split('"id"').length - 1).toBe(bytes.split('"id"').length - 1);
  }
  // These close nothing themselves when the daemon hangs up on them.
  const open = (): number => readdirSync(`/proc/${bench.pid}/fd`).length;
  const before = open();
  const stuck = await Promise.all(Array.from({ length: 30 }, () => peer({ allowHalfOpen: true })));
  for (const socket of stuck) socket.resume().write('?');
  await Promise.all(stuck.map((socket) => once(socket, 'end')));
  for (let attempt = 0; open() > before && attempt < 100; attempt++) await sleep(50);
  expect(open()).toBeLessThanOrEqual(before);
  await forwards();
});

it('a flood of requests delays others by milliseconds', async () => {
  const flood = request(1, 'list-commands').repeat(500);
  const peers = await Promise.all(Array.from({ length: 20 }, () => peer()));
  const stop = new AbortController();
  const floods = peers.map(async (socket) => {
    socket.resume();
    while (!stop.signal.aborted) {
      if (!socket.write(flood)) await new Promise((resolve) => socket.once('drain', resolve));
    }
  });
  await sleep(200);
  for (let i = 0; i < 20; i++) await forwards();
  stop.abort();
  for (const socket of peers) socket.destroy();
  await Promise.race([Promise.all(floods), sleep(1000)]);
  await forwards();
});

it('requests for calls that wait, thousands at once, are refused above a bound', async () => {
  const client = await UnixctlClient.connect(bench.path);
  await client.transact('set-options', ['--format', 'json']);
  const handle = await client.transact('dpif-remote/open', ['{"type":"netdev","name":"br0","create":false}']);
  const waits = Array.from({ length: 5000 }, (_, i) =>
    client.transact('dpif-remote/port-poll-wait', [`[${i},${handle}]`]).then(
      () => 'done',
      (error: unknown) => String(error),
    ),
  );
  await forwards();
  await client.transact('dpif-remote/close', [`[${handle},null]`]);
  const outcomes = await Promise.all(waits);
  expect(outcomes.filter((outcome) => outcome === 'done')).toHaveLength(64);
  expect(outcomes.filter((outcome) => outcome.includes('EMFILE'))).toHaveLength(5000 - 64);
  client.close();
});
