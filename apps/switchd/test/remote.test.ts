/** The remote provider beyond the contract: lost connections, lifetimes, bounds, and what the daemon makes of it. */

import { getEventListeners } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  packetFromFlow,
  RemoteSwitch,
  remoteMethods,
  UnixctlClient,
  UnixctlServerError,
} from '@etherloom/cli';
import { type Dpif, DpifRegistry, FP_CREATE, NetdevRegistry } from '@etherloom/core';
import { createUserspaceProvider } from '@etherloom/dpif-userspace';
import { DummyProvider } from '@etherloom/netdev-dummy';
import { parseActions, parseFlowKey } from '@etherloom/odp-codec';
import pino from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { builtinCommands } from '../src/control/builtin.js';
import { remoteCommands } from '../src/control/remote/commands.js';
import { ControlServer } from '../src/control/server.js';
import { DaemonBench } from './daemon-bench.js';

const keeper = { hold: () => {}, release: async () => {}, sync: async () => {} };

let directory: string;
let path: string;
let server: ControlServer;
let driver: DummyProvider;
/** What the server serves. */
let local: DpifRegistry;
const open: RemoteSwitch[] = [];

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'switchd-remote-'));
  path = join(directory, 'ctl');
  driver = new DummyProvider();
  const netdevs = new NetdevRegistry();
  netdevs.register(driver);
  local = new DpifRegistry();
  local.register(
    createUserspaceProvider({ type: 'dummy', netdevs, arena: { frames: 256, largeFrames: 16 } }),
  );
  server = new ControlServer(pino({ level: 'silent' }));
  server.register([
    ...builtinCommands({ version: '1', commands: () => server.commands(), exit: async () => {} }),
    ...remoteCommands({ dpifs: local, netdevs }, keeper),
  ]);
  await server.listen(path);
});
afterEach(async () => {
  for (const remote of open.splice(0)) remote.close();
  await server.close();
  rmSync(directory, { recursive: true });
});

async function connect(): Promise<RemoteSwitch> {
  const remote = await RemoteSwitch.connect(path);
  open.push(remote);
  return remote;
}

/** A new datapath, as seen over a connection of its own. */
async function created(name = 'br0'): Promise<{ remote: RemoteSwitch; dpif: Dpif }> {
  const remote = await connect();
  return { remote, dpif: await remote.registries().dpifs.create(name, 'dummy') };
}

const udp = (src: number) =>
  parseFlowKey(`in_port(1),eth(),eth_type(0x0800),ipv4(proto=17,frag=no),udp(src=${src})`);

/** Resolves when `check` does not throw any more. */
const eventually = async (check: () => Promise<unknown>): Promise<void> => {
  for (let attempt = 0; ; attempt++) {
    try {
      await check();
      return;
    } catch (error) {
      if (attempt === 200) throw error;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
};

it('a trace crosses the socket as it is', async () => {
  const { dpif } = await created();
  const same = await local.open('br0', 'dummy');
  const flow = (recirculation: string) =>
    parseFlowKey(`${recirculation}in_port(1),eth(),eth_type(0x0800),ipv4(frag=no)`);
  await dpif.recvSet(true);
  const actions = parseActions('clone(set(ipv4(ttl=3)),0),userspace(pid=9,userdata(01)),7,recirc(5)');
  await dpif.flowPut({ flags: FP_CREATE, ...flow(''), actions });
  const { packet, key: metadata } = packetFromFlow('in_port(1),eth(),eth_type(0x0800),ipv4(proto=17),udp()');
  const trace = await dpif.trace({ packet, metadata });
  expect(trace).toEqual(await same.trace({ packet, metadata }));
  expect(trace.pass.steps).toHaveLength(4);
  expect(trace.pass.steps.at(-1)?.events).toMatchObject([
    { type: 'recirculation', pass: { events: [{ type: 'upcall', reason: 'miss' }] } },
  ]);
  await same.close();
  await dpif.close();
});

describe('captures', () => {
  const frame = (seed: number): Uint8Array =>
    Uint8Array.from({ length: 60 }, (_, i) => (i === 12 ? 0x88 : i === 13 ? 0xb5 : i === 0 ? 2 : seed));

  it('cross the socket, wait without holding up others, and are there until they have been read', async () => {
    const { dpif } = await created();
    await dpif.portAdd({ name: 'p1', type: 'dummy' }, 1);
    const capture = await dpif.capture({ port: 1, filter: parseFlowKey('eth()') });
    const waiting = capture.next(10);
    await dpif.now();
    driver.device('p1')?.inject(frame(1));
    expect(await waiting).toMatchObject([{ port: 1, direction: 'in', length: 60, bytes: frame(1) }]);
    const end = new AbortController();
    const given = capture.next(10, end.signal);
    end.abort();
    expect(await given).toEqual([]);
    driver.device('p1')?.injectMany([frame(2), frame(3)]);
    await eventually(async () => expect((await dpif.getDpStats()).missed).toBe(3));
    expect(await capture.stop()).toEqual({ missed: 0 });
    expect(await capture.next(1)).toHaveLength(1);
    expect(await capture.next(9)).toHaveLength(1);
    expect(await capture.next(9)).toEqual([]);
    expect(await capture.next(9)).toEqual([]);
    await expect(dpif.capture({ snaplen: 0 })).rejects.toMatchObject({ code: 'EINVAL' });
    await dpif.close();
  });

  it('end with their connection', async () => {
    const { dpif } = await created();
    await dpif.portAdd({ name: 'p1', type: 'dummy' }, 1);
    const same = await local.open('br0', 'dummy');
    const mine = await same.capture();
    for (let i = 0; i < 7; i++) await dpif.capture();
    await expect(same.capture()).rejects.toMatchObject({ code: 'EMFILE' });
    for (const remote of open.splice(0)) remote.close();
    await eventually(async () => {
      await (await same.capture()).stop();
    });
    driver.device('p1')?.inject(frame(1));
    expect(await mine.next(9)).toHaveLength(1);
    await same.close();
  });
});

describe('errors', () => {
  it('cross the socket with code, errno and sentence', async () => {
    const { dpif } = await created();
    const same = await local.open('br0', 'dummy');
    for (const call of [
      (target: Dpif) => target.portDel(99),
      (target: Dpif) => target.portAdd({ name: 'x', type: 'nosuch' }),
      (target: Dpif) => target.flowDel(udp(1).key),
      (target: Dpif) =>
        target.flowPut({ flags: FP_CREATE, key: Uint8Array.of(1), actions: new Uint8Array() }),
    ]) {
      const expected: unknown = await call(same).catch((error: unknown) => error);
      const { code, errno, message } = Object(expected);
      expect(errno).toBeGreaterThan(0);
      await expect(call(dpif)).rejects.toMatchObject({ name: 'DpifError', code, errno, message });
    }
  });

  it('say that the connection is lost, to everything that is under way and comes later', async () => {
    const { dpif } = await created();
    await dpif.recvSet(true);
    const dump = dpif.flowDump();
    const waiting = [dpif.recvBatch(0, 1), dpif.portPollWait()].map((call) => call.catch((error) => error));
    await dpif.now();
    await server.close();
    for (const error of await Promise.all(waiting)) expect(error).toMatchObject({ code: 'ENOTCONN' });
    await expect(dpif.now()).rejects.toMatchObject({
      code: 'ENOTCONN',
      message: `the server closed the connection to ${path}; connect again`,
    });
    await expect(dump.next(1)).rejects.toMatchObject({ code: 'ENOTCONN' });
    await dump.done();
    await dpif.close();
    await expect(RemoteSwitch.connect(path)).rejects.toThrow('cannot connect');
  });

  it('of arguments that make no sense are EINVAL or EBADF, and the connection goes on', async () => {
    const client = await UnixctlClient.connect(path);
    const refused = async (method: string, ...params: string[]): Promise<unknown> => {
      const error: unknown = await client.transact(method, params).catch((reason: unknown) => reason);
      return error instanceof UnixctlServerError ? error.reply : error;
    };
    for (const args of ['', '[', 'null', '7', '[7]', '{}', '["x",null]']) {
      expect(await refused('dpif-remote/now', args)).toMatchObject({
        code: expect.stringMatching(/EINVAL|EBADF/),
      });
    }
    expect(await refused('dpif-remote/operate', '[1,[]]')).toEqual({
      code: 'EBADF',
      errno: 9,
      message: 'this connection has no datapath handle 1 open',
    });
    expect(await refused('dpif-remote/now')).toBe(
      '"dpif-remote/now" command requires at least 1 arguments\n',
    );
    expect(await client.transact('dpif-remote/enumerate', ['"dummy"'])).toBe('[]\n');
    client.close();
  });

  it('tell a program that is no switchd', async () => {
    const other = new ControlServer(pino({ level: 'silent' }));
    const elsewhere = join(directory, 'other');
    await other.listen(elsewhere);
    await expect(RemoteSwitch.connect(elsewhere)).rejects.toMatchObject({
      code: 'EOPNOTSUPP',
      message: expect.stringContaining('it may be no switchd'),
    });
    await other.close();
  });
});

describe('a connection', () => {
  it('takes its handles with it when it ends', async () => {
    const { remote, dpif } = await created();
    await dpif.recvSet(true);
    const other = await (await connect()).registries().dpifs.open('br0', 'dummy');
    await expect(other.recvSet(true)).rejects.toMatchObject({ code: 'EBUSY' });
    remote.close();
    await eventually(() => other.recvSet(true));
    await other.delete();
    await other.close();
    expect(await local.names('dummy')).toEqual([]);
  });

  it('answers other calls of a handle while some of it wait, and ends those with the handle', async () => {
    const { dpif } = await created();
    await dpif.recvSet(true);
    const waits = [dpif.recvBatch(0, 1), dpif.portPollWait(), dpif.portPollWait()];
    expect(await dpif.getDpStats()).toMatchObject({ flows: 0 });
    const aborting = new AbortController();
    const aborted = dpif.recvBatch(0, 5, aborting.signal);
    await dpif.now();
    aborting.abort();
    expect(await aborted).toEqual([]);
    await dpif.close();
    expect(await Promise.all(waits)).toEqual([[], undefined, undefined]);
  });

  it('has bounds: handles, dumps, calls that wait', async () => {
    const { remote, dpif } = await created();
    const { dpifs } = remote.registries();
    const more = await Promise.allSettled(Array.from({ length: 256 }, () => dpifs.open('br0', 'dummy')));
    expect(more.filter(({ status }) => status === 'rejected')).toMatchObject([
      { reason: { code: 'EMFILE' } },
    ]);
    const dumps = Array.from({ length: 257 }, () => dpif.portDump()[Symbol.asyncIterator]());
    const firsts = await Promise.allSettled(dumps.map((dump) => dump.next()));
    expect(firsts.filter(({ status }) => status === 'rejected')).toMatchObject([
      { reason: { code: 'EMFILE' } },
    ]);
    const abort = new AbortController();
    const waits = Array.from({ length: remoteMethods.MAX_WAITING + 1 }, () =>
      dpif.portPollWait(abort.signal),
    );
    await expect(
      Promise.any(
        waits.map((wait) =>
          wait.then(
            () => Promise.reject(),
            (error) => error,
          ),
        ),
      ),
    ).resolves.toMatchObject({
      code: 'EMFILE',
    });
    // One for all of them: Node warns of more than ten.
    expect(getEventListeners(abort.signal, 'abort')).toHaveLength(1);
    abort.abort();
    expect((await Promise.allSettled(waits)).filter(({ status }) => status === 'fulfilled')).toHaveLength(
      remoteMethods.MAX_WAITING,
    );
  });
});

describe('size', () => {
  it('of a table does not matter: it comes in slices', async () => {
    const { remote, dpif } = await created();
    // 60 KiB of actions each: 30 MB in all.
    const long = parseActions(Array.from({ length: 7500 }, () => '1').join(','));
    const ops = Array.from({ length: 500 }, (_, i) => ({
      type: 'flowPut' as const,
      flags: FP_CREATE,
      ...udp(i + 1),
      actions: long,
    }));
    const results = await dpif.operate(ops);
    expect(results).toHaveLength(500);
    expect(results.every(({ error }) => error === undefined)).toBe(true);
    const seen = new Set<string>();
    for await (const { key, actions } of dpif.flowDump()) {
      expect(actions.length).toBe(long.length);
      seen.add(Buffer.from(key).toString('hex'));
    }
    expect(seen.size).toBe(500);
    // However much is asked for, an answer stays small, and the rest of the operations is left to be asked for again.
    const dump = await remote.client.transact('dpif-remote/flow-dump', ['[1,null]']);
    const slice = await remote.client.transact('dpif-remote/flow-dump-next', [`[1,[${dump},1000000]]`]);
    expect(JSON.stringify(slice).length).toBeLessThan(4 << 20);
    const gets = await dpif.operate(ops.map(({ key }) => ({ type: 'flowGet', key })));
    expect(gets.filter(({ flow }) => flow?.actions.length === long.length)).toHaveLength(500);
  });

  it('of one operation is bounded, and its neighbours are performed', async () => {
    const { dpif } = await created();
    const results = await dpif.operate([
      { type: 'flowPut', flags: FP_CREATE, ...udp(1), actions: new Uint8Array() },
      { type: 'flowPut', flags: FP_CREATE, ...udp(2), actions: new Uint8Array(1 << 20) },
      { type: 'flowPut', flags: FP_CREATE, ...udp(3), actions: new Uint8Array() },
    ]);
    expect(results.map(({ error }) => error?.code)).toEqual([undefined, 'E2BIG', undefined]);
    expect((await dpif.getDpStats()).flows).toBe(2);
  });

  it('of a batch of upcalls is bounded by its bytes', async () => {
    const { dpif } = await created();
    await dpif.portAdd({ name: 'p1', type: 'dummy', config: { mtu: '65521' } });
    await dpif.recvSet(true);
    const frame = Uint8Array.from({ length: 65_535 }, (_, i) => (i < 14 ? 2 : i));
    // The ring of the device holds three of them.
    for (let sent = 3; sent <= 12; sent += 3) {
      driver.device('p1')?.injectMany([frame, frame, frame]);
      await eventually(async () => expect((await dpif.getDpStats()).missed).toBe(sent));
    }
    const sizes: number[] = [];
    for (let received = 0; received < 12; ) {
      const batch = await dpif.recvBatch(0, 100);
      expect(batch.every(({ packet }) => Buffer.compare(packet, frame) === 0)).toBe(true);
      received += batch.length;
      sizes.push(batch.length);
    }
    expect(sizes).toEqual([3, 3, 3, 3]);
  });
});

describe('a datapath made over a remote handle', () => {
  it('is its maker’s own until that handle is closed; then the daemon takes it over', async () => {
    const bench = new DaemonBench();
    try {
      const { child } = await bench.running('--no-config');
      const remote = await RemoteSwitch.connect(join(bench.runDir, `switchd.${child.pid}.ctl`));
      open.push(remote);
      const { dpifs } = remote.registries();
      const dpif = await dpifs.create('br5', 'dummy');
      await dpif.recvSet(true);
      await expect(remote.client.transact('fdb/show', ['br5'])).rejects.toThrow('no such bridge');
      // What others make meanwhile does not change that.
      await remote.client.transact('dpctl/add-dp', ['dummy@br6']);
      await dpif.close();
      expect(await remote.client.transact('fdb/show', ['br5'])).toEqual({
        datapath: 'dummy@br5',
        entries: [],
      });
      const again = await dpifs.open('br5', 'dummy');
      await expect(again.recvSet(true)).rejects.toMatchObject({ code: 'EBUSY' });
      await again.delete();
      await again.close();
      expect(await dpifs.names('dummy')).toEqual(['br6']);
    } finally {
      await bench.close();
    }
  });
});
