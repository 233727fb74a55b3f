/** What is particular to this datapath, beyond the dpif contract: bounds, failures of devices, the event loop. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  DpifError,
  DpifRegistry,
  type Netdev,
  type NetdevProvider,
  NetdevRegistry,
  PORT_NONE,
} from '@etherloom/core';
import { DummyProvider, PcapWriter } from '@etherloom/netdev-dummy';
import { formatFlowKey, parseActions, parseFlowKey } from '@etherloom/odp-codec';
import { afterEach, describe, expect, it } from 'vitest';
import { createUserspaceProvider } from '../src/index.js';
import { type Bench, bench, eventually } from './bench.js';

let rig: Bench;
afterEach(() => rig.close());

const frame = (seed = 0, length = 60): Uint8Array => {
  const bytes = new Uint8Array(length).fill(seed);
  bytes.set([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5]);
  return bytes;
};
const FLOW = 'in_port(1),eth(),eth_type(0x88b5)';

describe('bounds', () => {
  it('a full flow table is EFBIG, one mask too many ENOSPC, and both can go on after a deletion', async () => {
    rig = await bench({ limits: { maxFlows: 3, maxMasks: 2 } });
    const key = (src: number): string => `in_port(1),eth(src=02:00:00:00:00:0${src}),eth_type(0x88b5)`;
    await rig.put(key(1), '1');
    await rig.put('in_port(2),eth(),eth_type(0x88b5)', '1');
    await expect(
      rig.put('in_port(3),eth(dst=02:00:00:00:00:01),eth_type(0x88b5)', '1'),
    ).rejects.toMatchObject({
      code: 'ENOSPC',
    });
    await rig.put(key(2), '1');
    await expect(rig.put(key(3), '1')).rejects.toMatchObject({ code: 'EFBIG' });
    await rig.dpif.flowDel(parseFlowKey(key(1)).key);
    await rig.put(key(3), '1');
    expect(await rig.dpif.getDpStats()).toMatchObject({ flows: 3, masks: 2 });
  });

  it('no packet memory: execute says ENOBUFS, received packets are counted, and it recovers', async () => {
    rig = await bench({ arena: { frames: 1, largeFrames: 0 } });
    await rig.port('a', 1);
    await rig.port('b', 2);
    await rig.put(FLOW, '2');
    await expect(
      rig.dpif.execute({ packet: frame(0, 9000), actions: parseActions('2') }),
    ).rejects.toMatchObject({ code: 'ENOBUFS' });
    rig.device('a').injectMany([frame(1), frame(2), frame(3)]);
    await eventually(async () => (await rig.dpif.portGetDrops(1)).no_frame === 2);
    expect(rig.device('b').takeTransmitted()).toEqual([frame(1)]);
    rig.device('a').inject(frame(4));
    await eventually(() => rig.device('b').takeTransmitted().length === 1);
  });

  it('port numbers end at 65534', async () => {
    rig = await bench();
    await expect(rig.port('a', 65_535)).rejects.toMatchObject({ code: 'EFBIG' });
    expect(await rig.port('a', 65_534)).toBe(65_534);
    rig.device('a').inject(frame());
    await eventually(async () => (await rig.dpif.portGetDrops(65_534)).no_handler === 1);
    await rig.dpif.execute({ packet: frame(), actions: parseActions('65534,65533') });
    expect(rig.device('a').takeTransmitted()).toHaveLength(1);
    await expect(
      rig.dpif.execute({ packet: frame(), actions: parseActions('65534,65535') }),
    ).rejects.toMatchObject({ code: 'EINVAL', message: expect.stringContaining('output to port 65535') });
    expect(rig.device('a').takeTransmitted()).toHaveLength(0);
    expect(await rig.dpif.portGetDrops(PORT_NONE)).toEqual({ no_port: 1 });
  });

  it.each([
    { action: 'ct(commit)', sent: 1, lost: 1 },
    { action: 'psample(group=1)', sent: 1, lost: 1 },
    // What a bond or tunnel that does not exist gets is a copy; what a meter that does not exist does is nothing.
    { action: 'lb_output(1)', sent: 2, lost: 1 },
    { action: 'tnl_pop(4)', sent: 2, lost: 1 },
    { action: 'meter(1)', sent: 2, lost: undefined },
  ])('an action that this datapath does not have: $action', async ({ action, sent, lost }) => {
    rig = await bench();
    await rig.port('a', 1);
    await rig.put(FLOW, `1,${action},1`);
    rig.device('a').inject(frame());
    await eventually(async () => (await rig.dpif.getDpStats()).hit === 1);
    expect(rig.device('a').takeTransmitted()).toHaveLength(sent);
    expect((await rig.dpif.portGetDrops(1)).action_unsupported).toBe(lost);
  });

  it('with a VLAN limit of 1 a second tag is not part of the key', async () => {
    rig = await bench({ vlanLimit: 1 });
    await rig.port('a', 1);
    await rig.dpif.recvSet(true);
    const tags = [0x88, 0xa8, 0, 5, 0x81, 0, 0, 6];
    const packet = Uint8Array.from([...frame().subarray(0, 12), ...tags, ...frame().subarray(12)]);
    rig.device('a').inject(packet);
    const [upcall] = await rig.dpif.recvBatch(0, 1);
    expect(formatFlowKey(upcall!.key)).toMatch(/vlan\(vid=5,pcp=0\),encap\(eth_type\(0x8100\)\)$/);
    await rig.dpif.flowPut({ flags: 1, key: upcall!.key, actions: parseActions('1') });
    rig.device('a').inject(packet);
    await eventually(() => rig.device('a').takeTransmitted().length === 1);
    expect(() => createUserspaceProvider({ netdevs: rig.netdevs, vlanLimit: JSON.parse('3') })).toThrow(
      /VLAN limit of 3/,
    );
  });

  it('the key of a frame whose tag is cut off matches the next such frame', async () => {
    rig = await bench();
    await rig.port('a', 1);
    await rig.dpif.recvSet(true);
    const packet = Uint8Array.from([...frame().subarray(0, 12), 0x81, 0, 0x10]);
    rig.device('a').inject(packet);
    const [upcall] = await rig.dpif.recvBatch(0, 1);
    await rig.dpif.flowPut({ flags: 1, key: upcall!.key, actions: parseActions('1') });
    rig.device('a').inject(packet);
    await eventually(() => rig.device('a').takeTransmitted().length === 1);
    expect((await rig.dpif.flowGet(upcall!.key)).stats.packets).toBe(1);
  });

  it('a key with bits that no packet has comes back from dumps as it was put', async () => {
    rig = await bench();
    const { key } = parseFlowKey('in_port(1),eth(),eth_type(0x86dd),ipv6(label=0xfffff,proto=47,frag=no)');
    const label = key.findIndex((_, i) => key[i] === 0x0f && key[i + 1] === 0xff && key[i + 2] === 0xff);
    const odd = key.with(label - 1, 0x0f).with(label, 0xff);
    await rig.dpif.flowPut({ flags: 1, key: odd, actions: parseActions('1') });
    for await (const flow of rig.dpif.flowDump()) {
      expect((await rig.dpif.flowGet(flow.key)).key).toEqual(flow.key);
      await rig.dpif.flowDel(flow.key);
    }
    expect((await rig.dpif.getDpStats()).flows).toBe(0);
  });

  it('more port changes than are kept are told as "something changed"', async () => {
    rig = await bench();
    for (let i = 0; i < 300; i++) await rig.dpif.portDel(await rig.port(`p${i}`));
    expect(await rig.dpif.portPoll()).toEqual({});
    expect(await rig.dpif.portPoll()).toBeUndefined();
  });
});

describe('devices that fail', () => {
  /** A dummy driver, one of whose devices is broken in one way. */
  async function broken(change: (netdev: Netdev) => Partial<Netdev>, queueFails = false): Promise<void> {
    rig = await bench();
    const dummy = new DummyProvider('broken');
    const provider: NetdevProvider = {
      type: 'broken',
      open: async (name, config) => {
        const netdev = await dummy.open(name, config);
        return new Proxy(netdev, {
          get: (target, property) => {
            const changed: unknown = Reflect.get(change(target), property);
            const value: unknown = changed ?? Reflect.get(target, property);
            return typeof value === 'function' ? value.bind(target) : value;
          },
        });
      },
      openQueue: (descriptor, resources) => {
        if (queueFails && descriptor.index === 1) throw new DpifError('ENOBUFS', 'no memory for this queue');
        return dummy.openQueue(descriptor, resources);
      },
    };
    rig.netdevs.register(provider);
  }
  const add = (): Promise<number> => rig.dpif.portAdd({ name: 'x', type: 'broken', config: { n_rxq: '2' } });
  const nothingLeft = async (): Promise<void> => {
    expect(await rig.dpif.portExists('x')).toBe(false);
    expect(await rig.netdevs.find('x')).toBeUndefined();
    expect(await rig.port('x')).toBe(1);
    rig.device('x').inject(frame());
    await eventually(async () => (await rig.dpif.portGetDrops(1)).no_handler === 1);
  };

  it('a queue that cannot be opened: nothing is left of the port', async () => {
    await broken(() => ({}), true);
    await expect(add()).rejects.toMatchObject({ code: 'ENOBUFS' });
    await nothingLeft();
  });

  it('a loopback device is EINVAL', async () => {
    await broken(() => ({ getFlags: async () => ({ up: true, promisc: false, loopback: true }) }));
    await expect(add()).rejects.toMatchObject({ code: 'EINVAL' });
    await nothingLeft();
  });

  it('a device that knows no promiscuous mode becomes a port all the same, one that refuses it does not', async () => {
    let code: 'EOPNOTSUPP' | 'EPERM' = 'EOPNOTSUPP';
    await broken(() => ({ setFlags: () => Promise.reject(new DpifError(code, 'promisc is not for me')) }));
    await rig.dpif.portDel(await add());
    code = 'EPERM';
    await expect(add()).rejects.toMatchObject({ code: 'EPERM' });
    await nothingLeft();
  });

  it('a device that fails to close is reported, and the port is gone', async () => {
    let failures = 0;
    await broken((netdev) => ({
      close: async () => {
        await netdev.close();
        failures++;
        throw new DpifError('EIO', 'it does not close well');
      },
    }));
    await expect(rig.dpif.portDel(await add())).rejects.toMatchObject({ code: 'EIO' });
    await nothingLeft();
    expect(failures).toBe(1);
  });

  it('without a driver for the local port there is no datapath', async () => {
    rig = await bench();
    const dpifs = new DpifRegistry();
    const provider = createUserspaceProvider({ netdevs: new NetdevRegistry() });
    dpifs.register(provider);
    expect([provider.type, provider.portOpenType?.('internal'), provider.portOpenType?.('tap')]).toEqual([
      'netdev',
      'tap',
      'tap',
    ]);
    await expect(dpifs.create('br1', 'netdev')).rejects.toMatchObject({ code: 'EAFNOSUPPORT' });
    expect(await dpifs.names('netdev')).toEqual([]);
  });
});

describe('the event loop', () => {
  it('a flood starves neither timers nor another port, and idle costs nothing', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'etherloom-flood-'));
    try {
      const capture = join(folder, 'flood.pcap');
      const writer = new PcapWriter(capture);
      writer.write(Array.from({ length: 64 }, (_, i) => frame(i)));
      writer.close();
      rig = await bench();
      await rig.port('quiet', 2);
      await rig.port('sink', 3, { capture: '0' });
      await rig.put(FLOW, '3');
      await rig.put('in_port(2),eth(),eth_type(0x88b5)', '2');
      await rig.port('loud', 1, { replay: capture, replay_loops: '0' });
      let ticks = 0;
      const timer = setInterval(() => ticks++, 5);
      for (let i = 0; i < 20; i++) {
        rig.device('quiet').inject(frame(i));
        await eventually(() => rig.device('quiet').takeTransmitted().length === 1);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      clearInterval(timer);
      // The flood was one: thousands of packets between two of the quiet port.
      expect((await rig.dpif.getDpStats()).hit).toBeGreaterThan(20_000);
      expect(ticks).toBeGreaterThan(10);
      await rig.dpif.portDel(1);
      await new Promise((resolve) => setTimeout(resolve, 50));
      const before = process.cpuUsage();
      await new Promise((resolve) => setTimeout(resolve, 300));
      const { user, system } = process.cpuUsage(before);
      expect(user + system).toBeLessThan(100_000);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('a device that calls back when it sends may use the datapath', async () => {
    rig = await bench();
    await rig.port('a', 1);
    await rig.port('b', 2);
    await rig.put(FLOW, '2');
    const done: Promise<void>[] = [];
    rig.device('b').onTransmit((sent) => {
      if (sent[20] === 7) done.push(rig.dpif.execute({ packet: frame(8), actions: parseActions('1,2') }));
    });
    rig.device('a').injectMany([frame(7), frame(7)]);
    await eventually(() => done.length === 2);
    await Promise.all(done);
    expect(rig.device('a').takeTransmitted()).toEqual([frame(8), frame(8)]);
    expect(rig.device('b').takeTransmitted()).toEqual([frame(7), frame(7), frame(8), frame(8)]);
  });

  it('all receive queues of a device are served', async () => {
    rig = await bench();
    await rig.port('a', 1, { n_rxq: '3' });
    await rig.port('b', 2);
    await rig.put(FLOW, '2');
    for (const queue of [0, 1, 2]) rig.device('a').inject(frame(queue), queue);
    const sent: Uint8Array[] = [];
    await eventually(() => sent.push(...rig.device('b').takeTransmitted()) === 3);
    expect(sent.map((bytes) => bytes[20]).sort()).toEqual([0, 1, 2]);
  });

  it('flow statistics and now() go by the given clock', async () => {
    let time = 0.4;
    rig = await bench({ clock: () => time });
    await rig.port('a', 1);
    await rig.put(FLOW, '');
    // 0 would mean "never".
    expect(await rig.dpif.now()).toBe(1);
    time = 1234.9;
    rig.device('a').inject(frame());
    await eventually(async () => (await rig.dpif.flowGet(parseFlowKey(FLOW).key)).stats.used === 1234);
  });

  it('a packet that waits to be sent when its port goes is not lost in the memory', async () => {
    rig = await bench({ arena: { frames: 8 } });
    await rig.port('a', 1);
    await rig.port('b', 2);
    await rig.put(FLOW, '2');
    for (let round = 0; round < 20; round++) {
      rig.device('a').injectMany([frame(1), frame(2), frame(3)]);
      await Promise.all([rig.dpif.portDel(2), new Promise((resolve) => setImmediate(resolve))]);
      await rig.port('b', 2);
    }
    rig.device('a').injectMany(Array.from({ length: 8 }, (_, i) => frame(i)));
    const sent: Uint8Array[] = [];
    await eventually(() => sent.push(...rig.device('b').takeTransmitted()) >= 8);
    expect((await rig.dpif.portGetDrops(1)).no_frame).toBeUndefined();
  });
});
