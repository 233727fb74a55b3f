/**
 * The data half against a pipe, which stands in for the device at the limits that no TAP reaches on demand: frames that
 * are too short or too long, and a full transmit queue. A pipe gives one write's bytes to one read. No privileges.
 */

import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  DROP_BAD_OFFLOAD,
  DROP_NO_FRAME,
  DROP_RX_OVERSIZE,
  DROP_RX_RUNT,
  DROP_TX_DOWN,
  DROP_TX_FULL,
  DROP_TX_TOO_BIG,
  MAX_PACKET,
  OFFLOAD_CSUM_PARTIAL,
  OFFLOAD_CSUM_VALID,
  OFFLOAD_GSO_ECN,
  OFFLOAD_GSO_TCP4,
  OFFLOAD_GSO_TCP6,
  OFFLOAD_GSO_UDP,
  QUEUE_COUNTERS,
  QUEUE_RX_BYTES,
  QUEUE_RX_PACKETS,
  QUEUE_TX_PACKETS,
  SMALL_FRAME_ROOM,
  VNET_HEADER,
} from '@etherloom/core';
import { concat, ethernet, hex, ipv4, missingPrivileges, pattern, raw, tcp } from '@etherloom/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { TapQueueDescriptor } from '../src/queue.hot.js';
import { STATE_CLOSED, STATE_MTU, TAP_STATE_WORDS } from '../src/state.hot.js';
import { AfPacket } from './af-packet.js';
import { EACH_WAY, OUR_TYPE, Port, provider } from './harness.js';

const missing = missingPrivileges(['cc']);
let folder: string;
let fd: number;
let state: Int32Array<SharedArrayBuffer>;
let counters: Float64Array<SharedArrayBuffer>;
let descriptor: TapQueueDescriptor;

let helper: AfPacket | undefined;
beforeAll(async () => {
  if (missing === undefined) helper = await AfPacket.build();
});
afterAll(() => helper?.remove());

beforeEach((context) => {
  if (helper === undefined) return context.skip(missing);
  folder = mkdtempSync(join(tmpdir(), 'etl-tap-'));
  const fifo = join(folder, 'fifo');
  execFileSync('mkfifo', [fifo]);
  fd = openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK);
  // A frame of 64 KiB with its header is more than a pipe holds by default.
  helper.grow(fd);
  state = new Int32Array(new SharedArrayBuffer(TAP_STATE_WORDS * 4));
  state[STATE_MTU] = 1500;
  counters = new Float64Array(new SharedArrayBuffer(QUEUE_COUNTERS * 8));
  descriptor = { module: '', netdev: 'pipe', index: 0, counters: counters.buffer, fd, state: state.buffer };
});

afterEach(() => {
  if (helper === undefined) return;
  closeSync(fd);
  rmSync(folder, { recursive: true });
});

/** Puts a frame into the pipe as the device would: with the virtio-net header `front` in front, ten bytes. */
function arrive(frame: Uint8Array, front: readonly number[] = []): void {
  const header = new Uint8Array(VNET_HEADER);
  header.set(front);
  writeSync(fd, concat(header, frame));
}

test('frames of every class arrive whole, up to 65,535 bytes', () => {
  const port = new Port(descriptor);
  for (const length of [
    14,
    60,
    SMALL_FRAME_ROOM - 1,
    SMALL_FRAME_ROOM,
    SMALL_FRAME_ROOM + 1,
    9014,
    MAX_PACKET,
  ]) {
    const frame = pattern(length);
    arrive(frame);
    expect(port.receive()).toEqual([frame]);
  }
  expect(counters[QUEUE_RX_PACKETS]).toBe(7);
  expect(port.drops.every((count) => count === 0)).toBe(true);
  expect(port.receive()).toEqual([]);
  port.close();
});

test('runts and frames above 65,535 bytes are dropped under their names', () => {
  const port = new Port(descriptor);
  arrive(pattern(13));
  expect(port.receive()).toEqual([]);
  arrive(pattern(MAX_PACKET + 1));
  expect(port.receive()).toEqual([]);
  expect(port.drops[DROP_RX_RUNT]).toBe(1);
  expect(port.drops[DROP_RX_OVERSIZE]).toBe(1);
  expect(counters[QUEUE_RX_PACKETS]).toBe(0);
  expect(counters[QUEUE_RX_BYTES]).toBe(0);
  port.close();
});

test('without a free frame, packets are taken from the device and counted', () => {
  const port = new Port(descriptor, 2, 1);
  const small = [port.pool.alloc(), port.pool.alloc()];
  arrive(pattern(100));
  expect(port.receive()).toEqual([]);
  expect(port.drops[DROP_NO_FRAME]).toBeGreaterThan(0);
  for (const frame of small) port.pool.release(frame);
  while (port.receive().length > 0);

  const large = port.pool.allocLarge();
  const before = port.drops[DROP_NO_FRAME] ?? 0;
  arrive(pattern(SMALL_FRAME_ROOM + 2));
  expect(port.receive()).toEqual([]);
  expect(port.drops[DROP_NO_FRAME]).toBe(before + 1);
  port.pool.release(large);
  port.close();
});

test('an idle queue holds few frames', () => {
  const port = new Port(descriptor, 64, 1);
  for (let i = 0; i < 5; i++) expect(port.receive()).toEqual([]);
  expect(port.arena.frames - port.pool.free).toBeLessThanOrEqual(4);
  port.close();
});

test('what the MTU does not allow is dropped here: the kernel does not look', () => {
  const port = new Port(descriptor);
  const frame = (length: number, tags: number): Uint8Array =>
    ethernet({ vlans: Array.from({ length: tags }, () => ({ vid: 7 })) }, raw(OUR_TYPE, pattern(length)));
  expect(port.send(frame(1500, 0))).toBe(1);
  expect(port.send(frame(1501, 0))).toBe(0);
  expect(port.send(frame(1500, 1))).toBe(1);
  expect(port.send(frame(1501, 1), frame(1500, 2))).toBe(1);
  expect(port.drops[DROP_TX_TOO_BIG]).toBe(2);
  state[STATE_MTU] = 9000;
  expect(port.send(frame(9000, 0), frame(9001, 0))).toBe(1);
  expect(counters[QUEUE_TX_PACKETS]).toBe(4);
  port.close();
});

/** A TCP packet of `payload` bytes over IPv4, as the device has it from a sender with offloads. */
function superPacket(payload: number): Uint8Array {
  return ethernet({}, ipv4({ src: '10.0.0.1', dst: '10.0.0.2' }, tcp({ src: 1, dst: 2 }, pattern(payload))));
}

/** Metadata of a batch's slot. */
function slot({ batch }: Port, i = 0): Record<string, number> {
  const { offload, csumStart, csumOffset, gsoSize, gsoHeader } = batch;
  const [flags = 0, start = 0, field = 0] = [offload[i], csumStart[i], csumOffset[i]];
  return { flags, start, field, size: gsoSize[i] ?? 0, header: gsoHeader[i] ?? 0 };
}

test("the device's header becomes metadata of the packet", () => {
  const port = new Port(descriptor);
  const tcpChecksum = [34, 0, 16, 0];
  const receiveOne = (frame: Uint8Array, front: readonly number[]): Record<string, number> => {
    arrive(frame, front);
    expect(port.queue.rxBurst(port.batch)).toBe(1);
    const metadata = slot(port);
    expect(port.take()).toEqual([frame]);
    return metadata;
  };
  expect(receiveOne(superPacket(100), [0]).flags).toBe(0);
  expect(receiveOne(superPacket(100), [2]).flags).toBe(OFFLOAD_CSUM_VALID);
  expect(receiveOne(superPacket(100), [1, 0, 0, 0, 0, 0, ...tcpChecksum])).toMatchObject({
    flags: OFFLOAD_CSUM_PARTIAL,
    start: 34,
    field: 16,
  });
  // The length of headers in the device's header (here 66) is how much of the packet is in one piece, and no more.
  const gso = (type: number): number[] => [1, type, 66, 0, 0x78, 5, ...tcpChecksum];
  expect(receiveOne(superPacket(4000), gso(1))).toEqual({
    flags: OFFLOAD_CSUM_PARTIAL | OFFLOAD_GSO_TCP4,
    start: 34,
    field: 16,
    size: 1400,
    header: 54,
  });
  expect(receiveOne(superPacket(4000), gso(0x81)).flags).toBe(
    OFFLOAD_CSUM_PARTIAL | OFFLOAD_GSO_TCP4 | OFFLOAD_GSO_ECN,
  );
  expect(receiveOne(superPacket(4000), gso(4)).flags).toBe(OFFLOAD_CSUM_PARTIAL | OFFLOAD_GSO_TCP6);
  expect(receiveOne(superPacket(4000), [1, 5, 0, 0, 100, 0, 34, 0, 6, 0])).toMatchObject({
    flags: OFFLOAD_CSUM_PARTIAL | OFFLOAD_GSO_UDP,
    header: 42,
  });
  // An IP packet of 65,535 bytes behind two tags.
  const longest = concat(superPacket(65_495), pattern(8));
  expect(receiveOne(longest, gso(1)).size).toBe(1400);
  expect(port.drops.every((count) => count === 0)).toBe(true);
  port.close();
});

test('a header that does not fit its packet loses it under a name', () => {
  const port = new Port(descriptor);
  const bad = [
    [1, 0, 0, 0, 0, 0, 140, 0, 16, 0],
    [1, 0, 0, 0, 0, 0, 34, 0, 255, 255],
    [0, 1, 54, 0, 100, 0, 0, 0, 0, 0],
    [1, 1, 54, 0, 0, 0, 34, 0, 16, 0],
    [1, 1, 54, 0, 100, 0, 34, 0, 6, 0],
    [1, 1, 54, 0, 100, 0, 138, 0, 16, 0],
    // UDP as IP fragments, UDP with ECN, and a type that is none.
    [1, 3, 54, 0, 100, 0, 34, 0, 6, 0],
    [1, 0x85, 54, 0, 100, 0, 34, 0, 6, 0],
    [1, 7, 54, 0, 100, 0, 34, 0, 16, 0],
  ];
  for (const front of bad) {
    arrive(superPacket(100), front);
    expect(port.receive()).toEqual([]);
  }
  expect(port.drops[DROP_BAD_OFFLOAD]).toBe(bad.length);
  expect(counters[QUEUE_RX_PACKETS]).toBe(0);
  port.close();
});

test('metadata become the header that the device is given', () => {
  const port = new Port(descriptor);
  const frame = superPacket(4000);
  const sent = (flags: number): number[] => {
    const data = port.pool.allocLarge();
    port.arena.bytes.fill(0xee, data - 64, data);
    port.arena.bytes.set(frame, data);
    port.batch.push(data, frame.length);
    port.batch.offload[0] = flags;
    port.batch.csumStart[0] = 34;
    port.batch.csumOffset[0] = 16;
    port.batch.gsoSize[0] = 1400;
    port.batch.gsoHeader[0] = 54;
    expect(port.queue.txBurst(port.batch)).toBe(1);
    const got = new Uint8Array(8000);
    expect(readSync(fd, got)).toBe(VNET_HEADER + frame.length);
    expect(hex(got.subarray(VNET_HEADER, VNET_HEADER + frame.length))).toBe(hex(frame));
    return [...got.subarray(0, VNET_HEADER)];
  };
  state[STATE_MTU] = 9000;
  expect(sent(0)).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  expect(sent(OFFLOAD_CSUM_VALID)).toEqual([2, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  expect(sent(OFFLOAD_CSUM_PARTIAL)).toEqual([1, 0, 0, 0, 0, 0, 34, 0, 16, 0]);
  const gso = (type: number): number[] => [1, type, 54, 0, 0x78, 5, 34, 0, 16, 0];
  state[STATE_MTU] = 1500;
  expect(sent(OFFLOAD_CSUM_PARTIAL | OFFLOAD_GSO_TCP4)).toEqual(gso(1));
  expect(sent(OFFLOAD_CSUM_PARTIAL | OFFLOAD_GSO_TCP4 | OFFLOAD_GSO_ECN)).toEqual(gso(0x81));
  expect(sent(OFFLOAD_CSUM_PARTIAL | OFFLOAD_GSO_TCP6)).toEqual(gso(4));
  expect(sent(OFFLOAD_CSUM_PARTIAL | OFFLOAD_GSO_UDP)).toEqual(gso(5));
  state[STATE_MTU] = 1439;
  port.batch.push(port.pool.allocLarge(), 4054);
  port.batch.offload[0] = OFFLOAD_CSUM_PARTIAL | OFFLOAD_GSO_TCP4;
  expect(port.queue.txBurst(port.batch)).toBe(0);
  expect(port.drops[DROP_TX_TOO_BIG]).toBe(1);
  port.close();
});

test('a packet without room for the header in front of it is moved', () => {
  const port = new Port(descriptor);
  const frame = ethernet({}, raw(OUR_TYPE, pattern(100)));
  for (const room of [0, VNET_HEADER - 1]) {
    const data = port.arena.frameStart(port.arena.frameIndex(port.pool.alloc())) + room;
    port.arena.bytes.set(frame, data);
    port.batch.push(data, frame.length);
    expect(port.queue.txBurst(port.batch)).toBe(1);
    const got = new Uint8Array(1000);
    const length = readSync(fd, got);
    expect(hex(got.subarray(VNET_HEADER, length))).toBe(hex(frame));
  }
  port.close();
});

test.each(EACH_WAY)('a full device drops the rest of the burst, and nothing waits, %s', (writes) => {
  const port = new Port(descriptor, 256, 8, writes);
  const filler = new Uint8Array(4096);
  // Pages are a pipe's slots: the last one stays free for one frame.
  for (let room = 255; room > 0; room--) writeSync(fd, filler);
  const frame = ethernet({}, raw(OUR_TYPE, pattern(1500)));
  expect(port.send(...Array.from({ length: 32 }, () => frame))).toBeLessThan(32);
  expect(port.drops[DROP_TX_FULL]).toBe(32 - (counters[QUEUE_TX_PACKETS] ?? 0));
  expect(readSync(fd, filler)).toBe(4096);
  port.close();
});

test("a closed device is left alone: its descriptor may be somebody else's", () => {
  const port = new Port(descriptor);
  state[STATE_CLOSED] = 1;
  arrive(pattern(60));
  expect(port.receive()).toEqual([]);
  expect(port.send(pattern(60), pattern(60))).toBe(0);
  expect(port.drops[DROP_TX_DOWN]).toBe(2);
  expect(readSync(fd, new Uint8Array(100))).toBe(VNET_HEADER + 60);
  port.close();
  port.close();
});

test('a descriptor of another driver is refused', () => {
  const { module, netdev, index } = descriptor;
  const foreign = { module, netdev, index, counters: descriptor.counters };
  expect(() => new Port(foreign)).toThrow(expect.objectContaining({ code: 'EINVAL' }));
  expect(provider.type).toBe('tap');
});
