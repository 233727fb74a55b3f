/**
 * Source text that parses one frame into local variables, just the words that some mask needs. Control path.
 *
 * The text knows the shapes that nearly all traffic has: Ethernet with at most one VLAN tag, and IPv4 without options
 * or IPv6 without extension headers in it, whole (no fragments), with any protocol if no mask looks behind it, else with
 * TCP or UDP. Whatever else a frame may be goes through `extractFrame`, whose meaning the text has to match word for
 * word: test/classifier/burst.test.ts holds the two against each other.
 */

import {
  FRAME_WORDS_END,
  W_ARP_HA,
  W_ETH,
  W_IGMP_GROUP,
  W_IPV6_DST,
  W_IPV6_LABEL,
  W_IPV6_SRC,
  W_NSH,
  W_NW_DST,
  W_NW_SRC,
  W_PACKET_TYPE,
  W_TOS_TTL_FLAGS,
  W_TP,
  W_TUN_ID,
  W_TYPE_FRAG_PROTO,
  W_VLAN0,
} from '@etherloom/odp-codec/data';

/** Whether a word of a received frame's key can be anything but 0, apart from in_port. */
export function isFrameWord(word: number): boolean {
  return (word > W_PACKET_TYPE && word < FRAME_WORDS_END) || (word >= W_NSH && word < W_TUN_ID);
}

/** Words that depend on the header behind IP, where only TCP and UDP are easy. */
const isTransportWord = (word: number): boolean =>
  word === W_TOS_TTL_FLAGS || word === W_TP || (word >= W_ARP_HA && word <= W_IGMP_GROUP);

/**
 * Statements that set `w3`, `w4`... for each of `words` (frame words), `flags` (TCP flags for statistics) and `shape`
 * (see `BurstLookup.shape`), from `n` bytes at `at` of `view`, packet `i` of the burst.
 */
export function parseSource(words: readonly number[]): string {
  const set = (word: number, value: string): string => (words.includes(word) ? `w${word} = ${value};` : '');
  const fill = (first: number, count: number, at: string): string =>
    Array.from({ length: count }, (_, i) => set(first + i, `view.getInt32(${at} + ${i * 4})`)).join(' ');

  /** Behind IP: `left` bytes from `l4` on. Sets `shape` unless the protocol is one for `extractFrame`. */
  const transport = (header: number, pad: string): string => `
    const known = l3 | ((l3 + ${header}) << 8) | (${pad} << 16);
    if (proto === 6) {
      shape = known;
      if (left >= 20) {
        const control = view.getUint16(l4 + 12);
        const header = (control >>> 10) & 0x3c;
        if (header >= 20 && header <= left) {
          flags = control & 0xfff;
          ${set(W_TP, 'view.getInt32(l4)')}
        }
      }
    } else if (proto === 17) {
      shape = known;
      ${words.includes(W_TP) ? `if (left >= 8) w${W_TP} = view.getInt32(l4);` : ''}
    } ${words.some(isTransportWord) ? '' : 'else { shape = known; }'}`;

  return `
let ${[...words.map((word) => `w${word} = 0`), 'flags = 0', 'shape = 0'].join(', ')};
if (n >= 34) {
  let l3 = 14;
  let type = view.getUint16(at + 12);
  if (type === 0x8100 || type === 0x88a8) {
    ${set(W_VLAN0, 'view.getInt32(at + 12) | 0x1000')}
    type = view.getUint16(at + 16);
    l3 = 18;
  }
  const net = at + l3;
  const room = n - l3;
  if (type === 0x0800) {
    const first = view.getInt32(net);
    const middle = view.getInt32(net + 6);
    const total = first & 0xffff;
    if ((first & 0x0f000000) === 0x05000000 && (middle & 0x3fff0000) === 0 && total >= 20 && total <= room) {
      const proto = middle & 0xff;
      const l4 = net + 20;
      const left = total - 20;
      ${transport(20, '(room - total)')}
      ${set(W_TYPE_FRAG_PROTO, '0x08000000 | proto')}
      ${fill(W_NW_SRC, 1, 'net + 12')} ${fill(W_NW_DST, 1, 'net + 16')}
      ${set(W_TOS_TTL_FLAGS, '((first << 8) & 0xff000000) | ((middle & 0xff00) << 8) | flags')}
    }
  } else if (type === 0x86dd && room >= 40) {
    const first = view.getInt32(net);
    const second = view.getInt32(net + 4);
    const proto = (second >>> 8) & 0xff;
    const l4 = net + 40;
    const left = second >>> 16;
    const pad = room - 40 - left;
    if (pad >= 0 && proto !== 0 && proto !== 43 && proto !== 44 && proto !== 51 && proto !== 60) {
      ${transport(40, 'pad')}
      ${set(W_TYPE_FRAG_PROTO, '-2032336896 | proto')}
      ${fill(W_IPV6_SRC, 4, 'net + 8')} ${fill(W_IPV6_DST, 4, 'net + 24')}
      ${set(W_IPV6_LABEL, 'first & 0xfffff')}
      ${set(W_TOS_TTL_FLAGS, '((first << 4) & 0xff000000) | ((second & 0xff) << 16) | flags')}
    }
  }
  ${fill(W_ETH, 3, 'at')}
}
if (shape === 0) {
  const row = burst.extract(i);
  flags = burst.tcpFlags[i];
  ${words.map((word) => `w${word} = keys[row + ${word}];`).join(' ')}
}`;
}
