/**
 * Cases for offload metadata. A device may do the work itself, pass it on, or (a card) do it on the wire: so what one
 * end gives and the other gets is compared by what it is once all work is done.
 */

import assert from 'node:assert/strict';
import {
  FramePool,
  finish,
  OFFLOAD_CSUM_PARTIAL,
  OFFLOAD_GSO,
  OFFLOAD_GSO_TCP4,
  OFFLOAD_GSO_TCP6,
  OFFLOAD_GSO_UDP,
  OFFLOAD_UNFINISHED,
  OffloadResolver,
  PacketArena,
  PacketBatch,
  pseudoSum4,
  pseudoSum6,
} from '@etherloom/core';
import type { CaseDefinition } from './define.js';
import type { OffloadFrame } from './fixture.js';
import { ETH_HEADER, eventually, type Port, wired } from './tools.js';

const PORT = 0xe7e7;
const MAC_HEADER = [0x02, 0, 0, 0, 0, 2, 0x02, 0, 0, 0, 0, 1];

interface Shape {
  readonly version: 4 | 6;
  readonly transport: 'tcp' | 'udp';
  readonly payload: number;
  /** 0: a partial checksum only. */
  readonly gsoSize: number;
  readonly tagged?: boolean;
}

/** A packet of the suite with a partial checksum and, given a `gsoSize`, to be segmented. */
function unfinished({ version, transport, payload, gsoSize, tagged = false }: Shape): OffloadFrame {
  const l3 = ETH_HEADER + (tagged ? 4 : 0);
  const l4 = l3 + (version === 4 ? 20 : 40);
  const tcp = transport === 'tcp';
  const header = l4 + (tcp ? 20 : 8);
  const bytes = new Uint8Array(header + payload);
  const view = new DataView(bytes.buffer);
  const etherType = version === 4 ? [8, 0] : [0x86, 0xdd];
  bytes.set([...MAC_HEADER, ...(tagged ? [0x81, 0, 0, 9] : []), ...etherType]);
  const proto = tcp ? 6 : 17;
  const size = bytes.length - l4;
  if (version === 4) {
    bytes.set([0x45, 0, 0, 0, 0x12, 0x34, 0x40, 0, 64, proto, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2], l3);
    view.setUint16(l3 + 2, bytes.length - l3);
    let sum = 0;
    for (let at = l3; at < l4; at += 2) sum += view.getUint16(at);
    view.setUint16(l3 + 10, finish(sum));
  } else {
    bytes.set([0x60, 0, 0, 0, 0, 0, proto, 64], l3);
    view.setUint16(l3 + 4, size);
    bytes.set([0x20, 1, 0x0d, 0xb8], l3 + 8);
    bytes.set([0x20, 1, 0x0d, 0xb8, 1], l3 + 24);
  }
  view.setUint16(l4, PORT);
  view.setUint16(l4 + 2, PORT);
  const csumOffset = tcp ? 16 : 6;
  if (tcp) {
    bytes.set([1, 2, 3, 4, 5, 6, 7, 8, 0x50, 0x18, 0x12, 0x34], l4 + 4);
  } else {
    view.setUint16(l4 + 4, size);
  }
  for (let i = 0; i < payload; i++) bytes[header + i] = (i * 7 + payload) % 251;
  const pseudo = version === 4 ? pseudoSum4(view, l3, proto, size) : pseudoSum6(view, l3, proto, size);
  view.setUint16(l4 + csumOffset, 0xffff - finish(pseudo));
  let offload = OFFLOAD_CSUM_PARTIAL;
  if (gsoSize > 0) offload |= tcp ? (version === 4 ? OFFLOAD_GSO_TCP4 : OFFLOAD_GSO_TCP6) : OFFLOAD_GSO_UDP;
  return { bytes, offload, csumStart: l4, csumOffset, gsoSize, gsoHeader: header };
}

/** Every kind of packet that a device with these OFFLOAD_* bits takes. */
function kinds(offloads: number): OffloadFrame[] {
  const frames: OffloadFrame[] = [];
  for (const version of [4, 6] as const) {
    for (const tagged of [false, true]) {
      for (const transport of ['tcp', 'udp'] as const) {
        frames.push(unfinished({ version, transport, payload: 200, gsoSize: 0, tagged }));
        frames.push(unfinished({ version, transport, payload: 5001, gsoSize: 1000, tagged }));
      }
      frames.push(unfinished({ version, transport: 'tcp', payload: 65_000, gsoSize: 1400, tagged }));
    }
  }
  return frames.filter((frame) => (frame.offload & OFFLOAD_UNFINISHED & ~offloads) === 0);
}

/** Resolves packets in software. */
class Desk {
  readonly #pool = new FramePool(PacketArena.create({ frames: 80, largeFrames: 2 }));
  readonly #resolver = new OffloadResolver(this.#pool);
  readonly #batch = new PacketBatch(1);

  /** `frames` as they would be on a wire. */
  onWire(frames: readonly OffloadFrame[]): Uint8Array[] {
    return frames.flatMap((frame) => this.#resolve(frame));
  }

  #resolve(frame: OffloadFrame): Uint8Array[] {
    if ((frame.offload & OFFLOAD_UNFINISHED) === 0) return [frame.bytes];
    const { arena } = this.#pool;
    fill(this.#batch, this.#pool, frame);
    this.#batch.count = 0;
    this.#resolver.begin(this.#batch, 0, 0);
    const packets: Uint8Array[] = [];
    for (let at = this.#resolver.next(); at >= 0; at = this.#resolver.next()) {
      packets.push(arena.bytes.slice(at, at + this.#resolver.length));
      this.#pool.release(at);
    }
    assert.equal(this.#resolver.lost, 0, 'metadata fit the packet that they came with');
    return packets;
  }
}

function fill(batch: PacketBatch, pool: FramePool, frame: OffloadFrame): void {
  const at = pool.allocFor(frame.bytes.length);
  assert.ok(at >= 0, 'the suite itself ran out of frames');
  pool.arena.bytes.set(frame.bytes, at);
  const i = batch.count;
  batch.push(at, frame.bytes.length);
  batch.offload[i] = frame.offload;
  batch.csumStart[i] = frame.csumStart;
  batch.csumOffset[i] = frame.csumOffset;
  batch.gsoSize[i] = frame.gsoSize;
  batch.gsoHeader[i] = frame.gsoHeader;
}

function transmit(port: Port, frames: readonly OffloadFrame[]): number {
  for (const frame of frames) fill(port.batch, port.pool, frame);
  return port.queue.txBurst(port.batch);
}

/** Empties the port's batch into copies with their metadata. */
function unload(port: Port): OffloadFrame[] {
  const { batch, pool } = port;
  const frames: OffloadFrame[] = [];
  for (let i = 0; i < batch.count; i++) {
    const at = batch.data[i]!;
    frames.push({
      bytes: pool.arena.bytes.slice(at, at + batch.length[i]!),
      offload: batch.offload[i]!,
      csumStart: batch.csumStart[i]!,
      csumOffset: batch.csumOffset[i]!,
      gsoSize: batch.gsoSize[i]!,
      gsoHeader: batch.gsoHeader[i]!,
    });
    pool.release(at);
  }
  batch.count = 0;
  return frames;
}

/** The suite's packets, by their source port: a live wire carries others. */
function isOurs({ bytes }: OffloadFrame): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = 12;
  while (at + 4 < bytes.length && view.getUint16(at) === 0x8100) at += 4;
  const l4 = at + 2 + (view.getUint16(at) === 0x86dd ? 40 : 20);
  return l4 + 2 <= bytes.length && view.getUint16(l4) === PORT;
}

/** Equal once resolved: says which packet differs. */
function sameOnWire(desk: Desk, actual: readonly OffloadFrame[], sent: readonly OffloadFrame[]): void {
  const expected = desk.onWire(sent).map(withOneZero);
  const got = desk.onWire(actual).map(withOneZero);
  assert.deepEqual(
    got.map(({ length }) => length),
    expected.map(({ length }) => length),
    'lengths of the packets, in order',
  );
  for (const [i, packet] of expected.entries()) {
    assert.ok(Buffer.compare(got[i]!, packet) === 0, `packet ${i} of ${packet.length} bytes has other bytes`);
  }
}

/** Ones' complement has two zeros, and a TCP checksum may be either. */
function withOneZero(packet: Uint8Array): Uint8Array {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.length);
  const l3 = view.getUint16(12) === 0x8100 ? 18 : 14;
  const four = packet[l3]! >> 4 === 4;
  if (packet[l3 + (four ? 9 : 6)] !== 6) return packet;
  const field = l3 + (four ? 20 : 40) + 16;
  if (view.getUint16(field) === 0xffff) view.setUint16(field, 0);
  return packet;
}

/** Batches of the suite's ports are 32 long. */
const MEMORY = { frames: 512, largeFrames: 64 };

export const offloadCases: readonly CaseDefinition[] = [
  {
    name: 'packets with work left on them leave as they should be on a wire',
    cites: 'NetdevCapabilities.txOffloads: "OFFLOAD_* bits that may be set on frames given to txBurst."',
    needs: 'offload',
    run: (fixture) =>
      wired(
        fixture,
        async ({ ref, far, port }) => {
          const { receiveOffload } = far;
          assert.ok(receiveOffload !== undefined, 'the far end must offer receiveOffload');
          const desk = new Desk();
          for (const frame of kinds(ref.netdev.capabilities.txOffloads)) {
            const wanted = desk.onWire([frame]).length;
            assert.equal(transmit(port, [frame]), 1);
            const arrived: OffloadFrame[] = [];
            await eventually('the packet arrives at the far end', async () => {
              arrived.push(...(await receiveOffload()).filter(isOurs));
              return desk.onWire(arrived).length >= wanted;
            });
            sameOnWire(desk, arrived, [frame]);
          }
          assert.deepEqual(port.dropped(), {});
        },
        MEMORY,
      ),
  },
  {
    name: 'packets with work left on them are received with what finishes them',
    cites: 'NetdevCapabilities.rxOffloads: "OFFLOAD_* bits that rxBurst may set."',
    needs: 'offload',
    run: (fixture) =>
      wired(
        fixture,
        async ({ ref, far, port }) => {
          const { sendOffload } = far;
          assert.ok(sendOffload !== undefined, 'the far end must offer sendOffload');
          const desk = new Desk();
          const frames = kinds(-1);
          for (const frame of frames) {
            const wanted = desk.onWire([frame]).length;
            await sendOffload([frame]);
            const received: OffloadFrame[] = [];
            await eventually('the packet is received', () => {
              port.queue.rxBurst(port.batch);
              received.push(...unload(port).filter(isOurs));
              return desk.onWire(received).length >= wanted;
            });
            for (const { offload } of received) {
              assert.equal(offload & ~ref.netdev.capabilities.rxOffloads, 0, 'unannounced offload bits');
            }
            sameOnWire(desk, received, [frame]);
          }
          assert.deepEqual(port.dropped(), {});
        },
        MEMORY,
      ),
  },
  {
    name: 'a super-packet is held against the MTU by its segments',
    cites: 'Netdev.getMtu: "the longest frame is this plus 14, plus 4 per VLAN tag"; drops.ts, tx_too_big',
    needs: 'offload',
    run: (fixture) =>
      wired(
        fixture,
        async ({ ref, port }) => {
          if ((ref.netdev.capabilities.txOffloads & OFFLOAD_GSO_TCP4) === 0) return;
          const mtu = await ref.netdev.getMtu();
          const shape = { version: 4, transport: 'tcp', payload: 4 * mtu } as const;
          const fits = [
            unfinished({ ...shape, gsoSize: mtu - 40 }),
            unfinished({ ...shape, gsoSize: mtu - 40, tagged: true }),
          ];
          const tooLong = [
            unfinished({ ...shape, gsoSize: mtu - 39 }),
            unfinished({ ...shape, gsoSize: mtu - 39, tagged: true }),
          ];
          assert.equal(transmit(port, [...tooLong, ...fits]), fits.length);
          assert.deepEqual(port.dropped(), { tx_too_big: tooLong.length });
        },
        MEMORY,
      ),
  },
  {
    name: 'what a device announces fits together',
    cites: 'batch.hot.ts, OFFLOAD_GSO_*: "exactly one of these bits, and OFFLOAD_CSUM_PARTIAL with it"',
    run: (fixture) =>
      wired(fixture, async ({ ref }) => {
        const { txOffloads, rxOffloads, refused } = ref.netdev.capabilities;
        for (const offloads of [txOffloads, rxOffloads]) {
          if ((offloads & OFFLOAD_GSO) !== 0) assert.notEqual(offloads & OFFLOAD_CSUM_PARTIAL, 0);
        }
        for (const { mode, reason } of refused ?? []) assert.ok(mode !== '' && reason.length > 10);
      }),
  },
];
