/** The control thread's end of a command ring: writes commands as layout.hot.ts describes them. */

import { PACKED_WORDS } from '@etherloom/core';
import {
  COMMAND_BARRIER,
  COMMAND_DEL,
  COMMAND_EXECUTE,
  COMMAND_FLUSH,
  COMMAND_HEAD,
  COMMAND_MESSAGE,
  COMMAND_MODIFY,
  COMMAND_PUT,
  wordsOf,
} from './layout.hot.js';
import type { SharedRing } from './ring.hot.js';

/** Words of the longest command with that many bytes of actions and packet. */
export function commandWords(actions: number, packet = 0): number {
  return COMMAND_HEAD + 4 + 2 * PACKED_WORDS + wordsOf(actions) + wordsOf(packet);
}

export class CommandWriter {
  readonly #ring: SharedRing;

  constructor(ring: SharedRing) {
    this.#ring = ring;
  }

  /** `key`: a row that packRow packed, to the first `length` words; `mask`: all of one. */
  put(
    sequence: number,
    flow: number,
    key: Int32Array,
    length: number,
    mask: Int32Array,
    actions: Uint8Array,
  ): void {
    let at = this.#begin(COMMAND_PUT, sequence, 4 + length + mask.length + wordsOf(actions.length));
    const { words } = this.#ring;
    words[at++] = flow;
    words[at++] = length;
    words[at++] = mask.length;
    words[at++] = actions.length;
    at = this.#row(at, key, length);
    at = this.#row(at, mask, mask.length);
    this.#bytes(at, actions);
  }

  modify(sequence: number, flow: number, zero: boolean, actions: Uint8Array): void {
    let at = this.#begin(COMMAND_MODIFY, sequence, 3 + wordsOf(actions.length));
    const { words } = this.#ring;
    words[at++] = flow;
    words[at++] = zero ? 1 : 0;
    words[at++] = actions.length;
    this.#bytes(at, actions);
  }

  del(sequence: number, flow: number): void {
    this.#ring.words[this.#begin(COMMAND_DEL, sequence, 1)] = flow;
  }

  execute(
    sequence: number,
    packetType: number,
    key: Int32Array,
    keyLength: number,
    actions: Uint8Array,
    packet: Uint8Array,
  ): void {
    const length = 4 + keyLength + wordsOf(actions.length) + wordsOf(packet.length);
    let at = this.#begin(COMMAND_EXECUTE, sequence, length);
    const { words } = this.#ring;
    words[at++] = packetType;
    words[at++] = keyLength;
    words[at++] = actions.length;
    words[at++] = packet.length;
    at = this.#row(at, key, keyLength);
    at = this.#bytes(at, actions);
    this.#bytes(at, packet);
  }

  flush(sequence: number): void {
    this.#begin(COMMAND_FLUSH, sequence, 0);
  }

  message(sequence: number): void {
    this.#begin(COMMAND_MESSAGE, sequence, 0);
  }

  barrier(sequence: number): void {
    this.#begin(COMMAND_BARRIER, sequence, 0);
  }

  #begin(kind: number, sequence: number, length: number): number {
    const at = this.#ring.reserve(COMMAND_HEAD + length);
    // Whoever sends sees to room first, where it can wait for it.
    if (at < 0) throw new Error(`a command of ${length} words was sent into a full ring`);
    this.#ring.words[at] = kind;
    this.#ring.words[at + 1] = sequence;
    return at + COMMAND_HEAD;
  }

  #row(at: number, row: Int32Array, length: number): number {
    const { words } = this.#ring;
    // A loop, since a view for set() would cost more than the copy of 20 words.
    for (let i = 0; i < length; i++) words[at + i] = row[i]!;
    return at + length;
  }

  #bytes(at: number, bytes: Uint8Array): number {
    this.#ring.bytes.set(bytes, at * 4);
    return at + wordsOf(bytes.length);
  }
}
