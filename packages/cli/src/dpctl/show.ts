/** dpctl: show. What it finds out about a datapath, and Open vSwitch's layout of it. */

import {
  type Dpif,
  type DpifPort,
  isDpifError,
  type Netdev,
  type NetdevCapabilities,
  type NetdevStats,
  offloadNames,
  toDpifError,
} from '@etherloom/core';
import { type DpctlCommand, type DpctlContext, Report } from './command.js';
import { datapathNames, withDevice, withNamed } from './open.js';

/** One port as `show` reports it. Absent members are unknown, never 0. */
export type PortView = {
  readonly number: number;
  readonly name: string;
  readonly type: string;
  readonly config: { readonly [option: string]: string };
  /** How the device is run, as it says itself: its mode, what was refused and why, what to do. Absent: nothing to tell. */
  readonly status?: { readonly [name: string]: string };
  /** Work on packets that the device leaves to us, and takes from us, by name; absent for one without. */
  readonly offloads?: { readonly rx: readonly string[]; readonly tx: readonly string[] };
  /** Packets not delivered, by code of the drop reason; only reasons that occurred. */
  readonly drops: { readonly [code: string]: number };
  readonly stats: { readonly [counter: string]: number };
};

/** One datapath as `show` reports it. */
export type DatapathView = {
  readonly name: string;
  readonly lookups: { readonly hit: number; readonly missed: number; readonly lost: number };
  readonly flows: number;
  readonly masks?: { readonly hit: number; readonly total: number };
  readonly cache?: { readonly hit: number };
  readonly ports: readonly PortView[];
};

const show: DpctlCommand = {
  name: 'show',
  usage: '[-s] [dp...]',
  minArgs: 0,
  maxArgs: Number.POSITIVE_INFINITY,
  async run(context, args, options) {
    const report = new Report();
    const views: DatapathView[] = [];
    const names = args.length > 0 ? args : await datapathNames(context.dpifs);
    for (const name of names) {
      await withNamed(context, report, name, `opening datapath ${name} failed`, async (dpif) => {
        try {
          const view = await viewDatapath(context, dpif);
          views.push(view);
          // Open vSwitch has neither number for a datapath in user space, so its text has no such line; the JSON has them.
          const { masks: _masks, cache: _cache, ...printed } = view;
          report.print(formatDatapath(printed, options.statistics));
        } catch (error) {
          report.failWith(`${dpif.name}: failed to get its state`, toDpifError(error));
        }
      });
    }
    return report.result({ datapaths: views });
  },
};

/** The datapaths called `names`, or all. Rejects with a `DpctlError` for the first that cannot be seen. */
export async function viewDatapaths(
  context: DpctlContext,
  names: readonly string[],
): Promise<DatapathView[]> {
  const report = new Report();
  const views: DatapathView[] = [];
  for (const name of names.length > 0 ? names : await datapathNames(context.dpifs)) {
    await withNamed(context, report, name, `opening datapath ${name} failed`, async (dpif) => {
      try {
        views.push(await viewDatapath(context, dpif));
      } catch (error) {
        report.failWith(`${dpif.name}: failed to get its state`, toDpifError(error));
      }
    });
  }
  report.result({});
  return views;
}

async function viewDatapath(context: DpctlContext, dpif: Dpif): Promise<DatapathView> {
  const { hit, missed, lost, flows, maskHit, masks, cacheHit } = await dpif.getDpStats();
  const ports: PortView[] = [];
  for await (const port of dpif.portDump()) {
    const { portNo, name, type } = port;
    const device = await viewDevice(context, dpif, port);
    ports.push({
      number: portNo,
      name,
      type,
      ...device,
      drops: { ...(await dpif.portGetDrops(portNo)) },
    });
  }
  ports.sort((a, b) => a.number - b.number);
  return {
    name: dpif.name,
    lookups: { hit, missed, lost },
    flows,
    ...(maskHit === undefined || masks === undefined ? {} : { masks: { hit: maskHit, total: masks } }),
    ...(cacheHit === undefined ? {} : { cache: { hit: cacheHit } }),
    ports,
  };
}

/** What there is to know of the device of a port; nothing when it cannot be opened. */
async function viewDevice(
  context: DpctlContext,
  dpif: Dpif,
  port: DpifPort,
): Promise<Pick<PortView, 'config' | 'status' | 'offloads' | 'stats'>> {
  try {
    return await withDevice(context, dpif, port, async (netdev) => ({
      config: { ...(await netdev.getConfig()) },
      ...(await statusOf(netdev)),
      ...offloadsOf(netdev.capabilities),
      stats: present(await netdev.getStats()),
    }));
  } catch (error) {
    // Of another kind than the datapath's own types, or gone meanwhile. A lost connection says so with the next port or drops.
    if (!isDpifError(error)) throw error;
    return { config: {}, stats: {} };
  }
}

async function statusOf(netdev: Netdev): Promise<Pick<PortView, 'status'>> {
  const status = { ...(await netdev.getStatus?.()) };
  return Object.keys(status).length === 0 ? {} : { status };
}

function offloadsOf(capabilities: NetdevCapabilities): Pick<PortView, 'offloads'> {
  const rx = offloadNames(capabilities.rxOffloads);
  const tx = offloadNames(capabilities.txOffloads);
  return rx.length + tx.length === 0 ? {} : { offloads: { rx, tx } };
}

/** Without the members that are there but undefined: JSON has none. */
function present(stats: NetdevStats): { readonly [counter: string]: number } {
  const found: Record<string, number> = {};
  for (const [counter, value] of Object.entries(stats)) {
    if (typeof value === 'number') found[counter] = value;
  }
  return found;
}

/** Open vSwitch's layout, each line ended; `statistics` adds the counters of each port. */
export function formatDatapath(view: DatapathView, statistics: boolean): string {
  const { hit, missed, lost } = view.lookups;
  const lookups = hit + missed;
  const lines = [
    `${view.name}:`,
    `  lookups: hit:${hit} missed:${missed} lost:${lost}`,
    `  flows: ${view.flows}`,
  ];
  if (view.masks !== undefined) {
    const average = lookups === 0 ? 0 : view.masks.hit / lookups;
    lines.push(`  masks: hit:${view.masks.hit} total:${view.masks.total} hit/pkt:${fixed(average, 2)}`);
  }
  if (view.cache !== undefined) {
    const rate = lookups === 0 ? 0 : (view.cache.hit / lookups) * 100;
    lines.push(`  cache: hit:${view.cache.hit} hit-rate:${fixed(rate, 2)}%`);
  }
  for (const port of view.ports) {
    lines.push(`  port ${port.number}: ${port.name}${formatType(port)}`);
    // Not in Open vSwitch's layout, and so only for devices that have something to say.
    lines.push(...Object.entries(port.status ?? {}).map(([name, text]) => `    ${name}: ${text}`));
    if (!statistics) continue;
    lines.push(...formatStats(port.stats));
    if (port.offloads !== undefined) lines.push(`    ${formatOffloads(port.offloads)}`);
  }
  return lines.map((line) => `${line}\n`).join('');
}

export function formatOffloads({ rx, tx }: NonNullable<PortView['offloads']>): string {
  return `offloads: RX ${rx.join(',') || 'none'}  TX ${tx.join(',') || 'none'}`;
}

function formatType({ type, config }: PortView): string {
  if (type === 'system') return '';
  const options = Object.keys(config)
    .sort()
    .map((key) => `${key}=${config[key]}`);
  return options.length === 0 ? ` (${type})` : ` (${type}: ${options.join(', ')})`;
}

function formatStats(stats: PortView['stats']): string[] {
  const count = (counter: keyof NetdevStats): string => String(stats[counter] ?? '?');
  return [
    `    RX packets:${count('rxPackets')} errors:${count('rxErrors')} dropped:${count('rxDropped')} overruns:${count('rxOverErrors')} frame:${count('rxFrameErrors')}`,
    `    TX packets:${count('txPackets')} errors:${count('txErrors')} dropped:${count('txDropped')} aborted:${count('txAbortedErrors')} carrier:${count('txCarrierErrors')}`,
    `    collisions:${count('collisions')}`,
    `    RX bytes:${count('rxBytes')}${humanSize(stats.rxBytes)}  TX bytes:${count('txBytes')}${humanSize(stats.txBytes)}`,
    // What a port's upcalls cost is not part of the datapath interface.
    '    UPCALL packets:? errors:?',
  ];
}

/** `value` with `digits` decimals as C prints it: what is exactly in the middle goes to the even digit (toFixed: up). */
function fixed(value: number, digits: number): string {
  const scaled = value * 10 ** digits;
  const below = Math.floor(scaled);
  const even = scaled - below === 0.5 ? below + (below % 2) : Math.round(scaled);
  return (even / 10 ** digits).toFixed(digits);
}

const UNITS = ['KiB', 'MiB', 'GiB', 'TiB'];

/** ` (1.2 KiB)`; nothing below 1024. */
function humanSize(bytes: number | undefined): string {
  if (bytes === undefined || bytes < 1024) return '';
  let size = bytes / 1024;
  let unit = 0;
  for (; size >= 1024 && unit < UNITS.length - 1; unit++) size /= 1024;
  return ` (${fixed(size, 1)} ${UNITS[unit]})`;
}

export const SHOW_COMMANDS: readonly DpctlCommand[] = [show];
