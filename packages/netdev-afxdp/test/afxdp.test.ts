/** AF_XDP devices on veth pairs: modes, shared memory, starvation, and what happens when the interface changes. */

import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { FramePool, type Netdev, type NetdevConfig, PacketArena } from '@etherloom/core';
import { hex, type Netns, openFds } from '@etherloom/testkit';
import { describe, expect, it, type TestContext } from 'vitest';
import { AfxdpProvider } from '../src/index.js';
import {
  assertWhole,
  featuresOf,
  frameOf,
  missing,
  Port,
  registry,
  SENDER_FEATURES,
  switchFeatures,
  withVeths,
} from './harness.js';

const provider = new AfxdpProvider();
const reason = await missing('afxdp');

/** Runs `body` with veth pairs, or skips for the named reason. */
const onVeths = (pairs: number, body: (netns: Netns) => Promise<void>) => async (context: TestContext) => {
  if (reason !== undefined) context.skip(reason);
  await withVeths(pairs, body);
};

/** Opens `names`, and closes them when `body` is done. */
async function withDevices(
  netns: Netns,
  names: readonly string[],
  config: NetdevConfig,
  body: (...devices: Netdev[]) => Promise<void>,
): Promise<void> {
  const open: Netdev[] = [];
  try {
    for (const name of names) open.push(await provider.open(name, { ...config, netns: netns.name }));
    await body(...open);
  } finally {
    for (const device of open) await device.close();
  }
}

const frames = (count: number, length = 100): Uint8Array[] =>
  Array.from({ length: count }, (_, i) => frameOf(length, i));

describe('modes', () => {
  it(
    'auto takes the best one, and says why not a better',
    onVeths(1, async (netns) => {
      await netns.ip('link', 'add', 'plain', 'type', 'bridge');
      await withDevices(netns, ['v0', 'plain'], {}, async (veth, plain) => {
        const ports = [new Port(veth as Netdev), new Port(plain as Netdev)];
        expect(veth?.capabilities).toMatchObject({
          mode: 'native',
          refused: [{ mode: 'zerocopy', reason: expect.stringMatching(/no zero-copy/) }],
        });
        expect(plain?.capabilities).toMatchObject({
          mode: 'generic',
          refused: [{ mode: 'native', reason: expect.stringMatching(/driver .* no XDP/) }],
        });
        expect(await plain?.getStatus?.()).toMatchObject({
          mode: 'generic',
          refused: expect.stringMatching(/^native: /),
        });
        for (const port of ports) port.queue.close();
      });
    }),
  );

  it(
    'one that is demanded and cannot be had is an error that says so, and leaves nothing',
    onVeths(1, async (netns) => {
      await netns.ip('link', 'add', 'plain', 'type', 'bridge');
      const fds = openFds();
      await expect(provider.open('plain', { netns: netns.name, mode: 'native' })).rejects.toMatchObject({
        code: 'EOPNOTSUPP',
        message: expect.stringMatching(/no XDP.*mode=auto or mode=generic/),
      });
      expect(openFds()).toBe(fds);
      const pool = new FramePool(PacketArena.create({ frames: 64, largeFrames: 1 }));
      await withDevices(netns, ['v0'], { mode: 'zerocopy' }, async (veth) => {
        expect(() => new Port(veth as Netdev, pool)).toThrow(
          expect.objectContaining({
            code: 'EOPNOTSUPP',
            message: expect.stringMatching(/no zero-copy .*mode=auto/),
          }),
        );
      });
      assertWhole(pool);
      expect(openFds()).toBe(fds);
      expect(await netns.ip('link', 'show', 'v0')).not.toMatch(/xdp/);
    }),
  );

  it(
    'queues: as many as the device uses, each with packets of its own',
    onVeths(0, async (netns) => {
      const wide = ['numtxqueues', '4', 'numrxqueues', '4'];
      await netns.ip('link', 'add', 'v0', ...wide, 'type', 'veth', 'peer', 'name', 'p0', ...wide);
      await netns.ip('link', 'set', 'p0', 'up');
      await expect(provider.open('v0', { netns: netns.name, queues: '5' })).rejects.toMatchObject({
        code: 'EINVAL',
        message: expect.stringMatching(/uses 4: give at most 4/),
      });
      await withDevices(netns, ['v0', 'p0'], { queues: '4' }, async (left, right) => {
        const pool = new FramePool(PacketArena.create({ frames: 2048, largeFrames: 1 }));
        const lefts = [0, 1, 2, 3].map((index) => new Port(left as Netdev, pool, index));
        const rights = [0, 1, 2, 3].map((index) => new Port(right as Netdev, pool, index));
        for (const [i, port] of lefts.entries()) expect(port.send(frameOf(100, i))).toBe(1);
        for (const [i, port] of rights.entries()) {
          expect((await port.receiveMany(1)).map(hex)).toEqual([hex(frameOf(100, i))]);
        }
        for (const port of [...lefts, ...rights]) port.queue.close();
        assertWhole(pool);
      });
      await withDevices(netns, ['v0'], { queues: '2' }, async (device) => {
        expect((await device?.getStatus?.())?.queues).toMatch(/2 of the 4 receive queues .*queues=4/);
        expect(await device?.getConfig()).toEqual({ netns: netns.name, queues: '2' });
      });
    }),
  );

  it(
    'a program or a socket of somebody else is left alone, and named',
    onVeths(1, async (netns) => {
      await withDevices(netns, ['v0'], {}, async (device) => {
        for (const mode of ['auto', 'native', 'generic']) {
          await expect(provider.open('v0', { netns: netns.name, mode })).rejects.toMatchObject({
            code: 'EBUSY',
            message: expect.stringMatching(
              /XDP program of somebody else \(id \d+\).*ip link set dev v0 xdp off/,
            ),
          });
        }
        const port = new Port(device as Netdev);
        expect(() => new Port(device as Netdev)).toThrow(
          expect.objectContaining({
            code: 'EBUSY',
            message: expect.stringMatching(/queue 0 of "v0".*another program/),
          }),
        );
        expect(port.receive()).toEqual([]);
        port.queue.close();
      });
    }),
  );
});

describe('frames', () => {
  it(
    'cross from port to port in the memory where they came in',
    onVeths(2, async (netns) => {
      await withDevices(netns, ['v0', 'v1', 'p0', 'p1'], {}, async (v0, v1, p0, p1) => {
        const pool = new FramePool(PacketArena.create({ frames: 1024, largeFrames: 1 }));
        const [from, to] = [new Port(v0 as Netdev, pool), new Port(v1 as Netdev, pool)];
        const [source, sink] = [new Port(p0 as Netdev), new Port(p1 as Netdev)];
        const sent = frames(60);
        source.send(...sent);
        const received: string[] = [];
        for (let i = 0; i < 1000 && received.length < 60; i++) {
          from.queue.rxBurst(from.batch);
          const places = Array.from(from.batch.data.subarray(0, from.batch.count));
          expect(to.queue.txBurst(from.batch)).toBe(places.length);
          received.push(...sink.receive().map(hex));
        }
        expect(received).toEqual(sent.map(hex));
        for (const port of [from, to, source, sink]) {
          port.queue.close();
          expect(port.dropped()).toEqual({});
        }
        for (const port of [from, source, sink]) assertWhole(port.pool);
      });
    }),
  );

  it(
    'flooded to several ports come back once per port',
    onVeths(3, async (netns) => {
      await withDevices(netns, ['v0', 'v1', 'v2', 'p0', 'p1', 'p2'], {}, async (...devices) => {
        const pool = new FramePool(PacketArena.create({ frames: 1024, largeFrames: 1 }));
        const ports = devices.slice(0, 3).map((device) => new Port(device, pool));
        const far = devices.slice(3).map((device) => new Port(device));
        const free = pool.free;
        const sent = frames(32);
        for (const frame of sent) {
          const at = pool.alloc();
          pool.arena.bytes.set(frame, at);
          pool.retain(at);
          pool.retain(at);
          for (const port of ports) port.batch.push(at, frame.length);
        }
        for (const port of ports) expect(port.queue.txBurst(port.batch)).toBe(32);
        for (const port of far) expect((await port.receiveMany(32)).map(hex)).toEqual(sent.map(hex));
        for (const port of ports) port.receive();
        expect(pool.free).toBe(free);
        for (const port of [...ports, ...far]) port.queue.close();
        assertWhole(pool);
      });
    }),
  );

  it(
    'of an MTU of 9000 go both ways, in several buffers',
    onVeths(1, async (netns) => {
      await netns.ip('link', 'set', 'v0', 'mtu', '9000');
      await netns.ip('link', 'set', 'p0', 'mtu', '9000');
      await withDevices(netns, ['v0', 'p0'], {}, async (left, right) => {
        const [a, b] = [new Port(left as Netdev), new Port(right as Netdev)];
        const sent = [60, 1514, 1792, 1793, 2048, 2049, 4000, 4096, 9000, 9014, 60].map((length) =>
          frameOf(length),
        );
        expect(a.send(...sent)).toBe(sent.length);
        expect((await b.receiveMany(sent.length)).map(hex)).toEqual(sent.map(hex));
        expect(b.send(...sent)).toBe(sent.length);
        expect((await a.receiveMany(sent.length)).map(hex)).toEqual(sent.map(hex));
        for (const port of [a, b]) {
          expect(port.dropped()).toEqual({});
          port.queue.close();
          assertWhole(port.pool);
        }
      });
    }),
  );

  it(
    'that come while none are free are counted, each one, and reception goes on',
    onVeths(1, async (netns) => {
      await withDevices(netns, ['v0', 'p0'], {}, async (device, peer) => {
        const port = new Port(
          device as Netdev,
          new FramePool(PacketArena.create({ frames: 64, largeFrames: 1 })),
        );
        const far = new Port(peer as Netdev);
        const held: number[] = [];
        let received = 0;
        for (let round = 0; round < 20; round++) {
          expect(far.send(...frames(25))).toBe(25);
          for (let burst = 0; burst < 3; burst++) {
            received += port.queue.rxBurst(port.batch);
            held.push(...port.batch.data.subarray(0, port.batch.count));
            port.batch.count = 0;
          }
        }
        expect(port.pool.free).toBe(0);
        expect(received).toBeGreaterThan(40);
        for (const at of held) port.pool.release(at);
        far.send(...frames(8));
        received += (await port.receiveMany(8)).length;
        port.queue.close();
        // What the kernel had no frame for is counted when the queue looks at its statistics; at the latest now.
        expect(port.dropped()).toEqual({ no_frame: 508 - received });
        const stats = await device?.getStats();
        expect(stats).toMatchObject({ rxPackets: received, rxMissedErrors: 0 });
        assertWhole(port.pool);
        far.queue.close();
      });
    }),
  );
});

describe('an interface that', () => {
  /** Sends and receives all the time while `change` happens, and for a while after. */
  async function underLoad(port: Port, far: Port, change: () => Promise<unknown>): Promise<void> {
    let going = true;
    const load = (async () => {
      while (going) {
        far.send(...frames(32));
        port.receive();
        port.send(...frames(32));
        far.receive();
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    await sleep(20);
    await change();
    await sleep(50);
    going = false;
    await load;
  }

  it(
    'goes down and comes up under load says so, and works again',
    onVeths(1, async (netns) => {
      await withDevices(netns, ['v0', 'p0'], {}, async (device, peer) => {
        const [port, far] = [new Port(device as Netdev), new Port(peer as Netdev)];
        for (let round = 0; round < 3; round++) {
          await underLoad(port, far, async () => {
            await netns.ip('link', 'set', 'v0', 'down');
            expect(await device?.getCarrier()).toBe(false);
            await sleep(20);
            await netns.ip('link', 'set', 'v0', 'up');
          });
          expect(await device?.getCarrier()).toBe(true);
        }
        expect(await device?.getCarrierResets()).toBeGreaterThanOrEqual(2);
        expect(port.dropped().tx_down).toBeGreaterThan(0);
        while (port.receive().length + far.receive().length > 0);
        await expect.poll(() => port.send(frameOf(60))).toBe(1);
        await far.receiveMany(1);
        for (const each of [port, far]) {
          each.queue.close();
          assertWhole(each.pool);
        }
      });
    }),
  );

  it(
    'is renamed keeps working, and says so',
    onVeths(1, async (netns) => {
      await withDevices(netns, ['v0', 'p0'], {}, async (device, peer) => {
        const [port, far] = [new Port(device as Netdev), new Port(peer as Netdev)];
        await underLoad(port, far, () => netns.ip('link', 'set', 'v0', 'name', 'renamed'));
        expect(await device?.getStatus?.()).toMatchObject({ renamed: expect.stringMatching(/"renamed"/) });
        while (port.receive().length + far.receive().length > 0);
        expect(port.send(frameOf(60))).toBe(1);
        await far.receiveMany(1);
        for (const each of [port, far]) each.queue.close();
      });
    }),
  );

  it(
    'is deleted under load drops what is sent there, says so, and its frames come back',
    onVeths(1, async (netns) => {
      await withDevices(netns, ['v0', 'p0'], {}, async (device, peer) => {
        const [port, far] = [new Port(device as Netdev), new Port(peer as Netdev)];
        await underLoad(port, far, () => netns.ip('link', 'del', 'v0'));
        expect(port.send(...frames(10))).toBe(0);
        expect(port.dropped().tx_down).toBeGreaterThanOrEqual(10);
        expect(port.receive()).toEqual([]);
        for (const call of [
          device?.getMtu(),
          device?.getCarrier(),
          device?.getStats(),
          device?.getStatus?.(),
        ]) {
          await expect(call).rejects.toMatchObject({
            code: 'ENODEV',
            message: expect.stringMatching(/gone .*add it again/),
          });
        }
        for (const each of [port, far]) {
          each.queue.close();
          assertWhole(each.pool);
        }
      });
      await expect(provider.open('v0', { netns: netns.name })).rejects.toMatchObject({
        code: 'ENODEV',
        message: expect.stringMatching(/there is no network device "v0" in network namespace/),
      });
    }),
  );

  it(
    'is promiscuous is so as long as the port is there',
    onVeths(1, async (netns) => {
      await withDevices(netns, ['v0'], {}, async (device) => {
        await device?.setFlags({ promisc: true });
        expect(await netns.ip('-d', 'link', 'show', 'v0')).toMatch(/promiscuity 1/);
        expect(await device?.getFlags()).toMatchObject({ promisc: true });
      });
      expect(await netns.ip('-d', 'link', 'show', 'v0')).toMatch(/promiscuity 0/);
    }),
  );

  it(
    'has a peer that leaves VLAN tags to its device gets them in the packets in generic mode, until it is closed',
    onVeths(1, async (netns) => {
      await withVeths(0, async (host) => {
        await netns.ip('link', 'set', 'p0', 'netns', host.name);
        const before = featuresOf(host, 'p0');
        expect(before).toEqual(SENDER_FEATURES);
        await withDevices(netns, ['v0'], { mode: 'generic' }, async (device) => {
          expect(featuresOf(host, 'p0')).toEqual([]);
          const features = `off at "p0" (ip netns exec ${host.name}) while this port is there: ${before.join(', ')}`;
          expect(await device?.getStatus?.()).toEqual({ mode: 'generic', features });
          // Somebody turns one on again.
          switchFeatures(host, 'p0', ['tx-vlan-stag-hw-insert'], true);
          expect((await device?.getStatus?.())?.warning).toMatch(
            new RegExp(
              `^"p0" leaves VLAN tags .*: run "ip netns exec ${host.name} ethtool -K p0 tx-vlan-stag-hw-insert off", or`,
            ),
          );
          // What follows a device to another namespace.
          await host.ip('link', 'set', 'p0', 'netns', netns.name, 'name', 'moved');
          expect((await device?.getStatus?.())?.features).toMatch(/^off at "moved" \(/);
        });
        expect(featuresOf(netns, 'moved')).toEqual(before);
      });
      // What was off before stays off, and native mode needs none of it.
      switchFeatures(netns, 'moved', ['tx-vlan-hw-insert'], false);
      await withDevices(netns, ['v0'], { mode: 'generic' }, async () => {});
      expect(featuresOf(netns, 'moved')).toEqual(SENDER_FEATURES.slice(1));
      await withDevices(netns, ['v0'], { mode: 'native' }, async (device) => {
        // veth's driver takes segmentation away from the peer itself.
        expect(featuresOf(netns, 'moved')).toEqual(['tx-vlan-stag-hw-insert']);
        expect(await device?.getStatus?.()).not.toHaveProperty('features');
      });
    }),
  );
});

/** Opens and closes both ends of a pair with their queues, `count` times. */
async function cycles(netns: Netns, type: string, config: NetdevConfig, count: number): Promise<void> {
  const pool = new FramePool(PacketArena.create({ frames: 64, largeFrames: 1 }));
  const netdevs = registry();
  for (let i = 0; i < count; i++) {
    const refs = [];
    for (const name of ['v0', 'p0'])
      refs.push(await netdevs.open(name, type, { ...config, netns: netns.name }));
    const ports = refs.map(({ netdev }) => new Port(netdev, pool));
    ports[0]?.send(frameOf(60));
    for (const port of ports) port.queue.close();
    for (const ref of refs) await ref.release();
  }
  assertWhole(pool);
}

const LONG = process.env.ETHERLOOM_LONG === '1';

describe('opening and closing leaves no descriptor, thread or mapping', () => {
  for (const [type, config, count] of [
    ['afxdp', { mode: 'native' }, LONG ? 5000 : 30],
    ['afxdp', { mode: 'generic' }, LONG ? 500 : 10],
    ['afpacket', {}, LONG ? 5000 : 50],
  ] as const) {
    it(
      `${2 * count} times: ${type} ${JSON.stringify(config)}`,
      onVeths(1, async (netns) => {
        const state = (): unknown => ({
          fds: openFds(),
          threads: readdirSync('/proc/self/task').length,
          // A ring's mapping shows the socket that it is of.
          rings: readFileSync('/proc/self/maps', 'latin1').match(/socket:/g)?.length ?? 0,
        });
        await cycles(netns, type, config, 2);
        const before = state();
        await cycles(netns, type, config, count);
        expect(state()).toEqual(before);
        expect(await netns.ip('-d', 'link', 'show', 'v0')).not.toMatch(/xdp|promiscuity 1/);
      }),
      1_200_000,
    );
  }
});
