/** Extraction and its inverse on arbitrary frames. */

import { composePacket, extractFrame, LAYER_L2_PAD, LAYER_L4, LAYER_WORDS } from '@etherloom/core';
import {
  FRAME_WORDS_END,
  flowToKey,
  KEY_WORDS,
  keyToFlow,
  W_ARP_HA,
  W_NSH,
  W_PACKET_TYPE,
  W_TOS_TTL_FLAGS,
  W_TUN_ID,
  W_TYPE_FRAG_PROTO,
  W_VLAN0,
} from '@etherloom/odp-codec';
import type { Input, ReadVectors, Target } from '../target.js';
import { toHex } from '../target.js';
import { hexField, mustHold, sameBytes, sameRows } from './check.js';

/** The first knob: Ethernet, and packets without Ethernet header by the type of their network layer. */
const PACKET_TYPES: readonly number[] = [0, 0, 0, 0x10800, 0x186dd, 0x18847, 0x1894f, 0x10806];

const ETH_TYPE_NONE = 0x5ff;
const ETH_TYPE_ARP = 0x0806;
const ETH_TYPE_RARP = 0x8035;
const ETH_TYPE_IPV6 = 0x86dd;
const ETH_TYPE_NSH = 0x894f;
const PROTO_ICMPV6 = 58;

/** Bytes in front of the frame, which extraction has no business with either. */
const FRONT = 64;

export function packetTypeOf(knob: number): number {
  return PACKET_TYPES[knob % PACKET_TYPES.length]!;
}

/** The knob that stands for the packet type of a record. */
export function knobOf(record: Readonly<Record<string, unknown>>): number {
  const type = typeof record.packet_type === 'string' ? Number.parseInt(record.packet_type, 16) : 0;
  return Math.max(PACKET_TYPES.indexOf(type), 0);
}

function seeds(read: ReadVectors): Input[] {
  const records = [...read('extract'), ...read('execute')];
  return records.flatMap((record) =>
    hexField(record, 'packet_hex').map((frame) => [
      Uint8Array.of(knobOf(record), record.vlan_limit === 1 ? 1 : 2),
      frame,
    ]),
  );
}

interface Extracted {
  readonly words: Int32Array;
  readonly layers: Int32Array;
}

const isFrameWord = (word: number): boolean =>
  (word >= W_PACKET_TYPE && word < FRAME_WORDS_END) || (word >= W_NSH && word < W_TUN_ID);

/** Extracts from memory with `behind` bytes after the frame, all of it and the row full of `filler` before. */
function extractFrom(
  frame: Uint8Array,
  type: number,
  limit: number,
  filler: number,
  behind: number,
): Extracted {
  const memory = new Uint8Array(FRONT + frame.length + behind).fill(filler);
  memory.set(frame, FRONT);
  const words = new Int32Array(KEY_WORDS).fill(filler);
  const layers = new Int32Array(LAYER_WORDS).fill(filler);
  extractFrame(new DataView(memory.buffer), FRONT, frame.length, type, limit, words, 0, layers, 0);
  words.forEach((value, word) => {
    if (!isFrameWord(word)) {
      mustHold('extraction leaves metadata alone', value === filler, () => `word ${word} is ${value}`);
      words[word] = 0;
    }
  });
  return { words, layers };
}

/** Whether composition promises to give the key back: the exceptions are those that `composePacket` names. */
function isComposable(words: Int32Array): boolean {
  const type = words[W_TYPE_FRAG_PROTO]! >>> 16;
  const fragment = (words[W_TYPE_FRAG_PROTO]! >>> 8) & 0xff;
  const operation = words[W_TYPE_FRAG_PROTO]! & 0xff;
  if (words[W_PACKET_TYPE] !== 0 || type === ETH_TYPE_NSH) return false;
  if (type === ETH_TYPE_ARP || type === ETH_TYPE_RARP) return operation === 1 || operation === 2;
  if (type === ETH_TYPE_NONE) return words[W_VLAN0] === 0;
  if (type !== ETH_TYPE_IPV6) return true;
  return fragment === 0 && (operation !== PROTO_ICMPV6 || hasOptionsOfAddresses(words));
}

/** Neighbour discovery: whether the type of the first option is the one that composition writes first. */
function hasOptionsOfAddresses(words: Int32Array): boolean {
  const isSet = (word: number, mask: number): boolean => (words[word]! & mask) !== 0;
  const source = isSet(W_ARP_HA, -1) || isSet(W_ARP_HA + 1, 0xffff0000);
  const target = isSet(W_ARP_HA + 1, 0xffff) || isSet(W_ARP_HA + 2, -1);
  return (words[W_TOS_TTL_FLAGS]! & 0xffff) === (source ? 1 : target ? 2 : 0);
}

function run([knobs, frame]: Input): void {
  if (knobs === undefined || frame === undefined) return;
  const type = packetTypeOf(knobs[0]!);
  const limit = knobs[1]! % 3;
  const atEnd = extractFrom(frame, type, limit, 0, 0);
  for (const filler of [0x55, -1]) {
    const inside = extractFrom(frame, type, limit, filler, 200);
    sameRows('extraction does not depend on what is around the frame', inside.words, atEnd.words);
    sameRows('layer offsets do not depend on what is around the frame', inside.layers, atEnd.layers);
  }
  const { words, layers } = atEnd;
  for (let layer = 0; layer <= LAYER_L4; layer++) {
    const at = layers[layer]!;
    mustHold('layers lie in the frame', at >= -1 && at <= frame.length, () => `layer ${layer} at ${at}`);
  }
  const pad = layers[LAYER_L2_PAD]!;
  mustHold('padding lies in the frame', pad >= 0 && pad <= frame.length, () => `${pad} bytes of padding`);

  const key = flowToKey(words, 0, { vlanLimit: limit === 0 ? 2 : limit });
  keyToFlow(key, new Int32Array(KEY_WORDS));

  const composed = composePacket(words);
  mustHold('a composed frame has a header', composed.length >= 14, () => toHex(composed));
  if (frame.length < 14 || limit === 1 || !isComposable(words)) return;
  const again = extractFrom(composed, 0, 2, 0, 0).words;
  sameRows('the key of a composed frame is the one it was composed of', again, words);
  sameBytes('a composed frame composes to itself', composePacket(again), composed);
}

export const extract: Target = {
  parts: [
    { name: 'packet type and VLAN limit', kind: 'knobs', maxLength: 2 },
    { name: 'frame', kind: 'bytes', maxLength: 4096 },
  ],
  seeds,
  run,
};
