/** What ethtool knows of a device (linux/ethtool.h): queues, speed, offloads. */

import type { NetdevFeatures } from '@etherloom/core';
import { isSystemError } from '@etherloom/netdev-linux';
import type { ControlBinding } from './binding.js';

const GSTRINGS = 0x1b;
const GFEATURES = 0x3a;
const SFEATURES = 0x3b;
const GCHANNELS = 0x3c;
const GLINKSETTINGS = 0x4c;
const SS_FEATURES = 4;
const SPEED_UNKNOWN = 0xffff_ffff;
const DUPLEX_HALF = 0;
const DUPLEX_FULL = 1;
/** struct ethtool_link_settings. */
const LINK_SETTINGS_BYTES = 48;
/** struct ethtool_gstrings, and each of its strings. */
const GSTRINGS_HEADER = 12;
const STRING_BYTES = 32;
/** Most features that are asked for; Linux has 64. */
const MOST_FEATURES = 127;
/** struct ethtool_gfeatures and ethtool_sfeatures, and what they have for each 32 features. */
const FEATURES_HEADER = 8;
const GET_BLOCK = 16;
const SET_BLOCK = 8;

/** Asks with a structure of `bytes` bytes whose words are `words`, then zeros; undefined when the device refuses. */
function ask(
  native: ControlBinding,
  control: number,
  device: string,
  bytes: number,
  ...words: readonly number[]
): DataView | undefined {
  const structure = new Uint8Array(bytes);
  const view = new DataView(structure.buffer);
  for (const [i, word] of words.entries()) view.setUint32(4 * i, word, true);
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
  const channels = ask(native, control, device, 36, GCHANNELS);
  if (channels === undefined) return undefined;
  // rx_count and combined_count.
  return channels.getUint32(20, true) + channels.getUint32(32, true);
}

/** Speed and duplex of the link. */
export function linkSpeed(native: ControlBinding, control: number, device: string): NetdevFeatures {
  const settings = ask(native, control, device, LINK_SETTINGS_BYTES, GLINKSETTINGS);
  if (settings === undefined) return {};
  const speed = settings.getUint32(4, true);
  const duplex = settings.getUint8(8);
  return {
    ...(speed === 0 || speed === SPEED_UNKNOWN ? {} : { speedMbps: speed }),
    ...(duplex === DUPLEX_FULL || duplex === DUPLEX_HALF ? { fullDuplex: duplex === DUPLEX_FULL } : {}),
  };
}

/** Those of `names`, which are as "ethtool -k" writes them, that are on. */
export function featuresOn(
  native: ControlBinding,
  control: number,
  device: string,
  names: readonly string[],
): string[] {
  const active = new Set(read(native, control, device)?.active);
  return names.filter((name) => active.has(name));
}

/** Turns features on or off. What the device, or a missing privilege, does not let be changed stays as it is. */
export function setFeatures(
  native: ControlBinding,
  control: number,
  device: string,
  names: readonly string[],
  on: boolean,
): void {
  const features = read(native, control, device);
  if (features === undefined || names.length === 0) return;
  const { all, words } = features;
  const request = new Array<number>(2 * words).fill(0);
  for (const name of names) {
    const bit = all.indexOf(name);
    if (bit < 0 || bit >= 32 * words) continue;
    const mask = 1 << (bit & 31);
    // Which ones are meant, and what they are to be.
    const at = 2 * (bit >> 5);
    request[at] = (request[at]! | mask) >>> 0;
    if (on) request[at + 1] = (request[at + 1]! | mask) >>> 0;
  }
  ask(native, control, device, FEATURES_HEADER + SET_BLOCK * words, SFEATURES, words, ...request);
}

/** Names of all features by their bit, those that are on, and how many 32-bit words the bits take. */
function read(
  native: ControlBinding,
  control: number,
  device: string,
): { readonly all: string[]; readonly active: string[]; readonly words: number } | undefined {
  const strings = ask(
    native,
    control,
    device,
    GSTRINGS_HEADER + STRING_BYTES * MOST_FEATURES,
    GSTRINGS,
    SS_FEATURES,
  );
  const most = Math.ceil(MOST_FEATURES / 32);
  const bits = ask(native, control, device, FEATURES_HEADER + GET_BLOCK * most, GFEATURES, most);
  if (strings === undefined || bits === undefined) return undefined;
  const words = bits.getUint32(4, true);
  const count = Math.min(strings.getUint32(8, true), MOST_FEATURES);
  const all = Array.from({ length: count }, (_, i) => {
    const string = Buffer.from(strings.buffer, GSTRINGS_HEADER + STRING_BYTES * i, STRING_BYTES);
    return string.toString('latin1').replace(/\0.*$/s, '');
  });
  // Available, requested, active, never changed.
  const isOn = (bit: number): boolean =>
    bit >> 5 < Math.min(words, most) &&
    ((bits.getUint32(FEATURES_HEADER + GET_BLOCK * (bit >> 5) + 8, true) >>> (bit & 31)) & 1) === 1;
  return { all, active: all.filter((name, bit) => name !== '' && isOn(bit)), words };
}
