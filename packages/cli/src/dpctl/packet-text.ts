/** Packets that people write: as hexadecimal digits, or as the flow that they belong to. */

import { composePacket, DpifError } from '@etherloom/core';
import { KEY_WORDS, keyToFlow, type ParseOptions, parseFlowKeyExact } from '@etherloom/odp-codec';

/** An Ethernet header: less is no packet. */
const MIN_BYTES = 14;

/** The bytes that `text` writes in hexadecimal, with or without white space; undefined when it is anything else. */
export function packetFromHex(text: string): Uint8Array | undefined {
  const digits = text.replaceAll(/\s/g, '');
  if (!/^(?:[0-9a-f]{2})*$/i.test(digits) || digits.length < 2 * MIN_BYTES) return undefined;
  return Uint8Array.from(Buffer.from(digits, 'hex'));
}

export interface PacketOptions extends ParseOptions {
  /** VLAN tags that a key has, 1 or 2. */
  readonly vlanLimit?: number | undefined;
  /** Length of the frame; default: headers and 64 bytes. */
  readonly length?: number | undefined;
}

/** A packet of the flow that `text` says, and that flow's key. Throws an `OdpError`, or EINVAL for a flow that contradicts itself. */
export function packetFromFlow(
  text: string,
  { vlanLimit, length, ...options }: PacketOptions = {},
): { readonly packet: Uint8Array; readonly key: Uint8Array } {
  const key = parseFlowKeyExact(text, options);
  const words = new Int32Array(KEY_WORDS);
  const { fitness, message } = keyToFlow(key, words, 0, vlanLimit);
  if (fitness === 'error') throw new DpifError('EINVAL', message ?? 'the flow contradicts itself');
  return { packet: composePacket(words, length === undefined ? {} : { length }), key };
}
