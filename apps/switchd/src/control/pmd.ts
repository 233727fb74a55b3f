/**
 * `dpif-netdev/pmd-*`: what each thread that moves packets did, in the layout of Open vSwitch 3.1. Poll-mode threads come in the
 * order of their numbers, which stand where Open vSwitch has cores, as in the port option `pmd-rxq-affinity`; the main thread comes last.
 */

import { type DpctlContext, datapathNames, openNamed } from '@etherloom/cli';
import { type Dpif, parseName } from '@etherloom/core';
import type { PmdQueue, UserspaceDpifProvider } from '@etherloom/dpif-userspace';
import type { ControlCommand } from './command.js';

/** A thread that moves packets of a datapath, and what it counted since it began. */
export interface ThreadCounters {
  /** Number of a poll-mode thread; absent for the main thread. */
  readonly core?: number;
  /** Receive queues that a poll-mode thread polls. */
  readonly queues?: readonly PmdQueue[];
  /** Packets taken from devices. */
  readonly received: number;
  /** Packets given to devices; absent where nobody counts them by thread. */
  readonly sent?: number;
  /** Lookups: one per packet, and one more for each recirculation. */
  readonly passes: number;
  readonly hits: number;
  /** Subtables visited for hits. */
  readonly probes: number;
  readonly missed: number;
  /** Misses that did not reach a client. */
  readonly lost: number;
}

/** Finds out about the threads of a datapath. */
export type ThreadSource = (dpif: Dpif) => Promise<readonly ThreadCounters[]>;

/** Threads of the datapaths of `providers`. The main thread moves packets where there is no other, and none otherwise. */
export const threadsOf =
  (context: DpctlContext, providers: readonly UserspaceDpifProvider[]): ThreadSource =>
  async (dpif) => {
    const provider = providers.find(({ type }) => type === dpif.type);
    const reports = (await provider?.pmdReports(dpif.baseName)) ?? [];
    if (reports.length === 0) return [await inline(context, dpif)];
    const threads = reports.map(({ thread, queues, packets, hits, misses, masksProbed, upcallsLost }) => ({
      core: thread,
      queues,
      received: packets,
      passes: hits + misses,
      hits,
      probes: masksProbed,
      missed: misses,
      lost: upcallsLost,
    }));
    return [...threads, { received: 0, sent: 0, passes: 0, hits: 0, probes: 0, missed: 0, lost: 0 }];
  };

/** The main thread forwarding inline: the counters of the datapath are its own. */
async function inline(context: DpctlContext, dpif: Dpif): Promise<ThreadCounters> {
  const { hit, missed, lost, maskHit = 0 } = await dpif.getDpStats();
  let received = 0;
  let sent = 0;
  for await (const { name } of dpif.portDump()) {
    const stats = await (await context.netdevs.find(name))?.getStats();
    received += stats?.rxPackets ?? 0;
    sent += stats?.txPackets ?? 0;
  }
  return { received, sent, passes: hit + missed, hits: hit, probes: maskHit, missed, lost };
}

const COUNTERS = ['received', 'sent', 'passes', 'hits', 'probes', 'missed', 'lost'] as const;

/** Since when threads are watched, and what they had counted then. */
interface Baseline {
  readonly at: number;
  readonly counters: ReadonlyMap<string, ThreadCounters>;
}

interface Arguments {
  readonly dp?: string;
  readonly core?: number;
}

/** `[-pmd CORE] [DP]`, and options about times and histograms, which nobody keeps. Unknown words are names, as in Open vSwitch. */
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
        const text = selected.map((thread) => formatPerformance(thread, seconds)).join('');
        return { text, json: { seconds, threads: selected.map(threadJson) } };
      },
    },
  ];
}

function since(thread: ThreadCounters, base: ThreadCounters | undefined): ThreadCounters {
  if (base === undefined) return thread;
  const counted: Partial<Record<(typeof COUNTERS)[number], number>> = {};
  for (const name of COUNTERS) {
    const now = thread[name];
    // A port that is gone, or a thread that crashed, took its counters with it.
    if (now !== undefined) counted[name] = Math.max(now - (base[name] ?? 0), 0);
  }
  return { ...thread, ...counted };
}

const threadJson = (thread: ThreadCounters) => ({ ...thread });

const title = ({ core }: ThreadCounters): string =>
  core === undefined ? 'main thread:' : `pmd thread numa_id 0 core_id ${core}:`;
const ratio = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole);

/** Caches that we do not have, and batches that we do not count, are 0 in Open vSwitch's lines. */
function formatStats(thread: ThreadCounters): string {
  const { received, passes, hits, probes, missed, lost } = thread;
  const failed = Math.min(lost, missed);
  const lines = [
    `packets received: ${received}`,
    `packet recirculations: ${Math.max(passes - received, 0)}`,
    `avg. datapath passes per packet: ${ratio(passes, received).toFixed(2)}`,
    'phwol hits: 0',
    'mfex opt hits: 0',
    'simple match hits: 0',
    'emc hits: 0',
    'smc hits: 0',
    `megaflow hits: ${hits}`,
    `avg. subtable lookups per megaflow hit: ${ratio(probes, hits).toFixed(2)}`,
    `miss with success upcall: ${missed - failed}`,
    `miss with failed upcall: ${failed}`,
    'avg. packets per output batch: 0.00',
  ];
  return `${title(thread)}\n${lines.map((line) => `  ${line}\n`).join('')}`;
}

/** How long packets of single queues take is not known, hence no usage. Pinned queues leave a thread open to others. */
function formatQueues(thread: ThreadCounters): string {
  const { queues = [] } = thread;
  const lines = queues.map(
    ({ port, queue }) =>
      `  port: ${port.padEnd(16)}  queue-id: ${String(queue).padStart(2)} (enabled)   pmd usage: NOT AVAIL\n`,
  );
  return `${title(thread)}\n  isolated : false\n${lines.join('')}  overhead: NOT AVAIL\n`;
}

function formatPerformance(thread: ThreadCounters, seconds: number): string {
  const { received, sent, passes, hits, probes, missed, lost } = thread;
  const count = (value: number): string => String(value).padStart(12);
  const share = (value: number): string => `${(ratio(value, passes) * 100).toFixed(1).padStart(5)} %`;
  const rate = (value: number): string => `${(ratio(value, seconds) / 1000).toFixed(0)} Kpps`;
  const failed = Math.min(lost, missed);
  const rx = [
    `  Rx packets:         ${count(received)}  (${rate(received)}, 0 cycles/pkt)`,
    `  Datapath passes:    ${count(passes)}  (${ratio(passes, received).toFixed(2)} passes/pkt)`,
    ...[
      'PHWOL hits:       ',
      'MFEX Opt hits:    ',
      'Simple Match hits:',
      'EMC hits:         ',
      'SMC hits:         ',
    ].map((cache) => `  - ${cache}${count(0)}  (${share(0)})`),
    `  - Megaflow hits:    ${count(hits)}  (${share(hits)}, ${ratio(probes, hits).toFixed(2)} subtbl lookups/hit)`,
    `  - Upcalls:          ${count(missed - failed)}  (${share(missed - failed)}, 0.0 us/upcall)`,
    `  - Lost upcalls:     ${count(failed)}  (${share(failed)})`,
  ];
  const lines = [
    '',
    `Time: ${new Date().toISOString().slice(11, 23)}`,
    `Measurement duration: ${seconds.toFixed(3)} s`,
    '',
    title(thread),
    '',
    ...(received > 0 ? rx : [`  Rx packets:         ${count(0)}`]),
    ...(sent === undefined
      ? []
      : [`  Tx packets:         ${count(sent)}${sent > 0 ? `  (${rate(sent)})` : ''}`]),
    '',
  ];
  return lines.map((line) => `${line}\n`).join('');
}
