/** The shared memory of one capture, and what its options mean for taps. Control path. */

import { type CaptureOptions, DpifError, MAX_SUPER_PACKET } from '@etherloom/core';
import {
  KEY_ATTR,
  KEY_WORDS,
  keyToFlow,
  MAX_VLANS,
  maskToFlow,
  NlReader,
  NlWriter,
  W_TYPE_FRAG_PROTO,
  W_VLAN0,
} from '@etherloom/odp-codec';
import { ringBytes } from '../pmd/ring.hot.js';
import { SEEN_IN, SEEN_OUT, type TapSpec } from './tap.hot.js';

/** Words of the ring of each thread: 1 MiB, which holds any packet 15 times. */
const RING = 1 << 18;
const TYPE_BITS = 0xffff_0000 | 0;

/** What one thread's tap writes to. */
export interface TapMemory {
  readonly ring: SharedArrayBuffer;
  /** One double: packets that found no room. */
  readonly missed: SharedArrayBuffer;
  /** One word, the same for all taps of a capture. */
  readonly bell: SharedArrayBuffer;
}

export class TapSource {
  readonly spec: TapSpec;
  readonly bell = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
  /** By thread. One that takes another one's place goes on in its memory. */
  readonly #memories: TapMemory[] = [];

  constructor(spec: TapSpec) {
    this.spec = spec;
  }

  /** The memory of thread `index`, 0 inline. */
  memory(index: number): TapMemory {
    this.#memories[index] ??= {
      ring: new SharedArrayBuffer(ringBytes(RING)),
      missed: new SharedArrayBuffer(Float64Array.BYTES_PER_ELEMENT),
      bell: this.bell,
    };
    return this.#memories[index];
  }

  /** Gives the memory back. No tap writes to it any more. */
  clear(): void {
    this.#memories.length = 0;
  }

  /** Those that were asked for, by thread. */
  get memories(): readonly (TapMemory | undefined)[] {
    return this.#memories;
  }
}

/** EINVAL for options that make no sense. */
export function tapSpec(id: number, options: CaptureOptions, vlanLimit: number): TapSpec {
  const { port = -1, direction, snaplen = MAX_SUPER_PACKET, filter } = options;
  if (!Number.isInteger(snaplen) || snaplen < 1)
    throw new DpifError('EINVAL', `${snaplen} is no number of bytes to capture of a packet: give 1 or more`);
  const directions = direction === undefined ? SEEN_IN | SEEN_OUT : direction === 'in' ? SEEN_IN : SEEN_OUT;
  const [key, mask] = filter === undefined ? [EMPTY, EMPTY] : filterRows(filter.key, filter.mask, vlanLimit);
  const words = Int32Array.from([...mask.keys()].filter((word) => mask[word] !== 0));
  return {
    id,
    port,
    directions,
    snaplen,
    words,
    values: words.map((word) => key[word]! & mask[word]!),
    masks: words.map((word) => mask[word]!),
    vlanLimit,
    start: performance.timeOrigin + performance.now(),
  };
}

const EMPTY = new Int32Array(0);

/** Key and mask of a filter as rows. */
function filterRows(key: Uint8Array, mask: Uint8Array, vlanLimit: number): [Int32Array, Int32Array] {
  const [keyRow, maskRow] = [new Int32Array(KEY_WORDS), new Int32Array(KEY_WORDS)];
  const anyType = !has(key, KEY_ATTR.ETHERTYPE);
  const wrong = (message = 'it is no key of a packet'): DpifError =>
    new DpifError('EINVAL', `the filter matches no packet: ${message}`);
  const found = keyToFlow(key, keyRow, 0, vlanLimit);
  if (found.fitness === 'error') throw wrong(found.message);
  const masked = maskToFlow(anyType ? withType(mask) : mask, keyRow, maskRow, 0, 0, vlanLimit);
  if (masked.fitness === 'error') throw wrong(masked.message);
  if (anyType) {
    // A flow without a type is one of frames without a type; a filter that says nothing of it means any.
    maskRow[W_TYPE_FRAG_PROTO]! &= ~TYPE_BITS;
    maskRow.fill(0, W_VLAN0, W_VLAN0 + MAX_VLANS);
  }
  return [keyRow, maskRow];
}

function has(key: Uint8Array, type: number): boolean {
  for (const reader = new NlReader(key); reader.next(); ) if (reader.type === type) return true;
  return false;
}

function withType(mask: Uint8Array): Uint8Array {
  const out = new NlWriter();
  out.append(mask);
  out.put(KEY_ATTR.ETHERTYPE, Uint8Array.of(0xff, 0xff));
  return out.finish();
}
