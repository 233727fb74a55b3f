/** What ethtool knows of a device (linux/ethtool.h): queues, speed, offloads. */

import type { NetdevFeatures } from '@etherloom/core';
import { type ControlBinding, isSystemError } from './binding.js';

const GFLAGS = 0x25;
const GCHANNELS = 0x3c;
const GLINKSETTINGS = 0x4c;
const FLAG_TXVLAN = 1 << 7;
const SPEED_UNKNOWN = 0xffff_ffff;
const DUPLEX_HALF = 0;
const DUPLEX_FULL = 1;
/** struct ethtool_link_settings. */
const LINK_SETTINGS_BYTES = 48;

/** Asks with a structure of `bytes` bytes; undefined when the device cannot answer. */
function ask(
  native: ControlBinding,
  control: number,
  device: string,
  command: number,
  bytes: number,
): DataView | undefined {
  const structure = new Uint8Array(bytes);
  const view = new DataView(structure.buffer);
  view.setUint32(0, command, true);
  try {
    native.ethtool(control, device, structure);
    return view;
  } catch (error) {
    if (isSystemError(error)) return undefined;
    throw error;
  }
}

/** Receive queues in use; undefined when the driver does not tell. */
export function receiveQueues(native: ControlBinding, control: number, device: string): number | undefined {
  const channels = ask(native, control, device, GCHANNELS, 36);
  if (channels === undefined) return undefined;
  // rx_count and combined_count.
  return channels.getUint32(20, true) + channels.getUint32(32, true);
}

/** Speed and duplex of the link. */
export function linkSpeed(native: ControlBinding, control: number, device: string): NetdevFeatures {
  const settings = ask(native, control, device, GLINKSETTINGS, LINK_SETTINGS_BYTES);
  if (settings === undefined) return {};
  const speed = settings.getUint32(4, true);
  const duplex = settings.getUint8(8);
  return {
    ...(speed === 0 || speed === SPEED_UNKNOWN ? {} : { speedMbps: speed }),
    ...(duplex === DUPLEX_FULL || duplex === DUPLEX_HALF ? { fullDuplex: duplex === DUPLEX_FULL } : {}),
  };
}

/** Whether the stack leaves the outer VLAN tag to a device when it sends there. */
export function leavesTags(native: ControlBinding, control: number, device: string): boolean {
  const flags = ask(native, control, device, GFLAGS, 8)?.getUint32(4, true) ?? 0;
  return (flags & FLAG_TXVLAN) !== 0;
}
