/** The control server speaks unixctl as Open vSwitch's clients expect it, and survives bad peers. */

import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MAX_REQUEST_BYTES, UnixctlClient } from '@etherloom/cli';
import pino from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { builtinCommands } from '../src/control/builtin.js';
import type { ControlCommand } from '../src/control/command.js';
import { ControlServer } from '../src/control/server.js';

const echo: ControlCommand = {
  name: 'echo',
  usage: 'word...',
  minArgs: 1,
  maxArgs: 2,
  run: async (args) => ({ text: `${args.join(' ')}\n`, json: { words: [...args] } }),
};
const fails: ControlCommand = {
  name: 'fails',
  usage: '',
  minArgs: 0,
  maxArgs: 0,
  run: async () => {
    throw new Error('it did not work');
  },
};

let directory: string;
let path: string;
let server: ControlServer;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'switchd-control-'));
  path = join(directory, 'ctl');
  server = new ControlServer(pino({ level: 'silent' }));
  server.register([
    ...builtinCommands({ version: '1.2.3', commands: () => server.commands(), exit: async () => {} }),
    echo,
    fails,
  ]);
  await server.listen(path);
});
afterEach(async () => {
  await server.close();
  rmSync(directory, { recursive: true });
});

/** Sends bytes and returns all that comes back until the server closes or `enough` holds. */
function raw(
  send: (socket: Socket) => void,
  enough: (text: string) => boolean = () => false,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path, allowHalfOpen: true });
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      if (enough(text)) socket.destroy();
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(text));
    socket.on('end', () => socket.end());
    socket.on('connect', () => send(socket));
  });
}

const request = (id: number, method: string, ...params: unknown[]): string =>
  JSON.stringify({ id, method, params });

describe('control server', () => {
  it('answers in text, or in JSON after set-options', async () => {
    const client = await UnixctlClient.connect(path);
    expect(await client.transact('echo', ['a', 'b'])).toBe('a b\n');
    expect(await client.transact('version')).toBe('switchd (Etherloom) 1.2.3\n');
    expect(await client.transact('set-options', ['--format', 'json'])).toEqual({
      'reply-format': 'plain',
      reply: '',
    });
    expect(await client.transact('echo', ['a'])).toEqual({ words: ['a'] });
    expect(await client.transact('version')).toEqual({
      'reply-format': 'plain',
      reply: 'switchd (Etherloom) 1.2.3\n',
    });
    client.close();
    const another = await UnixctlClient.connect(path);
    expect(await another.transact('echo', ['a'])).toBe('a\n');
    expect(await another.transact('list-commands')).toBe(
      'The available commands are:\n' +
        '  echo                    word...\n' +
        '  exit                    [--cleanup]\n' +
        '  fails                   \n' +
        '  list-commands           \n' +
        '  set-options             [--format text|json] [--errors ovs|sentence]\n' +
        '  version                 \n',
    );
    another.close();
  });

  it.each([
    [['nosuch'], '"nosuch" is not a valid command (use "list-commands" to see a list of valid commands)'],
    [['echo'], '"echo" command requires at least 1 arguments'],
    [['echo', 'a', 'b', 'c'], '"echo" command takes at most 2 arguments'],
    [['echo', 'a', 7], '"echo" command has non-string argument'],
    [['fails'], 'it did not work'],
    [['set-options', '--format', 'xml'], 'option format has invalid value xml'],
  ])('refuses %j in the words of unixctl', async ([method, ...params], error) => {
    const reply = await raw(
      (socket) => socket.write(request(3, String(method), ...params)),
      (text) => text.endsWith('}'),
    );
    expect(JSON.parse(reply)).toEqual({ id: 3, result: null, error: `${error}\n` });
  });

  it('answers requests that come at once in their order, also to a peer that has closed its side', async () => {
    const ids = Array.from({ length: 50 }, (_, i) => i);
    const reply = await raw((socket) =>
      socket.end(ids.map((id) => request(id, 'echo', String(id))).join(' ')),
    );
    expect(JSON.parse(`[${reply.replaceAll('}{', '},{')}]`)).toEqual(
      ids.map((id) => ({ id, result: `${id}\n`, error: null })),
    );
  });

  it.each([
    ['what is not JSON', 'GET / HTTP/1.1\r\n\r\n'],
    ['what is JSON but no request', '{"id":1,"result":"x","error":null}'],
    [
      'a request longer than the bound',
      `{"id":1,"method":"echo","params":["${'x'.repeat(MAX_REQUEST_BYTES)}`,
    ],
  ])('says why and hangs up on %s', async (_what, bytes) => {
    const reply = await raw((socket) => socket.write(bytes));
    expect(JSON.parse(reply)).toEqual({ id: null, result: null, error: expect.any(String) });
  });

  it('serves others while a peer sends without reading', async () => {
    const deaf = connect(path);
    await new Promise((resolve) => deaf.on('connect', resolve));
    deaf.pause();
    const big = request(1, 'echo', 'x'.repeat(100_000));
    // More than both kernel buffers hold: the server must stop reading, not store replies.
    for (let i = 0; i < 100; i++) deaf.write(big);
    const client = await UnixctlClient.connect(path);
    expect(await client.transact('echo', ['still', 'here'])).toBe('still here\n');
    client.close();
    expect(deaf.writableLength).toBeGreaterThan(5_000_000);
    deaf.destroy();
  });
});
