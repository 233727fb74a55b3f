/** Packets of sessions, in hexadecimal: where in them the parts are that rules are about. */

import { extractFrame, LAYER_L4, LAYER_WORDS } from '@etherloom/core';
import { KEY_WORDS, MAX_VLANS, W_TYPE_FRAG_PROTO } from '@etherloom/odp-codec';

/** IPv4 and a fragment with an offset: `eth_type << 8 | nw_frag`. */
const LATER_IPV4 = 0x0800_03;
const UDP = 17;
const MAX_PACKET = 65_535;

function extracted(hex: string): { words: Int32Array; layers: Int32Array } {
  const packet = Uint8Array.from(Buffer.from(hex, 'hex'));
  const words = new Int32Array(KEY_WORDS);
  const layers = new Int32Array(LAYER_WORDS);
  extractFrame(new DataView(packet.buffer), 0, packet.length, 0, MAX_VLANS, words, 0, layers, 0);
  return { words, layers };
}

/** The bytes in front of the payload of a later IPv4 fragment; undefined for any other packet. */
export function beforePayload(hex: string): string | undefined {
  const { words, layers } = extracted(hex);
  return words[W_TYPE_FRAG_PROTO]! >>> 8 === LATER_IPV4 ? hex.slice(0, layers[LAYER_L4]! * 2) : undefined;
}

/** Where the UDP header of a packet begins, in digits; undefined when it has none. */
export function udpHeader(hex: string): number | undefined {
  // A packet that was truncated has its header all the same: to see it, the packet must be as long as its IP header says.
  const { words, layers } = extracted(hex.padEnd(2 * MAX_PACKET, '0'));
  const proto = words[W_TYPE_FRAG_PROTO]! & 0xff;
  const l4 = layers[LAYER_L4]!;
  return proto === UDP && l4 > 0 && hex.length >= (l4 + 8) * 2 ? l4 * 2 : undefined;
}

/** Whether `want`, packets with spaces between them, is `have` but for some that are missing. */
export function lacksPackets(want: string, have: string): boolean {
  if (!/^[0-9a-f ]*$/.test(want) || !/^[0-9a-f]+(?: [0-9a-f]+)*$/.test(have)) return false;
  const wanted = want === '' ? [] : want.split(' ');
  let found = 0;
  for (const packet of have.split(' ')) if (packet === wanted[found]) found++;
  return found === wanted.length && want.length < have.length;
}

const SENT = /^ {4}(?:TX packets:(\d+) .*|RX bytes:\d+ .* TX bytes:(\d+) .*)$/;

/** Whether two lines of show -s differ in what a port sent, and it sent more in `have`. */
export function lacksSent(want: string, have: string): boolean {
  const counts = [want, have].map((line) => {
    const [, packets, bytes] = SENT.exec(line) ?? [];
    return Number(packets ?? bytes);
  });
  return counts[0]! < counts[1]!;
}
