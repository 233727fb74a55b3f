/** Keys and masks as Netlink bytes. */

import {
  decodeKey,
  encodeKey,
  flowToKey,
  flowToMask,
  flowToMetadataKey,
  formatFlowKey,
  KEY_WORDS,
  keyToFlow,
  maskToFlow,
  metadataFromKey,
  parseFlowKeyExact,
  W_MPLS,
  W_PACKET_TYPE,
  W_TYPE_FRAG_PROTO,
  W_VLAN0,
} from '@etherloom/odp-codec';
import type { Input, ReadVectors, Target } from '../target.js';
import { toHex } from '../target.js';
import {
  hasModel,
  hexField,
  isReadable,
  mustAccept,
  mustEqual,
  mustHold,
  sameBytes,
  sameRows,
  unlessRefused,
} from './check.js';

const row = new Int32Array(KEY_WORDS);
const maskRow = new Int32Array(KEY_WORDS);
const other = new Int32Array(KEY_WORDS);

function seeds(read: ReadVectors): Input[] {
  const records = [...read('keys'), ...read('keys-bad')];
  const pairs = records.flatMap((record) =>
    hexField(record, 'key_hex').map((key) => [key, hexField(record, 'mask_hex')[0] ?? new Uint8Array(0)]),
  );
  const extracted = read('extract').flatMap((record) => hexField(record, 'key_hex'));
  return [...pairs, ...extracted.map((key) => [key, new Uint8Array(0)])];
}

const MPLS_BOTTOM = 0x100;
const PACKING = { ndExt: true };

/**
 * Keys that Open vSwitch takes and packs as others: packet types that are unknown or another Ethertype than the key says,
 * tags without an Ethernet header, ARP operation 255, a label stack without a bottom of which an entry is 0.
 */
function isPackedDifferently(words: Int32Array): boolean {
  const typeAndProtocol = words[W_TYPE_FRAG_PROTO]! & 0xffff_00ff;
  const isArp255 = typeAndProtocol === 0x0806_00ff || typeAndProtocol === (0x8035_00ff | 0);
  const packetType = words[W_PACKET_TYPE]!;
  const isNetworkLayer = packetType === (0x10000 | (typeAndProtocol >>> 16)) && words[W_VLAN0] === 0;
  const type = typeAndProtocol >>> 16;
  const isMpls = type === 0x8847 || type === 0x8848;
  const labels = words.subarray(W_MPLS, W_MPLS + 3);
  const isBottomless = isMpls && labels.every((label) => (label & MPLS_BOTTOM) === 0) && labels.includes(0);
  return isBottomless || isArp255 || (packetType !== 0 && !isNetworkLayer);
}

/**
 * The row in `row` was unpacked from a perfect key. Packing it leaves out what Open vSwitch leaves out (a tunnel without
 * address, a connection's tuple of another address family), so what is packed is compared, not the row.
 */
function checkPerfect(key: Uint8Array): void {
  if (isPackedDifferently(row)) return;
  const packed = flowToKey(row, 0, PACKING);
  const { fitness } = keyToFlow(packed, other);
  mustEqual('a row of a perfect key packs into a perfect key', fitness, 'perfect');
  sameBytes('a key that is unpacked and packed again is the same', flowToKey(other, 0, PACKING), packed);
  const text = formatFlowKey(key);
  if (!isReadable(text) || !hasModel(key)) return;
  const read = mustAccept('the text of a perfect key reads back', text, () => parseFlowKeyExact(text));
  mustEqual(
    'the text of a perfect key reads back as a perfect key',
    keyToFlow(read, other).fitness,
    'perfect',
  );
  const again = formatFlowKey(flowToKey(other, 0, PACKING));
  mustEqual('the text of a perfect key reads back as the same flow', again, formatFlowKey(packed));
}

function checkMetadata(key: Uint8Array): void {
  metadataFromKey(key, other.fill(0));
  const packed = flowToMetadataKey(other);
  const before = formatFlowKey(packed);
  metadataFromKey(packed, other);
  mustEqual(
    'metadata that is packed and unpacked is the same',
    formatFlowKey(flowToMetadataKey(other)),
    before,
  );
}

/** A model encodes to a key that has the same model, text and flow. */
function checkModel(key: Uint8Array): void {
  const model = unlessRefused(() => decodeKey(key));
  if (model === undefined) return;
  const json = JSON.stringify(model);
  const encoded = mustAccept('a decoded model encodes', json, () => encodeKey(JSON.parse(json)));
  const again = mustAccept('an encoded model decodes', toHex(encoded), () => decodeKey(encoded));
  mustEqual('an encoded model decodes to the same', JSON.stringify(again), json);
  sameBytes('the bytes of a model are canonical', encodeKey(again), encoded);
  mustEqual('a key and its model print the same', formatFlowKey(encoded), formatFlowKey(key));
  const { fitness } = keyToFlow(key, row);
  mustEqual('a key and its model fit the same', keyToFlow(encoded, other).fitness, fitness);
  if (fitness !== 'error') sameRows('a key and its model are the same flow', other, row);
}

function run([key, mask]: Input): void {
  if (key === undefined || mask === undefined) return;
  formatFlowKey(key);
  formatFlowKey(key, mask);
  formatFlowKey(key, mask, { verbose: true, portName: (port) => (port < 4 ? `p${port}` : undefined) });
  checkMetadata(key);
  checkModel(key);
  checkModel(mask);
  const { fitness, message } = keyToFlow(key, row);
  mustHold('an error says what is wrong', fitness !== 'error' || (message ?? '') !== '', () => toHex(key));
  if (fitness === 'error') return;
  flowToKey(row);
  if (maskToFlow(mask, row, maskRow).fitness !== 'error') flowToMask(row, maskRow);
  if (fitness === 'perfect') checkPerfect(key);
}

export const keyBytes: Target = {
  parts: [
    { name: 'key', kind: 'netlink', maxLength: 2200 },
    { name: 'mask', kind: 'netlink', maxLength: 2200 },
  ],
  seeds,
  run,
};
