/** Which offloads the kernel has for a TAP device: asked for from all to none, since it says only that it refuses. */

import {
  errnoCode,
  OFFLOAD_CSUM_PARTIAL,
  OFFLOAD_CSUM_VALID,
  OFFLOAD_GSO_ECN,
  OFFLOAD_GSO_TCP4,
  OFFLOAD_GSO_TCP6,
  OFFLOAD_GSO_UDP,
} from '@etherloom/core';
import { isSystemError, kernelError } from '@etherloom/netdev-linux';
import type { TapControl } from './binding.js';

// Flags of TUNSETOFFLOAD (linux/if_tun.h). Not among them: UFO, which Linux accepts and, since 4.14, does not do.
const TUN_F_CSUM = 0x01;
const TUN_F_TSO4 = 0x02;
const TUN_F_TSO6 = 0x04;
const TUN_F_TSO_ECN = 0x08;
const TUN_F_USO4 = 0x20;
const TUN_F_USO6 = 0x40;

/** The steps down, each with what it gives up. Linux takes both USO flags or none. */
const LADDER = [
  {
    mode: 'uso',
    flags: TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN | TUN_F_USO4 | TUN_F_USO6,
    offloads: OFFLOAD_CSUM_PARTIAL | OFFLOAD_GSO_TCP4 | OFFLOAD_GSO_TCP6 | OFFLOAD_GSO_ECN | OFFLOAD_GSO_UDP,
    reason: 'the kernel does not segment UDP for TAP devices: Linux 6.2 or later does',
  },
  {
    mode: 'tso',
    flags: TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN,
    offloads: OFFLOAD_CSUM_PARTIAL | OFFLOAD_GSO_TCP4 | OFFLOAD_GSO_TCP6 | OFFLOAD_GSO_ECN,
    reason: 'the kernel does not segment TCP for TAP devices',
  },
  {
    mode: 'csum',
    flags: TUN_F_CSUM,
    offloads: OFFLOAD_CSUM_PARTIAL,
    reason: 'the kernel does not finish checksums for TAP devices',
  },
] as const;

/** What a device does of the work on packets, as in NetdevCapabilities. */
export interface TapOffloads {
  readonly txOffloads: number;
  readonly rxOffloads: number;
  readonly refused?: readonly { readonly mode: string; readonly reason: string }[];
}

/** Only what the kernel says unasked: that it checked a checksum. */
export const NO_OFFLOADS: TapOffloads = { txOffloads: 0, rxOffloads: OFFLOAD_CSUM_VALID };

/** Turns on what the kernel has. */
export function enableOffloads(native: TapControl, fd: number, device: string): TapOffloads {
  const refused: { mode: string; reason: string }[] = [];
  for (const { mode, flags, offloads, reason } of LADDER) {
    try {
      native.setOffload(fd, flags);
    } catch (error) {
      if (!isSystemError(error) || errnoCode(error.errno) !== 'EINVAL') {
        throw kernelError(error, `cannot turn on offloads of TAP device "${device}"`);
      }
      refused.push({ mode, reason });
      continue;
    }
    const both = offloads | OFFLOAD_CSUM_VALID;
    return { txOffloads: both, rxOffloads: both, ...(refused.length > 0 && { refused }) };
  }
  return { ...NO_OFFLOADS, refused };
}
