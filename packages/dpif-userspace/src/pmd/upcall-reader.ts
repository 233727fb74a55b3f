/** The control thread's end of an upcall ring: reads records of layout.hot.ts and hands them to the upcall queues. */

import { unpackRow } from '@etherloom/core';
import { KEY_WORDS, W_IN_PORT } from '@etherloom/odp-codec';
import type { Upcalls } from '../upcalls.js';
import { UPCALL_HEAD, wordsOf } from './layout.hot.js';
import type { SharedRing } from './ring.hot.js';

/** Told of upcalls that the queues did not take: input port, DROP_* reason, and whether it was a miss. */
export type Refusal = (portNo: number, reason: number, miss: boolean) => void;

export class UpcallReader {
  readonly #upcalls: Pick<Upcalls, 'pass' | 'missed'>;
  readonly #memory: { bytes: Uint8Array };
  readonly #key = new Int32Array(KEY_WORDS);

  /** `upcalls` finds packets in `memory.bytes`, which is set to the ring being read. */
  constructor(upcalls: Pick<Upcalls, 'pass' | 'missed'>, memory: { bytes: Uint8Array }) {
    this.#upcalls = upcalls;
    this.#memory = memory;
  }

  /** Reads up to `max` upcalls; returns how many there were. */
  read(ring: SharedRing, max: number, refused: Refusal): number {
    this.#memory.bytes = ring.bytes;
    let count = 0;
    for (; count < max; count++) {
      const at = ring.peek();
      if (at < 0) break;
      const miss = (ring.words[at]! & 1) === 0;
      const reason = this.#pass(ring, at, miss);
      if (reason >= 0) refused(this.#key[W_IN_PORT]! >>> 0, reason, miss);
      ring.skip();
    }
    ring.release();
    return count;
  }

  #pass({ words, bytes }: SharedRing, at: number, miss: boolean): number {
    const length = words[at + 2]!;
    const userdata = words[at + 4]!;
    const actions = words[at + 5]!;
    const key = this.#key;
    unpackRow(words, at + UPCALL_HEAD, key, 0);
    const data = (at + UPCALL_HEAD + words[at + 3]!) * 4;
    if (miss && words[at + 8] === 0) return this.#upcalls.missed(key, 0, data, length);
    const packet = {
      data,
      length,
      packetType: words[at + 6]!,
      cut: words[at + 7]!,
      offload: words[at + 8]!,
      csumStart: words[at + 9]!,
      csumOffset: words[at + 10]!,
      gsoSize: words[at + 11]!,
      gsoHeader: words[at + 12]!,
    };
    if (miss) return this.#upcalls.pass(key, 0, packet);
    const userdataAt = data + wordsOf(length) * 4;
    const actionsAt = userdataAt + wordsOf(Math.max(userdata, 0)) * 4;
    return this.#upcalls.pass(
      key,
      0,
      packet,
      words[at + 1]! >>> 0,
      userdata < 0 ? undefined : bytes.subarray(userdataAt, userdataAt + userdata),
      actions < 0 ? undefined : bytes.subarray(actionsAt, actionsAt + actions),
    );
  }
}
