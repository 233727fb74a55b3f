/** Poll-mode threads by what they are for: who polls what, who sends for whom, sleeping, order, pressure, and what they report. */

import { type DpifOp, FP_CREATE, type Netdev, type NetdevProvider, NetdevRegistry } from '@etherloom/core';
import { DummyProvider, trace } from '@etherloom/netdev-dummy';
import { parseActions, parseFlowKey } from '@etherloom/odp-codec';
import { afterEach, describe, expect, it } from 'vitest';
import { createUserspaceProvider } from '../../src/index.js';
import { eventually, bench as providerBench } from '../bench.js';
import { type PmdBench, pmdBench } from './bench.js';

const frame = (n = 0): Uint8Array =>
  Uint8Array.from({ length: 60 }, (_, i) =>
    i === 12 ? 0x88 : i === 13 ? 0xb5 : i === 20 ? n & 0xff : i === 21 ? n >> 8 : i,
  );
const raw = (port: number): string => `in_port(${port}),eth(),eth_type(0x88b5)`;

let bench: PmdBench;
afterEach(async () => bench?.close());

/** Queues by thread, as `port/queue`. */
const polled = (): string[][] =>
  bench.plane.reports().map(({ queues }) => queues.map(({ port, queue }) => `${port}/${queue}`).sort());

describe('receive queues', () => {
  it('go to the thread with the fewest, pinned ones where they were pinned, and even out when ports go', async () => {
    bench = await pmdBench(2);
    expect(polled()).toEqual([['br0/0'], []]);
    await bench.port('a', 1, { n_rxq: '3' });
    expect(polled()).toEqual([
      ['a/1', 'br0/0'],
      ['a/0', 'a/2'],
    ]);
    await bench.port('b', 2, { n_rxq: '2', 'pmd-rxq-affinity': '0:1,1:1' });
    expect(polled()).toEqual([
      ['a/1', 'br0/0'],
      ['a/0', 'a/2', 'b/0', 'b/1'],
    ]);
    await bench.put(raw(1), '2');
    await bench.opener.portDel(2);
    await bench.port('b', 2);
    expect(polled()).toEqual([
      ['a/1', 'b/0', 'br0/0'],
      ['a/0', 'a/2'],
    ]);
    // All of them receive, wherever they are now.
    for (let queue = 0; queue < 3; queue++) bench.device('a').inject(frame(queue), queue);
    await eventually(async () => ((await bench.device('b').getStats()).txPackets ?? 0) === 3);
  });

  it('move while packets come, and lose none', async () => {
    bench = await pmdBench(2);
    await bench.port('out', 1, { capture: '100000' });
    await bench.port('in', 2, { n_rxq: '4' });
    await bench.put(raw(2), '1');
    const queues = (): string => JSON.stringify(polled());
    let sent = 0;
    const moves = new Set([queues()]);
    for (let round = 0; round < 30; round++) {
      // Ports that come and go unbalance the threads, so that queues of "in" move to and fro.
      const pin = `0:${round % 2},1:${round % 2}`;
      await bench.port('ballast', 3, { n_rxq: '2', 'pmd-rxq-affinity': pin });
      moves.add(queues());
      for (let i = 0; i < 40; i++) {
        await eventually(() => bench.device('in').inject(frame(sent), sent % 4));
        sent++;
      }
      await bench.opener.portDel(3);
      moves.add(queues());
    }
    await eventually(async () => ((await bench.device('in').getStats()).rxPackets ?? 0) === sent);
    await bench.plane.settle();
    const frames = bench.device('out').takeTransmitted();
    expect(frames.length).toBe(sent);
    // In order by queue, though two threads had it in turn.
    for (let queue = 0; queue < 4; queue++) {
      const numbers = frames.map((f) => f[20]! | (f[21]! << 8)).filter((n) => n % 4 === queue);
      expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
    }
    expect(moves.size).toBeGreaterThan(2);
  });

  it.each([
    ['0:2', 'by thread 2'],
    ['1:0', 'queue 1'],
  ])('pinning %s is EINVAL when there is no such queue or thread', async (pin, what) => {
    bench = await pmdBench(2);
    await expect(bench.port('a', 1, { 'pmd-rxq-affinity': pin })).rejects.toMatchObject({
      code: 'EINVAL',
      message: expect.stringContaining(what),
    });
    await bench.port('a', 1);
  });

  it('a decorator, which works on one thread only, is refused with its reason', async () => {
    bench = await pmdBench(1, {
      wrap: (provider) => {
        const traced = trace(provider, () => undefined);
        return { ...traced, open: (name, config) => (name === 'a' ? traced : provider).open(name, config) };
      },
    });
    await expect(bench.port('a', 1)).rejects.toMatchObject({
      code: 'EOPNOTSUPP',
      message: expect.stringContaining('decorator'),
    });
  });
});

/** Devices whose transmit queues belong to whoever polls them, as those of AF_XDP. */
function exclusive(provider: NetdevProvider): NetdevProvider {
  return {
    type: provider.type,
    openQueue: (descriptor, resources) => provider.openQueue(descriptor, resources),
    open: async (name, config) =>
      new Proxy<Netdev>(await provider.open(name, config), {
        get(target, key) {
          if (key === 'transmitDescriptor') return undefined;
          const value: unknown = Reflect.get(target, key, target);
          return typeof value === 'function' ? value.bind(target) : value;
        },
      }),
  };
}

describe('ports that only one thread can send to', () => {
  const received = async (name: string): Promise<number> =>
    (await bench.device(name).getStats()).rxPackets ?? 0;

  it('get packets from all threads, and count what they cannot take', async () => {
    bench = await pmdBench(3, { wrap: exclusive });
    for (const [i, name] of ['a', 'b', 'c'].entries()) {
      await bench.port(name, i + 1, { 'pmd-rxq-affinity': `0:${i}`, capture: '100000' });
      await bench.put(raw(i + 1), '1,2,3');
    }
    const COUNT = 500;
    for (let n = 0; n < COUNT; n++) {
      for (const name of ['a', 'b', 'c']) await eventually(() => bench.device(name).inject(frame(n)));
    }
    const sum = async (name: string): Promise<number> => {
      const { txPackets = 0 } = await bench.device(name).getStats();
      return txPackets;
    };
    await eventually(async () => (await sum('a')) + (await sum('b')) + (await sum('c')) === 9 * COUNT);
    for (const name of ['a', 'b', 'c']) {
      const numbers = bench
        .device(name)
        .takeTransmitted()
        .map((f) => f[20]! | (f[21]! << 8));
      // Three streams through three threads: each number three times.
      expect(numbers.length).toBe(3 * COUNT);
      const seen = new Array<number>(COUNT).fill(0);
      for (const n of numbers) seen[n]!++;
      expect(seen).toEqual(new Array(COUNT).fill(3));
    }
    // Super-sized ones too, and those that the device refuses count for its port.
    await bench.device('b').setMtu(9000);
    const large = new Uint8Array(9014);
    large.set(frame());
    bench.device('a').inject(large);
    await eventually(async () => (await bench.opener.portGetDrops(3)).tx_too_big === 1);
    await bench.plane.settle();
    expect(
      bench
        .device('b')
        .takeTransmitted()
        .map(({ length }) => length),
    ).toEqual([9014]);
  });

  it('a packet on its way to a port that goes is counted, and the sending thread may die', async () => {
    bench = await pmdBench(2, { wrap: exclusive });
    await bench.port('a', 1, { 'pmd-rxq-affinity': '0:0' });
    await bench.port('b', 2, { 'pmd-rxq-affinity': '0:1' });
    await bench.put(raw(1), '2');
    await bench.put(raw(2), '1');
    bench.device('a').inject(frame());
    bench.device('b').inject(frame());
    await eventually(async () => ((await bench.device('b').getStats()).txPackets ?? 0) === 1);
    for (const index of [0, 1]) {
      await bench.plane.crew.slots[index]!.thread!.terminate();
      await eventually(() => bench.events.some((e) => e.type === 'restarted' && e.thread === index), 20_000);
      const before = [await received('a'), await received('b')];
      const sent = [
        (await bench.device('a').getStats()).txPackets ?? 0,
        (await bench.device('b').getStats()).txPackets ?? 0,
      ];
      bench.device('a').inject(frame());
      bench.device('b').inject(frame());
      await eventually(async () => (await received('a')) > before[0]! && (await received('b')) > before[1]!);
      await eventually(async () => ((await bench.device('a').getStats()).txPackets ?? 0) > sent[0]!);
      await eventually(async () => ((await bench.device('b').getStats()).txPackets ?? 0) > sent[1]!);
    }
    await bench.opener.portDel(2);
    bench.device('a').inject(frame());
    await eventually(async () => (await bench.opener.portGetDrops(1)).no_port === 1);
  });
});

describe('a thread', () => {
  it('sleeps when there is nothing to do, and wakes for packets, commands and executes', async () => {
    bench = await pmdBench(1);
    await bench.port('a', 1);
    await bench.port('b', 2);
    const asleep = async (): Promise<void> => {
      let last = -1;
      // Asleep: a few turns of the clock bring no iterations worth speaking of.
      await eventually(async () => {
        const { iterations } = bench.plane.reports()[0]!;
        await new Promise((resolve) => setTimeout(resolve, 20));
        const quiet = iterations - last < 3;
        last = iterations;
        return quiet;
      });
    };
    await asleep();
    await bench.put(raw(1), '2');
    await asleep();
    bench.device('a').inject(frame());
    await eventually(() => bench.device('b').takeTransmitted().length === 1);
    await asleep();
    await bench.opener.operate([{ type: 'execute', packet: frame(), actions: parseActions('2') }]);
    expect(bench.device('b').takeTransmitted().length).toBe(1);
    const [report] = bench.plane.reports();
    expect(report).toMatchObject({
      thread: 0,
      running: true,
      restarts: 0,
      packets: 1,
      hits: 1,
      misses: 0,
      masksProbed: 1,
      upcalls: 0,
    });
    expect(report!.busyIterations).toBe(1);
    expect(report!.sleeps).toBeGreaterThanOrEqual(3);
    expect(report!.commands).toBeGreaterThanOrEqual(5);
    expect(report!.asleepNs).toBeGreaterThan(report!.busyNs);
  });

  it('takes more commands than its ring holds, each in order, without losing one', async () => {
    bench = await pmdBench(2);
    await bench.port('a', 1);
    const COUNT = 8000;
    const base = parseFlowKey('in_port(1),eth(),eth_type(0x0800),ipv4(src=1.2.3.4,proto=17,frag=no),udp()');
    const address = base.key.findIndex((_, i) => base.key.subarray(i, i + 4).join('.') === '1.2.3.4');
    const keys = Array.from({ length: COUNT }, (_, n) => {
      const key = base.key.slice();
      new DataView(key.buffer).setUint32(address, n);
      return key;
    });
    const actions = parseActions('2');
    const all = async (ops: DpifOp[]): Promise<void> => {
      for (const { error } of await bench.opener.operate(ops)) expect(error).toBeUndefined();
    };
    const put = (key: Uint8Array): DpifOp => ({
      type: 'flowPut',
      flags: FP_CREATE,
      key,
      mask: base.mask,
      actions,
    });
    // Several callers at once, each with more than a ring of commands and of replies.
    const share = (i: number): Uint8Array[] => keys.filter((_, n) => n % 4 === i);
    await Promise.all([0, 1, 2, 3].map((i) => all(share(i).map(put))));
    expect((await bench.opener.getDpStats()).flows).toBe(COUNT);
    await Promise.all(
      [0, 1, 2, 3].map((i) => all(share(i).flatMap((key): DpifOp[] => [{ type: 'flowDel', key }, put(key)]))),
    );
    await Promise.all(
      [0, 1, 2, 3].map((i) => all(share(i).map((key): DpifOp => ({ type: 'flowDel', key })))),
    );
    expect((await bench.opener.getDpStats()).flows).toBe(0);
    expect(bench.events).toEqual([]);
    const long = new Uint8Array(600_000).fill(0);
    const [tooLong] = await bench.opener.operate([
      { type: 'flowPut', flags: FP_CREATE, ...base, actions: long },
    ]);
    expect(tooLong!.error).toMatchObject({ code: 'E2BIG' });
  });

  it('says that it has no packet buffer for a client’s packet', async () => {
    bench = await pmdBench(1, { arena: { frames: 32, largeFrames: 0 } });
    const [result] = await bench.opener.operate([
      { type: 'execute', packet: new Uint8Array(9000), actions: parseActions('0') },
    ]);
    expect(result!.error).toMatchObject({ code: 'ENOBUFS' });
  });

  it('runs on the CPU that it was given, and says so when it cannot', async () => {
    bench = await pmdBench(2, { cpus: [0] });
    expect(bench.plane.reports().map(({ cpu }) => cpu)).toEqual([0, 0]);
    await expect(pmdBench(1, { cpus: [1023] })).rejects.toMatchObject({
      code: 'EINVAL',
      message: expect.stringContaining('CPU 1023 (pmdCpus)'),
    });
  });
});

describe('createUserspaceProvider', () => {
  it('checks its options', () => {
    const netdevs = new NetdevRegistry();
    for (const pmdThreads of [-1, 1.5, 65, Number.NaN]) {
      expect(() => createUserspaceProvider({ netdevs, pmdThreads })).toThrow(
        expect.objectContaining({ code: 'EINVAL' }),
      );
    }
    for (const cpu of [-1, 0.5]) {
      expect(() => createUserspaceProvider({ netdevs, pmdCpus: [cpu] })).toThrow(
        expect.objectContaining({ code: 'EINVAL' }),
      );
    }
  });

  it('reports on the threads of a datapath by name, and has none inline', async () => {
    const netdevs = new NetdevRegistry();
    netdevs.register(new DummyProvider());
    const provider = createUserspaceProvider({ type: 'dummy', netdevs, pmdThreads: 2 });
    const backend = await provider.open('br1', true);
    expect((await provider.pmdReports('br1')).map(({ thread, queues }) => [thread, queues])).toEqual([
      [0, [{ port: 'br1', portNo: 0, queue: 0, pinned: false }]],
      [1, []],
    ]);
    await backend.destroy();
    await backend.close();
    await expect(provider.pmdReports('br1')).rejects.toMatchObject({ code: 'ENODEV' });
    const inline = await providerBench();
    await expect(
      inline.dpif.portAdd({ name: 'x', type: 'dummy', config: { 'pmd-rxq-affinity': '0:0' } }),
    ).rejects.toMatchObject({ code: 'EINVAL' });
    await inline.close();
  });
});
