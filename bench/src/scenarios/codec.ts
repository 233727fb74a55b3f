/**
 * The codec and extraction by themselves: keys between bytes, rows, models and text, frames into rows, and lines of
 * dump-flows, these beside Open vSwitch's own Python library on the same lines.
 */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { composePacket, extractFrame, LAYER_WORDS } from '@etherloom/core';
import {
  appendFlowKey,
  decodeKey,
  encodeKey,
  flowToKey,
  formatFlowKey,
  KEY_WORDS,
  keyToFlow,
  NlReader,
  NlWriter,
  parseFlowKeyExact,
  parseFlowLine,
} from '@etherloom/odp-codec';
import { do_not_optimize, measure } from 'mitata';
import { measurePythonOvs, missingPythonOvs, PYTHON_OVS } from '../peers/python-ovs.js';
import { median, type Options, type Row, type Scenario, spread } from '../scenario.js';

const VECTORS = fileURLToPath(new URL('../../../vectors/extract.jsonl.gz', import.meta.url));

const ATTRIBUTES = 10;
/** A TCP packet as a datapath without connection tracking describes it. */
const KEY =
  'recirc_id(0),dp_hash(0),skb_priority(0),in_port(1),skb_mark(0),packet_type(ns=0,id=0),' +
  'eth(src=52:54:00:12:34:56,dst=52:54:00:ab:cd:ef),eth_type(0x0800),' +
  'ipv4(src=192.168.10.21,dst=10.20.30.40,proto=6,tos=0,ttl=64,frag=no),tcp(src=49152,dst=443)';
const SUPPORT = { ct: false };

const LINES = 1000;
/** What flows of a switch do: forwarding, flooding, a filter, access and trunk ports, connection tracking, routing. */
const ACTIONS = [
  '2',
  '3',
  '4,5',
  'drop',
  'push_vlan(vid=100,pcp=0),3',
  'pop_vlan,4',
  'ct(zone=7),recirc(0x1f)',
  'set(eth(src=52:54:00:00:00:01,dst=52:54:00:00:00:02)),set(ipv4(ttl=63)),6',
];

interface Plan {
  readonly rounds: number;
  /** Nanoseconds of one measurement. */
  readonly time: number;
}

/** Nanoseconds of `work`, of which each call does `count` things: one figure for each round. */
async function timed({ rounds, time }: Plan, count: number, work: () => unknown): Promise<number[]> {
  const figures: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const { p50 } = await measure(() => do_not_optimize(work()), { min_cpu_time: time, gc: false });
    figures.push(p50 / count);
  }
  return figures;
}

const row = (point: string, metric: string, unit: string, figures: readonly number[]): Row => ({
  scenario: 'codec',
  point,
  metric,
  unit,
  ours: median(figures),
  spread: spread(figures),
});

function attributesOf(key: Uint8Array): number {
  let count = 0;
  for (const reader = new NlReader(key); reader.next(); ) count++;
  return count;
}

async function keys(plan: Plan): Promise<Row[]> {
  const key = parseFlowKeyExact(KEY);
  const words = new Int32Array(KEY_WORDS);
  if (
    keyToFlow(key, words).fitness !== 'perfect' ||
    attributesOf(flowToKey(words, 0, SUPPORT)) !== ATTRIBUTES
  ) {
    throw new Error('the key of the benchmark is not what it should be');
  }
  const model = decodeKey(key);
  const writer = new NlWriter();
  const works: readonly (readonly [string, () => unknown])[] = [
    ['encode a row (flowToKey)', () => flowToKey(words, 0, SUPPORT)],
    ['encode a row into a writer (appendFlowKey)', () => appendFlowKey(writer.clear(), words, 0, SUPPORT)],
    ['decode into a row (keyToFlow)', () => keyToFlow(key, words)],
    ['encode a model (encodeKey)', () => encodeKey(model)],
    ['decode into a model (decodeKey)', () => decodeKey(key)],
    ['format (formatFlowKey)', () => formatFlowKey(key)],
    ['parse (parseFlowKeyExact)', () => parseFlowKeyExact(KEY)],
  ];
  const rows: Row[] = [];
  for (const [metric, work] of works) {
    rows.push(row(`key of ${ATTRIBUTES} attributes`, metric, 'ns', await timed(plan, 1, work)));
  }
  return rows;
}

/** The frames of the extraction vectors. */
function vectorFrames(): Uint8Array[] {
  const lines = gunzipSync(readFileSync(VECTORS)).toString('utf8').split('\n');
  return lines.flatMap((line) => {
    const record: unknown = line === '' ? undefined : JSON.parse(line);
    if (typeof record !== 'object' || record === null || 'packet_type' in record) return [];
    if (!('packet_hex' in record) || typeof record.packet_hex !== 'string') return [];
    return [Uint8Array.from(Buffer.from(record.packet_hex, 'hex'))];
  });
}

/** Extracts all `frames`, which lie one after another in one piece of memory, as in an arena. */
function extractor(frames: readonly Uint8Array[]): () => void {
  const memory = new Uint8Array(new SharedArrayBuffer(frames.reduce((sum, { length }) => sum + length, 0)));
  const offsets = new Int32Array(frames.length);
  const lengths = new Int32Array(frames.length);
  let end = 0;
  for (const [i, frame] of frames.entries()) {
    memory.set(frame, end);
    offsets[i] = end;
    lengths[i] = frame.length;
    end += frame.length;
  }
  const view = new DataView(memory.buffer);
  const words = new Int32Array(KEY_WORDS);
  const layers = new Int32Array(LAYER_WORDS);
  return () => {
    for (let i = 0; i < offsets.length; i++) {
      extractFrame(view, offsets[i]!, lengths[i]!, 0, 2, words, 0, layers, 0);
    }
  };
}

async function extraction(plan: Plan): Promise<Row[]> {
  const words = new Int32Array(KEY_WORDS);
  keyToFlow(parseFlowKeyExact(KEY), words);
  const tcp = new Array<Uint8Array>(64).fill(composePacket(words));
  const vectors = vectorFrames();
  return [
    row('TCP over IPv4', 'extract a frame', 'ns', await timed(plan, tcp.length, extractor(tcp))),
    row(
      `${vectors.length} frames of the vectors`,
      'extract a frame',
      'ns',
      await timed(plan, vectors.length, extractor(vectors)),
    ),
  ];
}

/** Lines as dump-flows prints them. */
function dumpLines(): string[] {
  return Array.from({ length: LINES }, (_, i) => {
    const byte = (n: number): string => (n & 0xff).toString(16).padStart(2, '0');
    const port = i % 2 === 0 ? `tcp(src=${1024 + i},dst=443)` : `tcp(dst=${i}/0xfff0)`;
    return (
      `recirc_id(0),in_port(${1 + (i % 16)}),packet_type(ns=0,id=0),` +
      `eth(src=52:54:00:00:${byte(i >> 8)}:${byte(i)},dst=52:54:00:01:${byte(i)}:07),eth_type(0x0800),` +
      `ipv4(src=10.${i & 0xff}.0.0/255.255.0.0,dst=192.168.${i & 0xff}.7,proto=6,tos=0/0x3,frag=no),${port}, ` +
      `packets:${i * 7}, bytes:${i * 4242}, used:${(i / 100).toFixed(3)}s, flags:SFP., actions:${ACTIONS[i % ACTIONS.length]}`
    );
  });
}

/** Our lines per second. */
function measureOurs(lines: readonly string[], seconds: number): number {
  const start = performance.now();
  const end = start + seconds * 1000;
  let parsed = 0;
  let now = start;
  for (; now < end; now = performance.now()) {
    for (const line of lines) do_not_optimize(parseFlowLine(line));
    parsed += lines.length;
  }
  return (parsed * 1000) / (now - start);
}

function dump({ rounds }: Plan, seconds: number, peers: boolean): Row {
  const lines = dumpLines();
  const missing = peers ? missingPythonOvs() : 'give --peers to compare';
  if (missing !== undefined) console.error(`bench: codec: dump lines without ${PYTHON_OVS}: ${missing}`);
  const folder = mkdtempSync(join(tmpdir(), 'etherloom-bench-'));
  try {
    const file = join(folder, 'flows');
    writeFileSync(file, `${lines.join('\n')}\n`);
    const ours: number[] = [];
    const theirs: number[] = [];
    // For the compiler.
    measureOurs(lines, seconds);
    for (let round = 0; round < rounds; round++) {
      ours.push(measureOurs(lines, seconds));
      if (missing === undefined) theirs.push(measurePythonOvs(file, seconds));
    }
    const result = row('lines of dump-flows', 'parse', 'lines/s', ours);
    if (missing !== undefined) return result;
    return {
      ...result,
      peers: { [PYTHON_OVS]: median(theirs) },
      peerSpreads: { [PYTHON_OVS]: spread(theirs) },
      ratio: { [PYTHON_OVS]: median(ours.map((figure, i) => figure / theirs[i]!)) },
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export const codec: Scenario = {
  name: 'codec',
  about: 'keys between bytes, rows, models and text; extraction of frames; parsing of dump-flows',
  async run({ quick, peers }: Options): Promise<Row[]> {
    const plan: Plan = quick ? { rounds: 2, time: 50e6 } : { rounds: 7, time: 300e6 };
    return [...(await keys(plan)), ...(await extraction(plan)), dump(plan, quick ? 0.3 : 1, peers)];
  },
};
