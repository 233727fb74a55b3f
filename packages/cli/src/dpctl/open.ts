/** Opening of datapaths for commands: by name, or the only one there is. */

import {
  type Dpif,
  type DpifPort,
  type DpifRegistry,
  type Netdev,
  normalizeType,
  parseName,
  toDpifError,
} from '@etherloom/core';
import type { DpctlContext, Report } from './command.js';

/** Full names (`type@name`) of all datapaths, sorted. */
export async function datapathNames(dpifs: DpifRegistry): Promise<string[]> {
  const lists = await Promise.all(
    dpifs.types().map(async (type) => (await dpifs.names(type)).map((name) => `${type}@${name}`)),
  );
  return lists.flat().sort();
}

/** Whether a datapath is called so. */
export async function datapathExists(context: DpctlContext, name: string): Promise<boolean> {
  return (await datapathNames(context.dpifs)).includes(fullName(name));
}

/** Opens `type@name` (or a bare name of type "system"). */
export function openNamed(context: DpctlContext, fullName: string): Promise<Dpif> {
  const { type, name } = parseName(fullName);
  return context.dpifs.open(name, type);
}

/** Opens, runs `use`, closes. Failure to open is reported with `shape`, and `use` is not called. */
export async function withNamed(
  context: DpctlContext,
  report: Report,
  fullName: string,
  shape: string,
  use: (dpif: Dpif) => Promise<void>,
): Promise<void> {
  let dpif: Dpif;
  try {
    dpif = await openNamed(context, fullName);
  } catch (error) {
    report.failWith(shape, toDpifError(error));
    return;
  }
  try {
    await use(dpif);
  } finally {
    await dpif.close();
  }
}

/**
 * For commands whose first argument may be a datapath: hands `use` the datapath and the arguments after it. The first
 * argument is one when a datapath of that name exists; otherwise the only datapath is meant, unless just `maxArgs`
 * arguments are there, so that the first can be nothing else.
 */
export async function withOptional(
  context: DpctlContext,
  report: Report,
  args: readonly string[],
  maxArgs: number,
  use: (dpif: Dpif, rest: readonly string[]) => Promise<void>,
): Promise<void> {
  const names = await datapathNames(context.dpifs);
  const [first] = args;
  if (first !== undefined && names.includes(fullName(first))) {
    return withNamed(context, report, first, 'opening datapath', (dpif) => use(dpif, args.slice(1)));
  }
  const there = names.length > 0 ? `there are ${names.join(', ')}` : 'none exists, "add-dp" makes one';
  if (first !== undefined && args.length === maxArgs) {
    report.fail('datapath not found (Invalid argument)', `no datapath is called "${first}"; ${there}`);
    return;
  }
  const [only] = names;
  if (only === undefined || names.length > 1) {
    if (only === undefined) report.fail('no datapaths exist', 'no datapath exists; "add-dp" makes one');
    else report.fail('multiple datapaths, specify one', `say which datapath is meant; ${there}`);
    report.fail('datapath not found (Invalid argument)');
    return;
  }
  return withNamed(context, report, only, 'opening datapath', (dpif) => use(dpif, args));
}

function fullName(text: string): string {
  const { type, name } = parseName(text);
  return `${normalizeType(type)}@${name}`;
}

/** What `use` makes of the device of `port`, which every user of the contract opens by name (dpif.h "Ports"). */
export async function withDevice<T>(
  context: DpctlContext,
  dpif: Dpif,
  { name, type }: Pick<DpifPort, 'name' | 'type'>,
  use: (netdev: Netdev) => Promise<T>,
): Promise<T> {
  const device = await context.netdevs.open(name, context.dpifs.portOpenType(dpif.type, type));
  try {
    return await use(device.netdev);
  } finally {
    await device.release();
  }
}
