/**
 * `dpif-netdev/pmd-*`: what each thread that moves packets did, in the layout of Open vSwitch 3.1. Poll-mode threads come in the
 * order of their numbers, which stand where Open vSwitch has cores, as in the port option `pmd-rxq-affinity`; the main thread comes last.
 */

import { type DpctlContext, datapathNames, openNamed } from '@etherloom/cli';
import { type Dpif, parseName } from '@etherloom/core';
import type { UserspaceDpifProvider } from '@etherloom/dpif-userspace';
import type { ControlCommand } from './command.js';
import { COUNTERS, countersOf, NOTHING, type ThreadCounters } from './pmd-counters.js';
import { formatPerformance, formatQueues, formatStats, threadJson } from './pmd-text.js';

/** Finds out about the threads of a datapath. */
export type ThreadSource = (dpif: Dpif) => Promise<readonly ThreadCounters[]>;

/** Threads of the datapaths of `providers`. The main thread moves packets where there is no other, and none otherwise. */
export const threadsOf =
  (providers: readonly UserspaceDpifProvider[]): ThreadSource =>
  async ({ type, baseName }) => {
    const provider = providers.find((candidate) => candidate.type === type);
    if (provider === undefined) return [];
    const reports = await provider.pmdReports(baseName);
    const main = await provider.mainReport(baseName);
    return [
      ...reports.map((report) => ({ core: report.thread, queues: report.queues, ...countersOf(report) })),
      main === undefined ? NOTHING : countersOf(main),
    ];
  };

/** Since when threads are watched, and what they had counted then. */
interface Baseline {
  readonly at: number;
  readonly counters: ReadonlyMap<string, ThreadCounters>;
}

interface Arguments {
  readonly dp?: string;
  readonly core?: number;
}

/** `[-pmd CORE] [DP]`, and options about histograms, which nobody keeps. Unknown words are names, as in Open vSwitch. */
function readArguments(args: readonly string[]): Arguments {
  const found: { dp?: string; core?: number } = {};
  for (let i = 0; i < args.length; i++) {
    if (args[i] === '-pmd' && i + 1 < args.length) found.core = Number(args[++i]);
    else if (['-it', '-ms', '-secs'].includes(args[i]!) && i + 1 < args.length) i++;
    else if (args[i] !== '-nh') found.dp = args[i]!;
  }
  return found;
}

const keyOf = (datapath: string, { core }: ThreadCounters): string => `${datapath} ${core ?? 'main'}`;

export function pmdCommands(context: DpctlContext, threads: ThreadSource): ControlCommand[] {
  let baseline: Baseline = { at: performance.now(), counters: new Map() };

  /** The threads that the arguments mean, with what they counted since the last clearing. */
  async function select(args: readonly string[]): Promise<ThreadCounters[]> {
    const { dp, core } = readArguments(args);
    const names = await datapathNames(context.dpifs);
    const named = names.find((name) => name === dp || parseName(name).name === dp);
    const name = named ?? (names.length === 1 ? names[0] : undefined);
    if (name === undefined) throw new Error('please specify an existing datapath');
    const all = await read(name);
    return all
      .filter((thread) => core === undefined || thread.core === core)
      .map((thread) => since(thread, baseline.counters.get(keyOf(name, thread))));
  }

  async function read(name: string): Promise<readonly ThreadCounters[]> {
    const dpif = await openNamed(context, name);
    try {
      return await threads(dpif);
    } finally {
      await dpif.close();
    }
  }

  const usage = '[-pmd core] [dp]';
  return [
    {
      name: 'dpif-netdev/pmd-stats-show',
      usage,
      minArgs: 0,
      maxArgs: 3,
      async run(args) {
        const selected = await select(args);
        return { text: selected.map(formatStats).join(''), json: { threads: selected.map(threadJson) } };
      },
    },
    {
      name: 'dpif-netdev/pmd-stats-clear',
      usage,
      minArgs: 0,
      maxArgs: 3,
      async run(args) {
        const { core } = readArguments(args);
        await select(args);
        const counters = new Map(baseline.counters);
        for (const name of await datapathNames(context.dpifs)) {
          for (const thread of await read(name)) {
            if (core === undefined || thread.core === core) counters.set(keyOf(name, thread), thread);
          }
        }
        baseline = { at: performance.now(), counters };
        return { text: '', json: {} };
      },
    },
    {
      name: 'dpif-netdev/pmd-rxq-show',
      usage: '[-pmd core] [-secs secs] [dp]',
      minArgs: 0,
      maxArgs: 5,
      async run(args) {
        const selected = (await select(args)).filter(({ queues }) => queues !== undefined);
        const text = `Displaying last 60 seconds pmd usage %\n${selected.map(formatQueues).join('')}`;
        return { text, json: { threads: selected.map(threadJson) } };
      },
    },
    {
      name: 'dpif-netdev/pmd-perf-show',
      usage: '[-nh] [-it iter-history-len] [-ms ms-history-len] [-pmd core] [dp]',
      minArgs: 0,
      maxArgs: 8,
      async run(args) {
        const selected = await select(args);
        const seconds = (performance.now() - baseline.at) / 1000;
        // A main thread that moves no packets beside others that do is left out, as in Open vSwitch.
        const working = selected.filter(({ core, iterations }) => core !== undefined || iterations > 0);
        const shown = working.length > 0 ? working : selected;
        const text = shown.map((thread) => formatPerformance(thread, seconds)).join('');
        return { text, json: { seconds, threads: shown.map(threadJson) } };
      },
    },
  ];
}

function since(thread: ThreadCounters, base: ThreadCounters | undefined): ThreadCounters {
  if (base === undefined) return thread;
  const counted: Partial<Record<(typeof COUNTERS)[number], number>> = {};
  // A thread that crashed took its counters with it.
  for (const name of COUNTERS) counted[name] = Math.max(thread[name] - base[name], 0);
  return { ...thread, ...counted };
}
