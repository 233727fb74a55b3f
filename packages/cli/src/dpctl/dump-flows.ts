/** dpctl: dump-flows. */

import { type Dpif, type Flow, isDpifError } from '@etherloom/core';
import { KEY_WORDS, keyToFlow, maskToFlow, type TextOptions } from '@etherloom/odp-codec';
import type { JsonValue } from '../unixctl/protocol.js';
import { type DpctlCommand, type DpctlResult, type DpctlSink, Report } from './command.js';
import { FilterError, type FlowFilter, parseFilter } from './filter.js';
import { flowJson, flowLine, portNames, textOptions } from './flow-text.js';
import { withOptional } from './open.js';

/** Flows taken from a dump at a time. */
const DUMP_BATCH = 256;

/** Milliseconds of formatting after which whatever else waits on the event loop has its turn: packets must not wait for a dump. */
const SLICE_MS = 4;
const breathe = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** The kinds of flows that `type=` knows; ours are the ones that a datapath in user space executes itself. */
const TYPES = ['all', 'ovs', 'non-offloaded', 'tc', 'dpdk', 'offloaded', 'partially-offloaded'];
const OUR_TYPES = ['all', 'ovs', 'non-offloaded'];
/** `pmd=` of the thread that is no poll-mode thread: -1 in 32 bits. */
const MAIN_THREAD = /^(?:-1|4294967295)(?!\d)/;

interface Selection {
  readonly filter?: string;
  readonly type?: string;
  readonly pmd?: string;
}

/** Takes `filter=` and `type=`, each once, and any `pmd=`, of which the first counts, off the end of the arguments. */
function takeSelection(args: readonly string[]): { selection: Selection; rest: readonly string[] } {
  const found = new Map<string, string>();
  let end = args.length;
  for (; end > 0; end--) {
    const [, name, value] = /^(filter|type|pmd)=(.*)$/s.exec(args[end - 1]!) ?? [];
    if (name === undefined || value === undefined || (name !== 'pmd' && found.has(name))) break;
    found.set(name, value);
  }
  return { selection: Object.fromEntries(found), rest: args.slice(0, end) };
}

/** Whether there can be flows of the selected types and thread; undefined, and reported, for a type or a thread that cannot be. */
function selectsOurs(report: Report, { type, pmd }: Selection): boolean | undefined {
  // A comma at the end begins no other type.
  const types = type === '' ? [] : (type?.replace(/,$/, '').split(',') ?? ['all']);
  const unknown = types.find((one) => !TYPES.includes(one));
  if (unknown !== undefined) {
    report.fail(
      `Failed to parse type (${unknown}) (Invalid argument)`,
      `"type=${type}" names the unknown type "${unknown}"; the types are ${TYPES.join(', ')}`,
    );
    return undefined;
  }
  if (pmd !== undefined && !/^[+-]?\d+/.test(pmd)) {
    report.fail(
      `Failed to parse pmd (${pmd}) (Invalid argument)`,
      `"pmd=${pmd}" names no thread; write the number of its processor, or -1 for the main thread`,
    );
    return undefined;
  }
  return types.some((one) => OUR_TYPES.includes(one)) && (pmd === undefined || MAIN_THREAD.test(pmd));
}

async function readFilter(report: Report, dpif: Dpif, text: string): Promise<FlowFilter | undefined> {
  try {
    return parseFilter(text, (await portNames(dpif)).portNumber);
  } catch (error) {
    if (!(error instanceof FilterError)) throw error;
    report.fail(
      `Failed to parse filter (${text}: ${error.message})`,
      `the filter "${text}" cannot be used: ${error.message}`,
    );
    return undefined;
  }
}

const keyWords = new Int32Array(KEY_WORDS);
const maskWords = new Int32Array(KEY_WORDS);

function passes({ key, mask }: Flow, filter: FlowFilter): boolean {
  keyToFlow(key, keyWords);
  maskToFlow(mask, keyWords, maskWords);
  return filter(keyWords, maskWords);
}

/** Characters after which the flows of a dump go to the sink. */
const PIECE = 64 << 10;

/** The flows of a dump in the forms that are wanted, handed on piece by piece once there are many. */
class FlowOutput {
  readonly #sink: DpctlSink | undefined;
  readonly #json: JsonValue[] = [];
  #text = '';
  #count = 0;
  #streamed = false;

  constructor(sink: DpctlSink | undefined) {
    this.#sink = sink;
  }

  /** `title` stands before the first flow. */
  add(flow: Flow, now: number, options: TextOptions, title: string): void {
    const form = this.#sink?.form;
    const first = this.#count++ === 0;
    if (form !== 'json') this.#text += (first ? title : '') + flowLine(flow, now, options);
    if (form === undefined) this.#json.push(flowJson(flow, now, options));
    if (form !== 'json') return;
    this.#text += (first ? '{"flows":[\n' : ',\n') + JSON.stringify(flowJson(flow, now, options));
  }

  /** Hands on what there is, when it is enough; resolves when there is room for more. */
  async flush(): Promise<void> {
    if (this.#sink === undefined || this.#text.length < PIECE) return;
    this.#streamed = true;
    const piece = this.#text;
    this.#text = '';
    await this.#sink.write(piece);
  }

  /** The end of a dump that went well, or, with what there was until then, of one that did not. */
  async finish(report: Report): Promise<DpctlResult> {
    if (this.#sink?.form === 'json') {
      if (this.#count === 0) this.#text = '{"flows":[';
      this.#text += ']}';
    } else if (!this.#streamed) {
      report.print(this.#text);
    }
    const result = report.result({ flows: this.#json });
    if (this.#sink === undefined) return result;
    if (!this.#streamed && this.#sink.form === 'text') return result;
    await this.#sink.write(this.#text);
    return { text: '', json: null, streamed: true };
  }
}

const dumpFlows: DpctlCommand = {
  name: 'dump-flows',
  usage: '[-m] [--names] [dp] [filter=..] [type=..] [pmd=..]',
  minArgs: 0,
  maxArgs: 6,
  async run(context, args, options, sink) {
    const report = new Report();
    const output = new FlowOutput(sink);
    // Forwarding runs on one thread with the control path here, and that is what Open vSwitch calls its own such thread.
    const title = 'flow-dump from the main thread:\n';
    const { selection, rest } = takeSelection(args);
    await withOptional(context, report, rest, 1, async (dpif) => {
      const { filter: text, pmd } = selection;
      const filter = text === undefined ? undefined : await readFilter(report, dpif, text);
      if ((text === undefined) !== (filter === undefined)) return;
      if (selectsOurs(report, selection) !== true) return;
      const format = await textOptions(dpif, options);
      const dump = dpif.flowDump();
      let since = performance.now();
      try {
        for (;;) {
          const [batch, now] = await Promise.all([dump.next(DUMP_BATCH), dpif.now()]);
          if (batch.length === 0) break;
          for (const flow of batch) {
            if (filter !== undefined && !passes(flow, filter)) continue;
            output.add(flow, now, format, pmd === undefined ? title : '');
            if (performance.now() - since < SLICE_MS) continue;
            await output.flush();
            await breathe();
            since = performance.now();
          }
        }
      } catch (error) {
        // Not from the contract: nobody takes the output any more.
        if (!isDpifError(error)) throw error;
        report.failWith('dumping flows', error);
      } finally {
        await dump.done();
      }
    });
    return output.finish(report);
  },
};

export const DUMP_FLOWS_COMMANDS: readonly DpctlCommand[] = [dumpFlows];
