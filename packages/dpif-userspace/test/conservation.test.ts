/** Every packet that comes in goes out, comes up, or is counted under a named reason: rx = tx + upcalls + drops. */

import { FramePool, NetdevRegistry, PacketArena, type Upcall } from '@etherloom/core';
import { DummyProvider } from '@etherloom/netdev-dummy';
import { parseActions, parseFlowKey } from '@etherloom/odp-codec';
import { ethernet, ipv4, udp } from '@etherloom/testkit';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Datapath } from '../src/datapath.js';
import { Opener } from '../src/opener.js';
import { Runner } from '../src/runner.js';
import { eventually } from './bench.js';

const driver = new DummyProvider();
let pool: FramePool;
let datapath: Datapath;
let opener: Opener;

beforeEach(async () => {
  const netdevs = new NetdevRegistry();
  netdevs.register(driver);
  pool = new FramePool(PacketArena.create({ frames: 512, largeFrames: 16 }));
  datapath = await Datapath.create('br0', {
    type: 'dummy',
    netdevs,
    pool,
    runner: new Runner(() => performance.now()),
    limits: { upcalls: 64, upcallBytes: 100_000, upcallTotalBytes: 1 << 26 },
    actionRules: 'strict',
    vlanLimit: 2,
    openType: () => 'dummy',
  });
  opener = new Opener(datapath, { closed: () => datapath.destroy(), destroyed: () => undefined });
  for (const [name, portNo, config] of [
    ['in', 1, {}],
    ['out', 2, { capture: '0' }],
    ['small', 3, { capture: '0', mtu: '576' }],
    ['down', 4, { up: 'false' }],
  ] as const) {
    await opener.portAdd({ name, type: 'dummy', config }, portNo);
  }
});

afterEach(async () => {
  await opener.close();
  expect([pool.free, pool.freeLarge]).toEqual([512, 16]);
});

async function put(key: string, actions: string): Promise<void> {
  const [result] = await opener.operate([
    { type: 'flowPut', flags: 1, ...parseFlowKey(key), actions: parseActions(actions) },
  ]);
  if (result?.error !== undefined) throw result.error;
}

async function sum(of: (portNo: number) => Promise<number>): Promise<number> {
  let total = 0;
  for await (const { portNo } of opener.portDump()) total += await of(portNo);
  return total;
}

async function stat(portNo: number, counter: 'txPackets' | 'rxPackets'): Promise<number> {
  const { name } = await opener.portQueryByNumber(portNo);
  return (await driver.device(name)!.getStats())[counter] ?? 0;
}

const drops = (portNo: number): Promise<number> =>
  opener.portGetDrops(portNo).then((named) => Object.values(named).reduce((a, b) => a + b, 0));

/** Injects everything into port "in", no faster than it is taken; returns when all of it is accounted for. */
async function run(packets: Iterable<Uint8Array>): Promise<{ sent: number; upcalls: Upcall[] }> {
  const device = driver.device('in')!;
  const upcalls: Upcall[] = [];
  const abort = new AbortController();
  const receive = (): Promise<Upcall[]> => opener.recvBatch(0, 32, abort.signal);
  const client = (async () => {
    // Empty: the signal, or nobody listens.
    for (let batch = await receive(); batch.length > 0; batch = await receive()) upcalls.push(...batch);
  })();
  let sent = 0;
  for (const packet of packets) {
    await eventually(() => device.inject(packet));
    sent++;
  }
  const delivered = async (): Promise<number> =>
    (await sum((portNo) => stat(portNo, 'txPackets'))) + upcalls.length + (await sum(drops));
  await eventually(async () => (await delivered()) >= sent);
  abort.abort();
  await client;
  expect(await delivered()).toBe(sent);
  return { sent, upcalls };
}

describe('conservation', () => {
  it('frames of every awkward length', async () => {
    await opener.recvSet(true);
    await put('in_port(1),eth(),eth_type(0x88b5)', '2');
    const lengths = [...Array(14).keys(), 14, 15, 59, 60, 61, 1513, 1514, 1515, 1518, 9000, 65_535];
    const { upcalls } = await run(
      lengths.map((length) => {
        const frame = new Uint8Array(length).fill(length);
        if (length >= 14) frame.set([0x88, length % 2 === 0 ? 0xb5 : 0xb6], 12);
        return frame;
      }),
    );
    expect((await opener.portGetDrops(1)).rx_runt).toBe(14);
    expect(upcalls.map(({ packet }) => packet.length)).toEqual([15, 59, 61, 1513, 1515, 65_535]);
    expect((await opener.portGetDrops(2)).tx_too_big).toBe(2);
    expect(await stat(2, 'txPackets')).toBe(3);
  });

  it('packets without an Ethernet header, which no Ethernet port takes', async () => {
    await put('in_port(1),eth(),eth_type(0x0800),ipv4(frag=no)', 'pop_eth,2');
    const frame = ethernet({}, ipv4({ src: '10.0.0.1', dst: '10.0.0.2' }, udp({ src: 1, dst: 2 })));
    await run([frame, frame]);
    expect(await opener.portGetDrops(1)).toEqual({ tx_not_ethernet: 2 });
    expect(await stat(2, 'txPackets')).toBe(0);
  });

  it('100,000 random frames through flows of every kind', async () => {
    await opener.recvSet(true);
    const pid = await opener.portGetPid(1, 0);
    const ip = 'in_port(1),eth(),eth_type(0x0800)';
    await put(`${ip},ipv4(proto=17,frag=no),udp(src=1)`, '2');
    await put(`${ip},ipv4(proto=17,frag=no),udp(src=2)`, '');
    await put(`${ip},ipv4(proto=17,frag=no),udp(src=10)`, 'drop');
    await put(`${ip},ipv4(proto=17,frag=no),udp(src=3)`, '77');
    await put(`${ip},ipv4(proto=17,frag=no),udp(src=4)`, `userspace(pid=${pid},userdata(0102))`);
    await put(`${ip},ipv4(proto=17,frag=no),udp(src=5)`, 'set(ipv4(ttl=1)),push_vlan(vid=2,pcp=0),3');
    await put(`${ip},ipv4(proto=17,frag=no),udp(src=6)`, '4');
    await put(
      `${ip},ipv4(proto=17,frag=no),udp(src=7)`,
      'push_mpls(label=3,tc=0,ttl=9,bos=1,eth_type=0x8847),recirc(0x1)',
    );
    await put(
      'recirc_id(0x1),in_port(1),eth(),eth_type(0x8847),mpls(label=3,bos=1)',
      'pop_mpls(eth_type=0x800),2',
    );
    await put(`${ip},ipv4(proto=17,frag=no),udp(src=8)`, 'recirc(0x2)');
    await put(`${ip},ipv4(proto=17,frag=no),udp(src=9)`, 'recirc(0x3)');
    await put(`recirc_id(0x3),${ip},ipv4(proto=17,frag=no),udp(src=9)`, 'recirc(0x3)');
    let seed = 12_345;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
      return Math.floor((seed / 0x1_0000_0000) * below);
    };
    function* packets(): Iterable<Uint8Array> {
      for (let i = 0; i < 100_000; i++) {
        const kind = random(10);
        if (kind === 0) yield Uint8Array.from({ length: random(200) }, () => random(256));
        else {
          const payload = new Uint8Array(random(20) === 0 ? random(1460) : random(60));
          const packet = ethernet(
            {},
            ipv4({ src: '10.0.0.1', dst: '10.0.0.2' }, udp({ src: random(11), dst: random(3) }, payload)),
          );
          // Half of them are damaged somewhere.
          if (kind < 5) packet[random(Math.min(packet.length, 60))] = random(256);
          yield kind === 9 ? packet.subarray(0, random(packet.length + 1)) : packet;
        }
      }
    }
    const { sent, upcalls } = await run(packets());
    expect(sent).toBe(100_000);
    expect(upcalls.length).toBeGreaterThan(0);
    const named = Object.keys({ ...(await opener.portGetDrops(1)), ...(await opener.portGetDrops(3)) });
    expect(named).toEqual(
      expect.arrayContaining([
        'rx_runt',
        'flow_drop',
        'explicit_drop',
        'no_port',
        'recirc_depth',
        'tx_too_big',
      ]),
    );
    const { hit, missed } = await opener.getDpStats();
    expect(hit + missed).toBeGreaterThanOrEqual(sent - (await opener.portGetDrops(1)).rx_runt!);
  }, 60_000);

  it('upcalls that nobody takes, and no memory for the rest', async () => {
    // No listener at first, then one that never reads: queues fill, and what overflows is named.
    await run(Array.from({ length: 100 }, () => new Uint8Array(60)));
    expect(await opener.portGetDrops(1)).toEqual({ no_handler: 100 });
    await opener.recvSet(true);
    for (let i = 0; i < 200; i++) driver.device('in')!.inject(new Uint8Array(60));
    await eventually(async () => (await opener.portGetDrops(1)).upcall_full === 200 - 64);
    await opener.recvPurge();
    for (let i = 0; i < 3; i++) driver.device('in')!.inject(new Uint8Array(60_000));
    await eventually(async () => (await opener.portGetDrops(1)).upcall_full === 200 - 64 + 2);
  });
});
