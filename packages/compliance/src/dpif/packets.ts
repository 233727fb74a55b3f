/** Packets of the dpif suite, and the flows that match them, from dpctl text. */

import assert from 'node:assert/strict';
import { composePacket } from '@etherloom/core';
import {
  formatActions,
  formatFlowKey,
  KEY_WORDS,
  keyToFlow,
  parseActions,
  parseFlowKey,
  parseFlowKeyExact,
} from '@etherloom/odp-codec';

/** Stations of the suite have addresses 02:ee:..., by which it knows its packets among others on a live wire. */
const MARK = [0x02, 0xee];
const ETH = 'eth(src=02:ee:00:00:00:01,dst=02:ee:00:00:00:02)';

export function isOurs(packet: Uint8Array): boolean {
  return packet[6] === MARK[0] && packet[7] === MARK[1];
}

/** The packet that has the key `text`. */
export function compose(text: string, length?: number): Uint8Array {
  const words = new Int32Array(KEY_WORDS);
  const { fitness } = keyToFlow(parseFlowKeyExact(`in_port(1),${text}`), words);
  assert.equal(fitness, 'perfect', `the suite's own packet ${text}`);
  return composePacket(words, length === undefined ? {} : { length });
}

export interface UdpOptions {
  readonly src?: string;
  readonly dst?: string;
  readonly from?: number;
  readonly to?: number;
  /** Of the whole packet. */
  readonly length?: number;
}

const ipv4 = (src: string, dst: string, proto: number): string =>
  `${ETH},eth_type(0x0800),ipv4(src=${src},dst=${dst},proto=${proto},tos=0,ttl=64,frag=no)`;

export function udp(options: UdpOptions = {}): Uint8Array {
  const { src = '10.0.0.1', dst = '10.0.0.2', from = 1000, to = 2000, length = 60 } = options;
  return compose(`${ipv4(src, dst, 17)},udp(src=${from},dst=${to})`, length);
}

/** `flags` as OVS numbers them: 1 FIN, 2 SYN, 4 RST, 8 PSH, 0x10 ACK. */
export function tcp(flags: number, from = 1000): Uint8Array {
  const packet = compose(`${ipv4('10.0.0.1', '10.0.0.2', 6)},tcp(src=${from},dst=80),tcp_flags(0)`, 60);
  packet[14 + 20 + 13] = flags;
  return packet;
}

/** A packet of `length` bytes that is no more than an Ethernet header and filling; `seed` makes its bytes its own. */
export function raw(length: number, seed = 0): Uint8Array {
  const packet = Uint8Array.from({ length }, (_, i) => (i * 7 + seed) % 251);
  packet.set([2, 0xee, 0, 0, 0, 2, 2, 0xee, 0, 0, 0, 1, 0x88, 0xb5]);
  return packet;
}

/** `packet` with a tag: what the wire carries. */
export function tagged(packet: Uint8Array, vid: number): Uint8Array {
  return Uint8Array.from([...packet.subarray(0, 12), 0x81, 0, vid >> 8, vid & 0xff, ...packet.subarray(12)]);
}

/** Key and mask that match everything from `port` with the type of {@link raw}. */
export const rawFlow = (port: number): string => `in_port(${port}),eth(),eth_type(0x88b5)`;
/** All untagged UDP over IPv4 from `port`. */
export const udpFlow = (port: number): string =>
  `in_port(${port}),eth(),eth_type(0x0800),ipv4(proto=17),udp()`;
/** The UDP flow from port `from`, exactly: a flow of its own for each port. */
export const udpFrom = (port: number, from: number): string =>
  `in_port(${port}),eth(),eth_type(0x0800),ipv4(proto=17,frag=no),udp(src=${from})`;
export const tcpFlow = (port: number): string =>
  `in_port(${port}),eth(),eth_type(0x0800),ipv4(proto=6,frag=no),tcp()`;

export const flow = parseFlowKey;
export const actions = parseActions;
export const keyText = (key: Uint8Array, mask?: Uint8Array): string => formatFlowKey(key, mask);
export const actionsText = (bytes: Uint8Array): string => formatActions(bytes);

/** Packets are equal: says which one differs, not all their bytes. */
export function samePackets(actual: readonly Uint8Array[], expected: readonly Uint8Array[]): void {
  const lengths = (packets: readonly Uint8Array[]): number[] => packets.map(({ length }) => length);
  assert.deepEqual(lengths(actual), lengths(expected), 'lengths of the packets, in order');
  expected.forEach((packet, i) => {
    assert.deepEqual(
      Buffer.from(actual[i]!).toString('hex'),
      Buffer.from(packet).toString('hex'),
      `packet ${i}`,
    );
  });
}
