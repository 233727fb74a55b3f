/** Loads capture files for replay: all frames once into shared memory, which queues on any thread read. */

import { readFileSync } from 'node:fs';
import { DpifError, MAX_PACKET, readPcap } from '@etherloom/core';
import { BLOCK } from './copy.hot.js';
import { fileError } from './pcap-writer.js';
import type { ReplayDescriptor } from './queue.js';

/** The same in queue.hot.ts: what rxBurst takes for a frame at all. */
const MIN_FRAME = 14;

/** Bytes of the blocks that a frame of `length` bytes takes up. */
const blocks = (length: number): number => Math.ceil(length / BLOCK) * BLOCK;

/**
 * Loads `path`. Rejects files that are no captures, are empty, or hold a frame that no queue could receive (EINVAL), and
 * ones that cannot be read.
 */
export function loadReplay(path: string, loops: number, shared: boolean): ReplayDescriptor {
  let file: Uint8Array;
  try {
    file = readFileSync(path);
  } catch (error) {
    throw fileError('read', error);
  }
  const records = readPcap(file, path);
  if (records.length === 0) throw new DpifError('EINVAL', `${path} holds no frames: nothing to replay`);
  let size = 0;
  for (const [i, { data }] of records.entries()) {
    if (data.length < MIN_FRAME || data.length > MAX_PACKET) {
      throw new DpifError(
        'EINVAL',
        `frame ${i} of ${path} has ${data.length} bytes: only ${MIN_FRAME} to ${MAX_PACKET} can be received`,
      );
    }
    size += blocks(data.length);
  }
  const frames = new SharedArrayBuffer(size);
  const table = new SharedArrayBuffer(records.length * 8);
  const bytes = new Uint8Array(frames);
  const words = new Int32Array(table);
  let at = 0;
  for (const [i, { data }] of records.entries()) {
    bytes.set(data, at);
    words[i * 2] = at;
    words[i * 2 + 1] = data.length;
    at += blocks(data.length);
  }
  return { frames, table, loops, shared };
}
