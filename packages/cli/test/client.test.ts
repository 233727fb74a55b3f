/** The client end of the control protocol, against servers that behave and servers that do not. */

import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { JsonSplitter, parseRequest, UnixctlClient, UnixctlServerError } from '../src/index.js';

let directory: string;
let path: string;
let server: Server | undefined;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'unixctl-client-'));
  path = join(directory, 'ctl');
});
afterEach(async () => {
  await new Promise((resolve) => (server === undefined ? resolve(undefined) : server.close(resolve)));
  server = undefined;
  rmSync(directory, { recursive: true });
});

/** Serves `answer`'s bytes for each request; undefined for silence. */
async function serve(
  answer: (method: string, id: unknown, socket: Socket) => string | undefined,
): Promise<UnixctlClient> {
  server = createServer((socket) => {
    const splitter = new JsonSplitter(1000);
    socket.on('data', (chunk) => {
      for (const text of splitter.push(chunk)) {
        const { method, id } = parseRequest(text);
        socket.write(answer(method, id, socket) ?? '');
      }
    });
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => server?.listen(path, resolve));
  return UnixctlClient.connect(path);
}

it('gets results and errors, each for its own request', async () => {
  const client = await serve((method, id) =>
    method === 'bad'
      ? // As Open vSwitch 3.1 says it, without a result.
        JSON.stringify({ id, error: 'refused' })
      : JSON.stringify({ id, result: method.toUpperCase(), error: null }),
  );
  const [one, bad, two] = await Promise.allSettled(
    ['one', 'bad', 'two'].map((method) => client.transact(method)),
  );
  expect(one).toMatchObject({ value: 'ONE' });
  expect(bad).toMatchObject({ reason: new UnixctlServerError('refused') });
  expect(two).toMatchObject({ value: 'TWO' });
  client.close();
});

it('gives up in time on a server that is silent, and still hears it later', async () => {
  const client = await serve((method, id) =>
    method === 'mute' ? undefined : JSON.stringify({ id, result: 'x', error: null }),
  );
  await expect(client.transact('mute', [], 20)).rejects.toThrow(`${path} did not answer "mute" within 20 ms`);
  expect(await client.transact('speak')).toBe('x');
  client.close();
});

it.each([
  ['hangs up', (socket: Socket) => socket.destroy(), 'the server closed the connection to'],
  [
    'talks something else',
    (socket: Socket) => socket.write('HTTP/1.1 400'),
    'does not speak the control protocol: expected "{", found byte 0x48',
  ],
  ['sends half a reply', (socket: Socket) => socket.end('{"id":0'), 'the server closed the connection to'],
  [
    'refuses the protocol',
    (socket: Socket) => socket.write('{"id":null,"result":null,"error":"too long"}'),
    'does not speak the control protocol: too long',
  ],
])('fails all requests when the server %s', async (_what, act, message) => {
  const client = await serve((_method, _id, socket) => {
    act(socket);
    return undefined;
  });
  await expect(client.transact('anything')).rejects.toThrow(message);
  await expect(client.transact('more')).rejects.toThrow(message);
});

it('says that nobody listens', async () => {
  await expect(UnixctlClient.connect(path)).rejects.toMatchObject({
    code: 'ENOENT',
    message: `cannot connect to ${path}: ENOENT`,
  });
});
