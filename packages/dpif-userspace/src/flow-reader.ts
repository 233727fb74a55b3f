/**
 * Reads keys and masks of flow operations, checks them, and remembers what it read: keys by their form, masks by their
 * bytes within a form, since what a mask may have depends on the protocols of the key and on no other value of it. Parsing
 * and checking key and mask of a put each time takes 2.5 us, finding them 0.3. Control path.
 */

import { type ActionProgram, DpifError, type DpifOp, KnownMask, PreparedKey } from '@etherloom/core';
import {
  type FlowSupport,
  type FormRow,
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

/** A key as it is read, and the mask that came with it. */
export class FlowKey extends PreparedKey implements FormRow {
  form: KeyForm<Masks> | undefined;
  /** The mask of a put that was read ahead. */
  mask: FlowMask | undefined;
  /** Of what operation it was read ahead; undefined: of none. */
  op: DpifOp | undefined;
}

export class FlowReader {
  readonly #vlanLimit: number;
  readonly #support: FlowSupport;
  readonly #forms = new KeyForms<Masks>(FORMS, () => new Recent(MASKS));
  readonly #again = new Int32Array(KEY_WORDS);
  /** The length of a mask, and its bytes. */
  readonly #maskWords = new Int32Array(1 + MAX_MASK / 4);
  readonly #maskBytes = new Uint8Array(this.#maskWords.buffer, 4);

  /** Keys may have up to `vlanLimit` tags, 1 or 2. */
  constructor(vlanLimit: number) {
    this.#vlanLimit = vlanLimit;
    this.#support = { vlanLimit };
  }

  /** Reads a key to the row of `into`. EINVAL. */
  readKey(bytes: Uint8Array, into: FlowKey): void {
    this.#read(bytes, into);
    if (into.form === undefined) asExtracted(into.row);
  }

  /** Reads a key to the row of `into`, and its mask; none, or an empty one, is exact. EINVAL. */
  readFlow(bytes: Uint8Array, maskBytes: Uint8Array = NO_BYTES, into: FlowKey): FlowMask {
    this.#read(bytes, into);
    const { form, row } = into;
    if (form === undefined) {
      const mask = this.#parseMask(maskBytes, row);
      asExtracted(row);
      return mask;
    }
    if (maskBytes.length > MAX_MASK) return this.#parseMask(maskBytes, row);
    const known = this.#knownMask(form, maskBytes);
    if (known !== undefined) return known;
    const mask = this.#parseMask(maskBytes, row);
    form.data.add(this.#maskWords, 0, maskWordsOf(maskBytes), mask);
    return mask;
  }

  /** As {@link readKey}, of a key that has a known form only; returns whether it does. */
  readKnownKey(bytes: Uint8Array, into: FlowKey): boolean {
    return this.#forms.readTo(bytes, into) !== undefined;
  }

  /** The mask of a put whose key was read to `key` and has a known form; undefined when it is not known itself. */
  readKnownMask(bytes: Uint8Array = NO_BYTES, { form }: FlowKey): FlowMask | undefined {
    return form === undefined || bytes.length > MAX_MASK ? undefined : this.#knownMask(form, bytes);
  }

  /**
   * Whether the row of `key`, which was read from `bytes`, does not say all of them: encoded anew they would be another
   * key. A key that it says all of has its form learned.
   */
  isLossy(key: FlowKey, bytes: Uint8Array): boolean {
    if (key.form !== undefined) return false;
    const { row } = key;
    const canonical = flowToKey(row, 0, this.#support);
    if (Buffer.compare(canonical, bytes) !== 0) {
      const again = this.#again;
      const { fitness } = keyToFlow(canonical, again, 0, this.#vlanLimit);
      asExtracted(again);
      if (fitness !== 'perfect' || !sameRow(again, row)) return true;
    }
    this.#forms.learn(bytes, row);
    return false;
  }

  #knownMask(form: KeyForm<Masks>, maskBytes: Uint8Array): FlowMask | undefined {
    const words = this.#maskWords;
    const count = maskWordsOf(maskBytes);
    words[count - 1] = 0;
    words[0] = maskBytes.length;
    this.#maskBytes.set(maskBytes);
    return form.data.find(words, 0, count);
  }

  #read(bytes: Uint8Array, into: FlowKey): void {
    if (this.#forms.readTo(bytes, into) !== undefined) return;
    into.form = undefined;
    const { row } = into;
    if (bytes.length === 0) throw new DpifError('EINVAL', 'the flow key is empty');
    const result = keyToFlow(bytes, row, 0, this.#vlanLimit);
    // A datapath that guesses would match other packets.
    if (result.fitness !== 'perfect')
      throw fitnessError('flow key', bytes, result, flowToKey(row, 0, this.#support));
    checkKnown('flow key', bytes);
    if (row[W_PACKET_TYPE] !== 0 && row[W_VLAN0] !== 0) {
      throw new DpifError(
        'EINVAL',
        'the flow key has a vlan, but no eth: packets without Ethernet have no tags',
      );
    }
  }

  #parseMask(bytes: Uint8Array, key: Int32Array): FlowMask {
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

/** Words of a mask and its length. */
const maskWordsOf = (bytes: Uint8Array): number => 1 + ((bytes.length + 3) >> 2);

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
