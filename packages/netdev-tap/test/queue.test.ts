/**
 * The data half against a pipe, which stands in for the device at the limits that no TAP reaches on demand: frames that
 * are too short or too long, and a full transmit queue. A pipe gives one write's bytes to one read. No privileges.
 */

import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  DROP_NO_FRAME,
  DROP_RX_OVERSIZE,
  DROP_RX_RUNT,
  DROP_TX_DOWN,
  DROP_TX_FULL,
  DROP_TX_TOO_BIG,
  MAX_PACKET,
  QUEUE_COUNTERS,
  QUEUE_RX_BYTES,
  QUEUE_RX_PACKETS,
  QUEUE_TX_PACKETS,
  SMALL_FRAME_ROOM,
  VNET_HEADER,
} from '@etherloom/core';
import { concat, ethernet, missingPrivileges, pattern, raw } from '@etherloom/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { STATE_CLOSED, STATE_MTU, STATE_WORDS, type TapQueueDescriptor } from '../src/queue.hot.js';
import { AfPacket } from './af-packet.js';
import { OUR_TYPE, Port, provider } from './harness.js';

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
  state = new Int32Array(new SharedArrayBuffer(STATE_WORDS * 4));
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

test('a full device drops the rest of the burst, and nothing waits', () => {
  const port = new Port(descriptor);
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
