/** Flows of the dpif contract as text and as JSON, and what goes wrong when one is read. */

import { createHash } from 'node:crypto';
import { type Dpif, DpifError, type Flow, type FlowStats } from '@etherloom/core';
import {
  formatActions,
  formatFlow,
  formatFlowKey,
  formatFlowStats,
  type OdpError,
  type ParseOptions,
  type TextOptions,
} from '@etherloom/odp-codec';
import type { DpctlOptions } from './command.js';

const NONE = new Uint8Array(0);

/** The statistics part of a codec flow. `now` is `Dpif.now()`, the clock of `stats.used`. */
function codecStats({ packets, bytes, used, tcpFlags }: FlowStats, now: number) {
  const counts = { packets, bytes, tcpFlags };
  return used === 0 ? counts : { ...counts, used: Math.max(now - used, 0) };
}

/** `packets:N, bytes:N, used:T[, flags:F]`. */
export const formatStats = (stats: FlowStats, now: number): string =>
  formatFlowStats({ key: NONE, mask: NONE, actions: NONE, ...codecStats(stats, now) });

/** `used` is seconds since the last packet, null for never; `tcpFlags` the 12 bits. */
export function statsJson(stats: FlowStats, now: number) {
  const { packets, bytes, tcpFlags } = stats;
  const used = stats.used === 0 ? null : Math.round(Math.max(now - stats.used, 0)) / 1000;
  return { packets, bytes, used, tcpFlags };
}

/**
 * The 128-bit name of a flow: a digest of its key as the datapath gives it back, so that it is the same in every dump, in
 * every process. (Open vSwitch's client chooses UFIDs; dpif.h knows flows by their keys only.)
 */
export function ufidOf(key: Uint8Array): string {
  const hex = createHash('sha256').update(key).digest('hex');
  return [
    [0, 8],
    [8, 12],
    [12, 16],
    [16, 20],
    [20, 32],
  ]
    .map(([from, to]) => hex.slice(from, to))
    .join('-');
}

/** How `options` want flows of `dpif` printed. */
export async function textOptions(dpif: Dpif, options: DpctlOptions): Promise<TextOptions> {
  const verbose = options.verbosity > 0;
  if (!options.names) return { verbose };
  const names = new Map<number, string>();
  for await (const { name, portNo } of dpif.portDump()) names.set(portNo, name);
  return { verbose, portName: (portNo) => names.get(portNo) };
}

/** A flow as a line of dump-flows, ended. */
export function flowLine({ key, mask, actions, stats }: Flow, now: number, options: TextOptions): string {
  // "ovs" is Open vSwitch's name for the layer that a datapath in user space is.
  const flow = { key, mask, actions, ...codecStats(stats, now), layer: 'ovs' };
  return `${formatFlow(options.verbose === true ? { ...flow, ufid: ufidOf(key) } : flow, options)}\n`;
}

/** A flow as JSON; `ufid` is there when everything is to be told. */
export function flowJson({ key, mask, actions, stats }: Flow, now: number, options: TextOptions) {
  return {
    ...(options.verbose === true && { ufid: ufidOf(key) }),
    match: formatFlowKey(key, mask, options),
    ...statsJson(stats, now),
    actions: formatActions(actions, options),
  };
}

/** Lets flow texts name ports. */
export async function portNames(dpif: Dpif): Promise<Required<Pick<ParseOptions, 'portNumber'>>> {
  const numbers = new Map<string, number>();
  for await (const { name, portNo } of dpif.portDump()) numbers.set(name, portNo);
  return { portNumber: (name) => numbers.get(name) };
}

/** The number of a port given by name or number. EINVAL. */
export async function portNumber(dpif: Dpif, port: string): Promise<number> {
  const number = (await portNames(dpif)).portNumber(port);
  if (number !== undefined) return number;
  if (/^\d{1,5}$/.test(port)) return Number(port);
  throw new DpifError(
    'EINVAL',
    `"${port}" is no port of ${dpif.name}; give a name or number that "show" prints`,
  );
}

/** Open vSwitch's words for a flow text that cannot be read: they quote the rest of it from the attribute that is wrong. */
export const quoteSyntaxError = (text: string, { column = 1 }: OdpError): string =>
  `syntax error at ${fromAttribute(text, column)}`;

/** The rest of a flow text from the outermost attribute that holds `column` (from 1). */
function fromAttribute(text: string, column: number): string {
  let start = 0;
  let depth = 0;
  for (let i = 0; i < column - 1; i++) {
    const char = text[i]!;
    if (char === '(') depth++;
    else if (char === ')') depth--;
    // An attribute has ended, or a separator behind one.
    if (depth === 0 && /[),\s]/.test(char)) start = i + 1;
  }
  return text.slice(start);
}
