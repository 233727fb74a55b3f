/**
 * `etherloom monitor`: changes of ports and flows. Ports are waited for (dpif_port_poll_wait); flows are compared from one dump to
 * the next, since dpif.h has no notice of them: one that comes and goes between two dumps is not seen.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { styleText } from 'node:util';
import type { Dpif, DpifPort, Flow } from '@etherloom/core';
import { flowJson, flowLine } from '../dpctl/flow-text.js';
import { datapathNames, openNamed } from '../dpctl/index.js';
import type { JsonValue } from '../unixctl/protocol.js';
import type { Call, CliCommand } from './command.js';
import { CliError, EXIT_SERVER } from './errors.js';

const DEFAULT_INTERVAL = 1;
/** Flows taken from a dump at a time. */
const DUMP_BATCH = 256;

type Change = 'added' | 'changed' | 'deleted';
const COLOURS: Readonly<Record<Change, 'green' | 'yellow' | 'red'>> = {
  added: 'green',
  changed: 'yellow',
  deleted: 'red',
};

/** One thing that happened, in both forms. */
interface Event {
  readonly subject: 'port' | 'flow' | 'datapath';
  readonly change: Change;
  readonly text: string;
  readonly json: { readonly [name: string]: JsonValue };
}

export const MONITOR: CliCommand = {
  name: 'monitor',
  usage: '[DATAPATH...]',
  minArgs: 0,
  maxArgs: Number.POSITIVE_INFINITY,
  datapaths: 'all',
  summary: 'ports and flows that come, change and go, until it is interrupted',
  options: [
    {
      name: 'interval',
      value: 'SECONDS',
      help: `how often flows are looked at (default ${DEFAULT_INTERVAL})`,
    },
  ],
  examples: [
    'etherloom monitor',
    'etherloom monitor br0 --interval 0.2',
    'etherloom monitor --json | jq .event',
  ],
  async run(call) {
    const { session, args, options, streams } = call;
    const text = options.get('interval') ?? String(DEFAULT_INTERVAL);
    const interval = Number(text) * 1000;
    if (!(interval >= 10 && interval <= 86_400_000))
      throw new CliError(`--interval ${text} is no time in seconds; give 0.01 to 86400`);
    const names = args.length > 0 ? args : await datapathNames(session.context.dpifs);
    if (names.length === 0)
      throw new CliError('there is no datapath to watch; "add-dp" makes one', EXIT_SERVER);
    // The first that fails ends the others.
    const failed = new AbortController();
    const signal = AbortSignal.any([
      failed.signal,
      ...(streams.signal === undefined ? [] : [streams.signal]),
    ]);
    await Promise.all(
      names.map(async (name) => {
        try {
          await watch(call, name, interval, signal);
        } catch (error) {
          if (!signal.aborted || !isAbort(error)) {
            failed.abort();
            throw error;
          }
        }
      }),
    );
  },
};

const isAbort = (error: unknown): boolean => error instanceof Error && error.name === 'AbortError';

async function watch(call: Call, name: string, interval: number, signal: AbortSignal): Promise<void> {
  const dpif = await openNamed(call.session.context, name);
  const ended = new AbortController();
  const either = AbortSignal.any([signal, ended.signal]);
  try {
    const tell = (event: Event): Promise<void> => print(call, name, event);
    const ports = watchPorts(dpif, either, tell).finally(() => ended.abort());
    const flows = watchFlows(call, dpif, interval, either, tell).finally(() => ended.abort());
    const [first, second] = await Promise.allSettled([flows, ports]);
    for (const outcome of [first, second]) {
      if (outcome.status === 'rejected' && !isAbort(outcome.reason)) throw outcome.reason;
    }
  } finally {
    await dpif.close();
  }
}

async function print({ json, streams }: Call, datapath: string, event: Event): Promise<void> {
  const { subject, change, text, json: members } = event;
  const time = new Date();
  if (json) {
    const line = { event: `${subject}-${change}`, time: time.toISOString(), datapath, ...members };
    return streams.out(`${JSON.stringify(line)}\n`);
  }
  // styleText would look at the real standard output, which need not be where this goes.
  const word = streams.screen.colour ? styleText(COLOURS[change], change, { validateStream: false }) : change;
  const clock = time.toTimeString().slice(0, 8);
  return streams.out(`${clock} ${datapath} ${subject} ${word}${text === '' ? '' : `: ${text}`}\n`);
}

async function watchPorts(
  dpif: Dpif,
  signal: AbortSignal,
  tell: (event: Event) => Promise<void>,
): Promise<void> {
  let before = await readPorts(dpif);
  while (!signal.aborted) {
    await dpif.portPollWait(signal);
    while ((await dpif.portPoll()) !== undefined);
    const now = await readPorts(dpif);
    for (const [name, port] of before) {
      const { portNo, type } = now.get(name) ?? {};
      if (portNo !== port.portNo || type !== port.type) await tell(portEvent('deleted', port));
    }
    for (const [name, port] of now) {
      const { portNo, type } = before.get(name) ?? {};
      if (portNo !== port.portNo || type !== port.type) await tell(portEvent('added', port));
    }
    before = now;
  }
}

async function readPorts(dpif: Dpif): Promise<Map<string, DpifPort>> {
  const ports = new Map<string, DpifPort>();
  for await (const port of dpif.portDump()) ports.set(port.name, port);
  return ports;
}

const portEvent = (change: Change, { portNo, name, type }: DpifPort): Event => ({
  subject: 'port',
  change,
  text: `${portNo} ${name} (${type})`,
  json: { port: { number: portNo, name, type } },
});

async function watchFlows(
  call: Call,
  dpif: Dpif,
  interval: number,
  signal: AbortSignal,
  tell: (event: Event) => Promise<void>,
): Promise<void> {
  const { dpifs } = call.session.context;
  let before = await readFlows(dpif);
  for (;;) {
    await sleep(interval, undefined, { signal });
    // Our handle keeps a datapath that was deleted.
    if (!(await datapathNames(dpifs)).includes(dpif.name)) {
      return tell({ subject: 'datapath', change: 'deleted', text: '', json: {} });
    }
    const [now, time] = [await readFlows(dpif), await dpif.now()];
    const event = (change: Change, flow: Flow): Event => ({
      subject: 'flow',
      change,
      text: flowLine(flow, time, {}).trimEnd(),
      json: { flow: flowJson(flow, time, {}) },
    });
    for (const [key, flow] of before) if (!now.has(key)) await tell(event('deleted', flow));
    for (const [key, flow] of now) {
      const old = before.get(key);
      if (old === undefined) await tell(event('added', flow));
      else if (!same(old.actions, flow.actions) || !same(old.mask, flow.mask))
        await tell(event('changed', flow));
    }
    before = now;
  }
}

async function readFlows(dpif: Dpif): Promise<Map<string, Flow>> {
  const flows = new Map<string, Flow>();
  const dump = dpif.flowDump();
  try {
    for (;;) {
      const some = await dump.next(DUMP_BATCH);
      if (some.length === 0) return flows;
      for (const flow of some) flows.set(Buffer.from(flow.key).toString('latin1'), flow);
    }
  } finally {
    await dump.done();
  }
}

const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;
