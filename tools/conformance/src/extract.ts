/** Checks extract.jsonl: the key, layer offsets and fitness that extraction gives for a frame. */

import { extractFrame, LAYER_L2_5, LAYER_L2_PAD, LAYER_L3, LAYER_L4, LAYER_WORDS } from '@etherloom/core';
import {
  FRAME_WORDS_END,
  flowToKey,
  formatFlowKey,
  KEY_WORDS,
  keyToFlow,
  MAX_VLANS,
  W_IN_PORT,
  W_NSH,
  W_PACKET_TYPE,
  W_TOS_TTL_FLAGS,
  W_TUN_ID,
} from '@etherloom/odp-codec';
import { compare } from './diff.js';
import { bytesOf, numberOf, stringOf, toHex, type VectorRecord } from './record.js';

/** The differences between what a record of extract.jsonl gives and what we extract; none when it passes. */
export function checkExtractRecord(record: VectorRecord): string[] {
  const frame = bytesOf(record, 'packet_hex');
  const packetType =
    record.packet_type === undefined ? 0 : Number.parseInt(stringOf(record, 'packet_type'), 16);
  // 0 is no limit of the user's, as for the vlan-limit of Open vSwitch.
  const vlanLimit = numberOf(record, 'vlan_limit', 0) || MAX_VLANS;
  const words = new Int32Array(KEY_WORDS);
  // Extraction has to write every word that belongs to the frame.
  words.fill(-1, W_PACKET_TYPE, FRAME_WORDS_END).fill(-1, W_NSH, W_TUN_ID);
  words[W_IN_PORT] = numberOf(record, 'in_port');
  const layers = new Int32Array(LAYER_WORDS);
  extractFrame(new DataView(frame.buffer), 0, frame.length, packetType, vlanLimit, words, 0, layers, 0);

  const key = flowToKey(words, 0, { vlanLimit });
  const differences: string[] = [];
  compare(differences, 'key_hex', record.key_hex, toHex(key));
  compare(differences, 'text', record.text, formatFlowKey(key));
  compare(differences, 'tcp_flags', record.tcp_flags, words[W_TOS_TTL_FLAGS]! & 0xffff);
  compare(differences, 'l2_5_ofs', record.l2_5_ofs, layers[LAYER_L2_5]);
  compare(differences, 'l3_ofs', record.l3_ofs, layers[LAYER_L3]);
  compare(differences, 'l4_ofs', record.l4_ofs, layers[LAYER_L4]);
  compare(differences, 'l2_pad', record.l2_pad, layers[LAYER_L2_PAD]);
  compare(differences, 'size_after', record.size_after ?? frame.length, frame.length);
  compare(
    differences,
    'fitness',
    record.fitness,
    keyToFlow(key, new Int32Array(KEY_WORDS), 0, vlanLimit).fitness,
  );
  return differences;
}
