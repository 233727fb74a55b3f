/** A poll-mode thread dies amid traffic: that is reported, another one goes on, and nothing that was counted is lost. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { FP_CREATE, isDpifError, type Netdev, type NetdevProvider } from '@etherloom/core';
import { PcapWriter } from '@etherloom/netdev-dummy';
import { parseActions, parseFlowKey } from '@etherloom/odp-codec';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { eventually } from '../bench.js';
import { type PmdBench, pmdBench, readUpcalls } from './bench.js';

const FRAME = Uint8Array.from({ length: 60 }, (_, i) => (i === 12 ? 0x88 : i === 13 ? 0xb5 : i));
/** Starting a thread takes 0.1 s, on a busy machine many times that. */
const WAIT = 20_000;
const FLOW = 'in_port(1),eth(),eth_type(0x88b5)';

let directory: string;
let bench: PmdBench;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'etl-crash-'));
  const pcap = new PcapWriter(join(directory, 'frames.pcap'));
  pcap.write([FRAME]);
  pcap.close();
});
afterEach(async () => {
  await bench.close();
  rmSync(directory, { recursive: true });
});

const replay = () => ({
  replay: join(directory, 'frames.pcap'),
  replay_loops: '0',
  capture: '0',
});

const sent = async (name: string): Promise<number> => (await bench.device(name).getStats()).txPackets ?? 0;
const received = async (name: string): Promise<number> =>
  (await bench.device(name).getStats()).rxPackets ?? 0;

/** The thread that polls `port`. */
async function threadOf(port: string): Promise<number> {
  const [queue] = bench.plane
    .reports()
    .flatMap(({ thread, queues }) => queues.filter((q) => q.port === port).map(() => thread));
  return queue!;
}

/** Terminates a thread and waits for the one that takes its place. */
async function replaced(index: number): Promise<void> {
  const restarts = (): number =>
    bench.events.filter(({ type, thread }) => type === 'restarted' && thread === index).length;
  const before = restarts();
  await bench.plane.crew.slots[index]!.thread!.terminate();
  await eventually(() => restarts() > before, WAIT);
}

describe.each([1, 2])('with %i threads', (threads) => {
  beforeEach(async () => {
    bench = await pmdBench(threads);
    await bench.port('source', 1, replay());
    await bench.port('sink', 2, { capture: '0' });
    for (let tuple = 0; tuple < 100; tuple++) {
      await bench.put(`in_port(9),eth(),eth_type(0x0800),ipv4(proto=17,frag=no),udp(src=${tuple})`, '2');
    }
    await bench.opener.operate([
      {
        type: 'flowDel',
        key: parseFlowKey('in_port(9),eth(),eth_type(0x0800),ipv4(proto=17,frag=no),udp(src=50)').key,
      },
    ]);
    await bench.put(FLOW, '2');
    await eventually(async () => (await sent('sink')) > 1000);
  });

  it('traffic goes on with the same flows and counts', async () => {
    for (let round = 0; round < 3; round++) {
      const before = (await bench.opener.operate([{ type: 'flowGet', key: parseFlowKey(FLOW).key }]))[0]!;
      const index = await threadOf('source');
      await replaced(index);
      const far = await sent('sink');
      await eventually(async () => (await sent('sink')) > far + 1000);
      const after = (await bench.opener.operate([{ type: 'flowGet', key: parseFlowKey(FLOW).key }]))[0]!;
      expect(after.stats!.packets).toBeGreaterThan(before.stats!.packets);
      expect(bench.plane.reports()[index]).toMatchObject({ running: true, restarts: round + 1 });
    }
    expect(bench.events.map(({ type }) => type)).toEqual([
      'crashed',
      'restarted',
      'crashed',
      'restarted',
      'crashed',
      'restarted',
    ]);
    await bench.device('source').setFlags({ up: false });
    await bench.plane.settle();
    // Of threads that are terminated anywhere it cannot be told exactly what became of their last bursts.
    const drops = Object.values(await bench.opener.portGetDrops(1)).reduce((a, b) => a + b, 0);
    const missing = (await received('source')) - (await sent('sink')) - drops;
    expect(Math.abs(missing)).toBeLessThanOrEqual(3 * 32);
    const { hit } = await bench.opener.getDpStats();
    const [last] = await bench.opener.operate([{ type: 'flowDel', key: parseFlowKey(FLOW).key }]);
    expect(last!.stats!.packets).toBeGreaterThanOrEqual(await sent('sink'));
    expect(Math.abs(hit - last!.stats!.packets)).toBeLessThanOrEqual(3 * 32);
    expect(await bench.opener.getDpStats()).toMatchObject({ flows: 99 });
  });

  it('operations and port changes that it interrupts come out right', async () => {
    const key = (n: number) =>
      parseFlowKey(`in_port(7),eth(),eth_type(0x0800),ipv4(proto=17,frag=no),udp(src=${n})`);
    const actions = parseActions('2');
    const work = async (first: number): Promise<void> => {
      for (let n = first; n < first + 500; n += 10) {
        const flows = Array.from({ length: 10 }, (_, i) => key(n + i));
        const puts = await bench.opener.operate(
          flows.map((flow) => ({ type: 'flowPut', flags: FP_CREATE, ...flow, actions })),
        );
        expect(puts.map(({ error }) => error)).toEqual(new Array(10).fill(undefined));
        const dels = await bench.opener.operate(
          flows.slice(1).map((flow) => ({ type: 'flowDel', key: flow.key })),
        );
        expect(dels.map(({ error }) => error)).toEqual(new Array(9).fill(undefined));
      }
    };
    const ports = async (): Promise<void> => {
      for (let n = 0; n < 20; n++) {
        await bench.port(`p${n}`, 100 + n);
        if (n % 2 === 0) await bench.opener.portDel(100 + n);
      }
    };
    const crashes = async (): Promise<void> => {
      for (let n = 0; n < 3; n++) await replaced(n % threads);
    };
    await Promise.all([work(1), work(1001), ports(), crashes()]);
    // 100 flows that were there, and one of each ten.
    expect((await bench.opener.getDpStats()).flows).toBe(100 + 100);
    // Every thread has every port and flow that there is: packets from the ports find flows put before and after.
    for (let n = 1; n < 20; n += 2) {
      await bench.put(`in_port(${100 + n}),eth(),eth_type(0x88b5)`, '2');
      bench.device(`p${n}`).inject(FRAME);
      await eventually(async () => (await received(`p${n}`)) === 1);
    }
    await bench.plane.settle();
    for (let n = 1; n < 20; n += 2) expect(await bench.opener.portGetDrops(100 + n)).toEqual({});
  });

  it('upcalls that it had passed up arrive, and later ones too', async () => {
    await bench.device('source').setFlags({ up: false });
    await bench.port('other', 5);
    const abort = new AbortController();
    const client = readUpcalls(bench, abort.signal);
    await bench.plane.settle();
    const { missed } = await bench.opener.getDpStats();
    for (let i = 0; i < 50; i++) bench.device('other').inject(FRAME);
    await eventually(async () => (await bench.opener.getDpStats()).missed === missed + 50);
    await replaced(await threadOf('other'));
    for (let i = 0; i < 50; i++) bench.device('other').inject(FRAME);
    await eventually(() => bench.client.upcalls === 100);
    abort.abort();
    await client;
  });
});

it('a thread that took the place of another is told once of a port that comes while it gets the flows', async () => {
  bench = await pmdBench(1);
  const puts = Array.from({ length: 30_000 }, (_, n) => ({
    type: 'flowPut' as const,
    flags: FP_CREATE,
    ...parseFlowKey(`in_port(9),eth(),eth_type(0x0800),ipv4(src=10.0.${n >> 8}.${n & 0xff},frag=no)`),
    actions: parseActions('2'),
  }));
  for (const { error } of await bench.opener.operate(puts)) expect(error).toBeUndefined();
  await bench.plane.crew.slots[0]!.thread!.terminate();
  await eventually(() => bench.plane.crew.slots[0]!.thread !== undefined, WAIT);
  await bench.port('source', 1, replay());
  // Nobody takes its packets.
  const dropped = async (): Promise<number> => (await bench.opener.portGetDrops(1)).no_handler ?? 0;
  await eventually(async () => (await dropped()) > 1000);
  expect(bench.events.map(({ type }) => type)).toEqual(['crashed']);
  await eventually(() => bench.events.some(({ type }) => type === 'restarted'), WAIT);
  await bench.device('source').setFlags({ up: false });
  await bench.plane.settle();
  expect(await dropped()).toBe(await received('source'));
});

describe('a driver that throws', () => {
  /** Descriptors that name the fixture's module, which throws while the flag is set. With `alone` one thread sends for all. */
  const explosive =
    (flag: SharedArrayBuffer, alone = false) =>
    (provider: NetdevProvider): NetdevProvider => ({
      type: provider.type,
      openQueue: (descriptor, resources) => provider.openQueue(descriptor, resources),
      open: async (name, config) => {
        const netdev = await provider.open(name, config);
        if (name !== 'bomb') return netdev;
        const module = pathToFileURL(fileURLToPath(new URL('explosive-queue.mjs', import.meta.url))).href;
        return new Proxy<Netdev>(netdev, {
          get(target, property) {
            if (property === 'queueDescriptor')
              return (index: number) => ({ ...target.queueDescriptor(index), module, flag });
            if (property === 'transmitDescriptor' && alone) return undefined;
            if (property === 'transmitDescriptor')
              return () => ({ ...target.transmitDescriptor?.(), module, flag });
            const value: unknown = Reflect.get(target, property, target);
            return typeof value === 'function' ? value.bind(target) : value;
          },
        });
      },
    });

  it('takes its thread down again and again, and only that', async () => {
    const flag = new SharedArrayBuffer(4);
    bench = await pmdBench(2, { wrap: explosive(flag) });
    await bench.port('bomb', 1, { 'pmd-rxq-affinity': '0:0' });
    await bench.port('source', 2, { ...replay(), 'pmd-rxq-affinity': '0:1' });
    await bench.port('sink', 3, { capture: '0' });
    await bench.put('in_port(2),eth(),eth_type(0x88b5)', '3');
    await bench.put('in_port(1),eth(),eth_type(0x88b5)', '3');
    new Int32Array(flag)[0] = 1;
    for (let crashes = 1; crashes <= 3; crashes++) {
      await eventually(() => {
        bench.device('bomb').inject(FRAME);
        return bench.events.filter(({ type }) => type === 'crashed').length >= crashes;
      }, WAIT);
    }
    expect(bench.events.find(({ type }) => type === 'crashed')!.message).toMatch(
      /^poll-mode thread 0 of br0: it ended: the bomb went off/,
    );
    const far = await sent('sink');
    await eventually(async () => (await sent('sink')) > far + 1000);
    // Flows and ports can be changed while it is down.
    const result = await bench.put('in_port(3),eth(),eth_type(0x88b5)', '2');
    expect(result.error).toBeUndefined();
    new Int32Array(flag)[0] = 0;
    await eventually(() => bench.plane.crew.slots[0]!.thread !== undefined, WAIT);
    const before = await received('bomb');
    await eventually(async () => {
      bench.device('bomb').inject(FRAME);
      return (await received('bomb')) > before;
    }, WAIT);
  });

  it.each([
    ['receives', 1, {}],
    ['sends', 2, {}],
    ['sends whole bursts', 2, { kind: 0 }],
    ['sends for another thread', 2, { alone: true }],
  ])(
    'loses no packet uncounted, and sends none twice, when it %s',
    async (_, when, { kind, alone }: { kind?: number; alone?: boolean }) => {
      const flag = new SharedArrayBuffer(4);
      bench = await pmdBench(alone === true ? 2 : 1, { wrap: explosive(flag, alone) });
      await bench.port('source', 1, { n_rxq: '2', 'pmd-rxq-affinity': '0:0,1:0' });
      await bench.port('bomb', 2, { capture: '0', 'pmd-rxq-affinity': alone === true ? '0:1' : '0:0' });
      await bench.port('sink', 3, { capture: '0' });
      // Packets of a burst that go to two ports, up, and nowhere, by their second byte.
      const kinds = ['2', '3', 'drop', 'push_vlan(vid=5,pcp=0),3', 'push_vlan(vid=5,pcp=0),2'];
      const key = (n: number): string => `eth(src=02:00:00:00:00:0${n}),eth_type(0x88b5)`;
      for (const port of [1, 2]) {
        for (const [n, actions] of kinds.entries()) await bench.put(`in_port(${port}),${key(n)}`, actions);
      }
      const abort = new AbortController();
      const client = readUpcalls(bench, abort.signal);
      const frame = (n: number): Uint8Array =>
        Uint8Array.from(FRAME, (byte, i) => (i === 11 ? n % 6 : i === 6 ? 2 : i > 6 && i < 11 ? 0 : byte));
      let injected = 0;
      for (let round = 1; round <= 3; round++) {
        new Int32Array(flag)[0] = when;
        await eventually(() => {
          for (let n = 0; n < 50; n++) {
            for (const port of ['source', 'bomb'])
              if (bench.device(port).inject(frame(kind ?? injected))) injected++;
          }
          return bench.events.filter(({ type }) => type === 'crashed').length >= round;
        }, WAIT);
        new Int32Array(flag)[0] = 0;
        await eventually(
          () =>
            bench.events.filter(({ type }) => type === 'restarted').length ===
            bench.events.filter(({ type }) => type === 'crashed').length,
          WAIT,
        );
      }
      const total = async (of: (name: string) => Promise<number>): Promise<number> =>
        (await of('source')) + (await of('bomb')) + (await of('sink'));
      await eventually(async () => (await total(received)) === injected);
      await bench.plane.settle();
      const drops = { ...(await bench.opener.portGetDrops(1)) };
      for (const port of [2, 3]) {
        for (const [reason, count] of Object.entries(await bench.opener.portGetDrops(port))) {
          drops[reason] = (drops[reason] ?? 0) + count;
        }
      }
      const dropped = Object.values(drops).reduce((sum, count) => sum + count, 0);
      const accounted = async (): Promise<number> => (await total(sent)) + dropped + bench.client.upcalls;
      await eventually(async () => (await accounted()) >= injected);
      expect(await accounted()).toBe(injected);
      expect(drops.thread_crashed).toBeGreaterThanOrEqual(3);
      expect(drops.thread_crashed).toBeLessThanOrEqual(
        32 * bench.events.filter(({ type }) => type === 'crashed').length,
      );
      abort.abort();
      await client;
    },
    60_000,
  );

  it('a module that cannot be loaded is an error of the port, and the thread lives on', async () => {
    const wrap = (provider: NetdevProvider): NetdevProvider => ({
      ...explosive(new SharedArrayBuffer(4))(provider),
      open: async (name, config) => {
        const netdev = await provider.open(name, config);
        if (name !== 'bad') return netdev;
        const descriptor = { ...netdev.queueDescriptor(0), module: 'file:///nowhere/driver.js' };
        Object.assign(netdev, { queueDescriptor: () => descriptor });
        return netdev;
      },
    });
    bench = await pmdBench(2, { wrap });
    const error: unknown = await bench.port('bad', 1).catch((reason: unknown) => reason);
    expect(isDpifError(error) && error.code).toBe('ENOSYS');
    expect(bench.events).toEqual([]);
    await bench.port('good', 1);
    bench.device('good').inject(FRAME);
    await eventually(async () => (await received('good')) === 1);
  });
});
