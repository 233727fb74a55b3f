/** Checksums that were left undone leave an AF_XDP port as the kernel's own do: undone, and said to be so; or finished. */

import { release } from 'node:os';
import {
  DROP_REASON_COUNT,
  FramePool,
  type Netdev,
  OFFLOAD_CSUM_PARTIAL,
  OffloadResolver,
  PacketArena,
  PacketBatch,
} from '@etherloom/core';
import { ethernet, ipv4, type Netns, pattern, udp as udpDatagram } from '@etherloom/testkit';
import { afterAll, beforeAll, expect, it, type TestContext } from 'vitest';
import { AfPacket } from '../../netdev-tap/test/af-packet.js';
import { COMPLETION_SIZE, FILL_SIZE, LAYOUT_WORDS, RX_SIZE, TX_SIZE } from '../src/afxdp/rings.hot.js';
import { type XskDescriptor, XskQueue } from '../src/afxdp/xsk.hot.js';
import { xskBinding } from '../src/binding.js';
import { AfxdpProvider } from '../src/index.js';
import { assertWhole, missing, Port, vethNetns } from './harness.js';

const reason = await missing('afxdp', {}, 'cc');
let helper: AfPacket | undefined;
beforeAll(async () => {
  if (reason === undefined) helper = await AfPacket.build();
});
afterAll(() => helper?.remove());

const L4 = 34;
const FIELD = 6;
const CHUNK = 2048;
const HEADROOM = 256;

/** A UDP packet as it should be on a wire. */
function finished(payload: number, seed: number): Uint8Array {
  return ethernet(
    {},
    ipv4({ src: '10.1.1.1', dst: '10.1.1.2' }, udpDatagram({ src: 1000, dst: seed }, pattern(payload, seed))),
  );
}

/** The same as its sender leaves it to a device: with the sum of the pseudo header in the field. */
function unfinished(frame: Uint8Array): Uint8Array {
  const copy = frame.slice();
  const view = new DataView(copy.buffer);
  const length = copy.length - L4;
  let sum = 17 + length;
  for (let at = 26; at < L4; at += 2) sum += view.getUint16(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  view.setUint16(L4 + FIELD, sum);
  return copy;
}

/** Puts an unfinished packet at `at` into `batch`. */
function push(
  { pool, batch }: { readonly pool: FramePool; readonly batch: PacketBatch },
  at: number,
  frame: Uint8Array,
  csumStart = L4,
): void {
  pool.arena.bytes.set(unfinished(frame), at);
  batch.push(at, frame.length);
  batch.offload[batch.count - 1] = OFFLOAD_CSUM_PARTIAL;
  batch.csumStart[batch.count - 1] = csumStart;
  batch.csumOffset[batch.count - 1] = FIELD;
}

interface Arrived {
  /** As it should be on a wire. */
  readonly bytes: Uint8Array;
  readonly undone: boolean;
}

const desk = new FramePool(PacketArena.create({ frames: 8, largeFrames: 1 }));
const resolver = new OffloadResolver(desk);

/** UDP packets that the far end of `pPAIR` receives while `body` runs, `count` of them. */
async function arrivals(
  netns: Netns,
  pair: number,
  count: number,
  body: () => void,
): Promise<readonly Arrived[]> {
  const far = await helper?.farEnd(netns, `p${pair}`);
  const receive = far?.receiveOffload;
  if (far === undefined || receive === undefined) throw new Error('the AF_PACKET helper was not built');
  try {
    const arrived: Arrived[] = [];
    body();
    await expect
      .poll(async () => {
        for (const { bytes, offload, csumStart, csumOffset } of await receive()) {
          const undone = (offload & OFFLOAD_CSUM_PARTIAL) !== 0;
          if (bytes[12] !== 8 || bytes[13] !== 0) continue;
          const batch = new PacketBatch(1);
          const at = desk.allocFor(bytes.length);
          desk.arena.bytes.set(bytes, at);
          batch.push(at, bytes.length);
          batch.csumStart[0] = csumStart;
          batch.csumOffset[0] = csumOffset;
          resolver.begin(batch, 0, 0);
          const done = undone ? resolver.next() : at;
          arrived.push({ bytes: desk.arena.bytes.slice(done, done + bytes.length), undone });
          desk.release(done);
        }
        return arrived.length;
      })
      .toBeGreaterThanOrEqual(count);
    return arrived;
  } finally {
    await far.close();
  }
}

const onVeths =
  (pairs: number, mtu: number, body: (netns: Netns, devices: readonly Netdev[]) => Promise<void>) =>
  async (context: TestContext): Promise<void> => {
    if (reason !== undefined) context.skip(reason);
    const netns = await vethNetns(pairs, mtu);
    const devices: Netdev[] = [];
    try {
      const provider = new AfxdpProvider();
      for (let i = 0; i < pairs; i++) {
        await netns.ip('link', 'set', `v${i}`, 'mtu', String(mtu));
        devices.push(await provider.open(`v${i}`, { netns: netns.name }));
      }
      await body(netns, devices);
    } finally {
      for (const device of devices) await device.close();
      await netns.remove();
    }
  };

it(
  'an unfinished checksum is told to the device, wherever in a frame the packet is',
  onVeths(1, 9000, async (netns, [device]) => {
    const port = new Port(device as Netdev);
    const { pool } = port;
    const sent = [finished(100, 1), finished(1472, 2), finished(100, 3), finished(8000, 4), finished(90, 5)];
    const arrived = await arrivals(netns, 0, sent.length, () => {
      // As received; as received; headers were pushed until no room is left; in several chunks; as received.
      const places = [
        pool.alloc(),
        pool.alloc(),
        pool.alloc() - HEADROOM + 2,
        pool.allocLarge(),
        pool.alloc(),
      ];
      for (const [i, frame] of sent.entries()) push(port, places[i] ?? 0, frame);
      expect(port.queue.txBurst(port.batch)).toBe(sent.length);
    });
    expect(arrived.map(({ bytes }) => Buffer.from(bytes).toString('hex'))).toEqual(
      sent.map((frame) => Buffer.from(frame).toString('hex')),
    );
    // Before Linux 6.11 they may have been finished here.
    const [major = 0, minor = 0] = release().split('.').map(Number);
    if (major > 6 || (major === 6 && minor >= 11)) {
      expect(arrived.map(({ undone }) => undone)).toEqual(sent.map(() => true));
    }
    expect(port.dropped()).toEqual({});
    port.queue.close();
    assertWhole(pool);
  }),
);

it(
  'a packet for several ports keeps what its other owners see',
  onVeths(2, 1500, async (netns, devices) => {
    const pool = new FramePool(PacketArena.create({ frames: 512, largeFrames: 1 }));
    const ports = devices.map((device) => new Port(device, pool));
    const frame = finished(200, 9);
    const at = pool.alloc();
    const front = at - 16;
    pool.arena.bytes.fill(0xaa, front, at);
    // A third owner, who has something of its own in front.
    pool.retain(at);
    pool.retain(at);
    for (const port of ports) push(port, at, frame);
    for (const [pair, port] of ports.entries()) {
      const [one] = await arrivals(netns, pair, 1, () => void port.queue.txBurst(port.batch));
      expect(one?.bytes).toEqual(frame);
    }
    expect(pool.arena.bytes.slice(front, at)).toEqual(new Uint8Array(16).fill(0xaa));
    expect(pool.arena.bytes.slice(at, at + frame.length)).toEqual(unfinished(frame));
    pool.release(at);
    for (const port of ports) port.queue.close();
    assertWhole(pool);
  }),
);

it(
  'metadata that do not fit the packet are a drop, and no packet behind waits for it',
  onVeths(1, 1500, async (netns, [device]) => {
    const port = new Port(device as Netdev);
    const [wrong, right] = [finished(100, 1), finished(100, 2)];
    const [one] = await arrivals(netns, 0, 1, () => {
      for (const start of [wrong.length - FIELD - 1, -1, 60_000]) push(port, port.pool.alloc(), wrong, start);
      push(port, port.pool.alloc(), right);
      expect(port.queue.txBurst(port.batch)).toBe(1);
    });
    expect(one?.bytes).toEqual(right);
    expect(port.dropped()).toEqual({ bad_offload: 3 });
    port.queue.close();
    assertWhole(port.pool);
  }),
);

it(
  'where the kernel reads no metadata, checksums are finished here',
  onVeths(1, 1500, async (netns, [device]) => {
    const pool = new FramePool(PacketArena.create({ frames: 256, largeFrames: 1 }));
    const native = xskBinding();
    const layout = new Int32Array(LAYOUT_WORDS);
    const entries = Uint32Array.of(RX_SIZE, TX_SIZE, FILL_SIZE, COMPLETION_SIZE);
    const descriptor = device?.queueDescriptor(0) as XskDescriptor;
    const { control, ifindex } = descriptor;
    // Copy mode, with wake-up flags.
    const socket = native.openXsk(control, ifindex, 0, 0x0a, pool.arena.bytes, CHUNK, 0, entries, layout);
    expect(socket.metadata).toBe(0);
    const drops = new Float64Array(DROP_REASON_COUNT);
    const queue = new XskQueue(native, socket, layout, false, descriptor, { pool, drops });
    const batch = new PacketBatch();
    const frame = finished(300, 4);
    const port = { pool, batch };
    const arrived = await arrivals(netns, 0, 2, () => {
      const shared = pool.alloc();
      pool.retain(shared);
      push(port, pool.alloc(), frame);
      push(port, shared, frame);
      expect(queue.txBurst(batch)).toBe(2);
      expect(pool.arena.bytes.slice(shared, shared + frame.length)).toEqual(unfinished(frame));
      pool.release(shared);
    });
    for (const one of arrived) expect(one).toEqual({ bytes: frame, undone: false });
    queue.close();
    assertWhole(pool);
  }),
);
