/**
 * Reads keys and masks of flow operations, checks them, and remembers what it read: keys by their form, masks by their
 * bytes within a form, since what a mask may have depends on the protocols of the key and on no other value of it. Parsing
 * and checking key and mask of a put each time takes 2.5 us, finding them 0.3. Control path.
 */

import { type ActionProgram, DpifError, KnownMask } from '@etherloom/core';
import {
  type FlowSupport,
  flowToKey,
  KEY_WORDS,
  type KeyForm,
  KeyForms,
  keyToFlow,
  MAX_VLANS,
  maskToFlow,
  W_IN_PORT,
  W_MPLS,
  W_PACKET_TYPE,
  W_TYPE_FRAG_PROTO,
  W_VLAN0,
} from '@etherloom/odp-codec';
import { checkKnown, fitnessError } from './key-errors.js';
import { Recent } from './recent.js';

/** Forms, and masks within a form, that are remembered: some kilobytes each. */
const FORMS = 64;
const MASKS = 32;
/** Longer masks are parsed, each of them. */
const MAX_MASK = 512;

const NO_BYTES = new Uint8Array();

/** A mask as it goes with keys of one form. */
export class FlowMask extends KnownMask {
  /** A program whose actions fit the flows of this mask and form: what `ActionTable.checkFlow` found last. */
  fits: ActionProgram | undefined;
}

type Masks = Recent<FlowMask>;

export class FlowReader {
  readonly #vlanLimit: number;
  readonly #support: FlowSupport;
  readonly #forms = new KeyForms<Masks>(FORMS, () => new Recent(MASKS));
  readonly #row = new Int32Array(KEY_WORDS);
  readonly #again = new Int32Array(KEY_WORDS);
  /** The length of a mask, and its bytes. */
  readonly #maskWords = new Int32Array(1 + MAX_MASK / 4);
  readonly #maskBytes = new Uint8Array(this.#maskWords.buffer, 4);
  #form: KeyForm<Masks> | undefined;
  /** The key that was read last: valid until the next one is. */
  key: Int32Array = this.#row;

  /** Keys may have up to `vlanLimit` tags, 1 or 2. */
  constructor(vlanLimit: number) {
    this.#vlanLimit = vlanLimit;
    this.#support = { vlanLimit };
  }

  /** Reads a key to {@link key}. EINVAL. */
  readKey(bytes: Uint8Array): void {
    this.#read(bytes);
    if (this.#form === undefined) asExtracted(this.key);
  }

  /** Reads a key to {@link key}, and its mask; none, or an empty one, is exact. EINVAL. */
  readFlow(bytes: Uint8Array, maskBytes: Uint8Array = NO_BYTES): FlowMask {
    this.#read(bytes);
    const form = this.#form;
    if (form === undefined) {
      const mask = this.#parseMask(maskBytes);
      asExtracted(this.key);
      return mask;
    }
    const { length } = maskBytes;
    if (length > MAX_MASK) return this.#parseMask(maskBytes);
    const words = this.#maskWords;
    const count = 1 + ((length + 3) >> 2);
    words[count - 1] = 0;
    words[0] = length;
    this.#maskBytes.set(maskBytes);
    const known = form.data.find(words, 0, count);
    if (known !== undefined) return known;
    const mask = this.#parseMask(maskBytes);
    form.data.add(words, 0, count, mask);
    return mask;
  }

  /**
   * Whether the row of the key that was read last, from `bytes`, does not say all of them: encoded anew they would be
   * another key. A key that it says all of has its form learned.
   */
  isLossy(bytes: Uint8Array): boolean {
    if (this.#form !== undefined) return false;
    const canonical = flowToKey(this.key, 0, this.#support);
    if (Buffer.compare(canonical, bytes) !== 0) {
      const again = this.#again;
      const { fitness } = keyToFlow(canonical, again, 0, this.#vlanLimit);
      asExtracted(again);
      if (fitness !== 'perfect' || !sameRow(again, this.key)) return true;
    }
    this.#forms.learn(bytes, this.key);
    return false;
  }

  #read(bytes: Uint8Array): void {
    const form = this.#forms.read(bytes);
    this.#form = form;
    if (form !== undefined) {
      this.key = form.row;
      return;
    }
    this.key = this.#row;
    if (bytes.length === 0) throw new DpifError('EINVAL', 'the flow key is empty');
    const result = keyToFlow(bytes, this.key, 0, this.#vlanLimit);
    // A datapath that guesses would match other packets.
    if (result.fitness !== 'perfect')
      throw fitnessError('flow key', bytes, result, flowToKey(this.key, 0, this.#support));
    checkKnown('flow key', bytes);
    if (this.key[W_PACKET_TYPE] !== 0 && this.key[W_VLAN0] !== 0) {
      throw new DpifError(
        'EINVAL',
        'the flow key has a vlan, but no eth: packets without Ethernet have no tags',
      );
    }
  }

  #parseMask(bytes: Uint8Array): FlowMask {
    const { key } = this;
    const mask = new Int32Array(KEY_WORDS);
    const result = maskToFlow(bytes, key, mask, 0, 0, this.#vlanLimit);
    if (result.fitness !== 'perfect')
      throw fitnessError('flow mask', bytes, result, flowToKey(key, 0, this.#support));
    checkKnown('flow mask', bytes);
    // The codec lets this pass, as Open vSwitch does: a label means nothing without the type.
    if (mask[W_MPLS] !== 0 && mask[W_TYPE_FRAG_PROTO]! >>> 16 !== 0xffff) {
      throw new DpifError('EINVAL', 'the flow mask matches mpls, but eth_type only in part');
    }
    if (mask[W_IN_PORT] !== -1) {
      throw new DpifError('EINVAL', 'the flow mask must match in_port exactly: flows belong to one port');
    }
    return new FlowMask(mask);
  }
}

/**
 * A tag that the end of the packet cuts off has its type in a key's row, and 0 for all the rest. Extraction leaves that type
 * where Ethertypes are: so do we, or the key of such a packet's upcall would match no packet.
 */
function asExtracted(key: Int32Array): void {
  for (let word = W_VLAN0; word < W_VLAN0 + MAX_VLANS; word++) {
    const tag = key[word]!;
    if (tag === 0 || (tag & 0xffff) !== 0) continue;
    key[word] = 0;
    key[W_TYPE_FRAG_PROTO] = (key[W_TYPE_FRAG_PROTO]! & 0xffff) | (tag & ~0xffff);
  }
}

function sameRow(a: Int32Array, b: Int32Array): boolean {
  for (let word = 0; word < KEY_WORDS; word++) if (a[word] !== b[word]) return false;
  return true;
}
