/** The options of dummy devices: text to values, each checked, with errors that say what is allowed. */

import { DpifError, MAX_PACKET, type NetdevConfig } from '@etherloom/core';

/** RFC 791's least, as Linux has it. */
const MIN_MTU = 68;
/** A frame of the largest MTU is the largest packet. */
const MAX_MTU = MAX_PACKET - 14;
export const DEFAULT_MTU = 1500;
const DEFAULT_CAPTURE = 1000;
const MAX_QUEUES = 64;

export interface DummyOptions {
  /** Lower case; undefined: the device's own. */
  readonly mac: string | undefined;
  readonly mtu: number;
  readonly up: boolean;
  /** How many sent frames are kept for takeTransmitted. */
  readonly capture: number;
  /** Files that receive the frames that the device receives, and those that it sends. */
  readonly rxPcap: string | undefined;
  readonly txPcap: string | undefined;
  readonly queues: number;
  /** 0: none. */
  readonly ifindex: number;
  readonly peer: string | undefined;
  readonly replay: { readonly path: string; readonly loops: number; readonly shared: boolean } | undefined;
}

const KNOWN = [
  'capture',
  'ifindex',
  'mac',
  'mtu',
  'n_rxq',
  'pcap',
  'peer',
  'replay',
  'replay_loops',
  'replay_shared',
  'rxq_pcap',
  'tx_pcap',
  'up',
] as const;

/** Options that shape the queues: given when the device is opened, the same from then on. */
const FIXED: readonly string[] = ['n_rxq', 'peer', 'replay', 'replay_loops', 'replay_shared'];

/** What the options are when they are not given, as text. */
const DEFAULTS: NetdevConfig = {
  capture: String(DEFAULT_CAPTURE),
  ifindex: '0',
  mtu: String(DEFAULT_MTU),
  n_rxq: '1',
  replay_loops: '1',
  replay_shared: 'false',
  up: 'true',
};

/** Values of `config`. EINVAL for an unknown or bad option and for ones that exclude each other. */
export function parseConfig(name: string, config: NetdevConfig): DummyOptions {
  for (const option of Object.keys(config)) {
    if (!KNOWN.some((known) => known === option)) {
      throw invalid(name, `unknown option "${option}": the options are ${KNOWN.join(', ')}`);
    }
  }
  const { mac, pcap, rxq_pcap: rxPcap, tx_pcap: txPcap, peer, replay } = config;
  if (mac !== undefined) checkMac(name, mac);
  if (pcap !== undefined && (rxPcap !== undefined || txPcap !== undefined)) {
    throw invalid(name, 'pcap writes both directions to one file: leave out rxq_pcap and tx_pcap');
  }
  if (rxPcap !== undefined && rxPcap === txPcap) {
    throw invalid(name, `rxq_pcap and tx_pcap are both "${rxPcap}": use pcap for one file`);
  }
  for (const [option, value] of Object.entries({ pcap, rxq_pcap: rxPcap, tx_pcap: txPcap, peer, replay })) {
    if (value === '') throw invalid(name, `${option} is empty: give a name or leave it out`);
  }
  if (peer === name) throw invalid(name, 'peer names the device itself: give the other end of the pipe');
  if (replay === undefined && (config.replay_loops ?? config.replay_shared) !== undefined) {
    throw invalid(name, 'replay_loops and replay_shared need replay=FILE');
  }
  const loops = number(name, config, 'replay_loops', 0, 0x7fff_ffff);
  const shared = boolean(name, config, 'replay_shared');
  return {
    mac: mac?.toLowerCase(),
    mtu: number(name, config, 'mtu', MIN_MTU, MAX_MTU),
    up: boolean(name, config, 'up'),
    capture: number(name, config, 'capture', 0, 1_000_000),
    rxPcap: pcap ?? rxPcap,
    txPcap: pcap ?? txPcap,
    ifindex: number(name, config, 'ifindex', 0, 0x7fff_ffff),
    queues: number(name, config, 'n_rxq', 1, MAX_QUEUES),
    peer,
    replay: replay === undefined ? undefined : { path: replay, loops, shared },
  };
}

/** The given options that differ from the defaults. */
export function significant(config: NetdevConfig): NetdevConfig {
  return Object.fromEntries(Object.entries(config).filter(([option, value]) => value !== DEFAULTS[option]));
}

/** EINVAL when `next` would change what only opening can set. */
export function checkFixed(name: string, current: NetdevConfig, next: NetdevConfig): void {
  for (const option of FIXED) {
    if ((current[option] ?? DEFAULTS[option]) !== (next[option] ?? DEFAULTS[option])) {
      throw invalid(
        name,
        `${option} cannot change while the device is open: close it and open it with the new value`,
      );
    }
  }
}

/** EINVAL unless `mtu` is a whole number that a dummy device can have. */
export function checkMtu(name: string, mtu: number): void {
  if (!Number.isInteger(mtu) || mtu < MIN_MTU || mtu > MAX_MTU) {
    throw invalid(name, `mtu ${mtu} is out of range: give ${MIN_MTU} to ${MAX_MTU}`);
  }
}

/** EINVAL unless `mac` is the address of one station. */
export function checkMac(name: string, mac: string): void {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(mac)) {
    throw invalid(name, `mac "${mac}" is not an Ethernet address: write aa:bb:cc:dd:ee:ff`);
  }
  if ((Number.parseInt(mac.slice(0, 2), 16) & 1) === 1) {
    throw invalid(name, `mac ${mac} is a group address: clear the lowest bit of the first byte`);
  }
}

function number(name: string, config: NetdevConfig, option: string, min: number, max: number): number {
  const text = config[option] ?? DEFAULTS[option] ?? '';
  const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= max)) {
    throw invalid(name, `${option} "${text}" is not a number from ${min} to ${max}`);
  }
  return value;
}

function boolean(name: string, config: NetdevConfig, option: string): boolean {
  const text = config[option] ?? DEFAULTS[option];
  if (text === 'true') return true;
  if (text === 'false') return false;
  throw invalid(name, `${option} "${text}" is neither "true" nor "false"`);
}

function invalid(name: string, what: string): DpifError {
  return new DpifError('EINVAL', `device "${name}": ${what}`);
}
