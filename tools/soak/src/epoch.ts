/** One epoch: traffic at full rate, changes at random, then rest, and every packet is looked for. */

import { type DpifOp, FP_CREATE } from '@etherloom/core';
import { formatFlow, parseActions, parseFlowKey } from '@etherloom/odp-codec';
import { Flows } from './flows.js';
import { BREAK_RECEIVE, BREAK_SEND } from './fragile-queue.js';
import { pick, type Random } from './random.js';
import { COMING, type Counts, type Rig, SOURCES } from './rig.js';

/** Flows of a port that is not there: they only have to be kept. */
const BULK = 2000;
const BULK_PORT = 900;
const EXECUTES = 8;

/** What is wrong; the message says all of it. */
export class SoakError extends Error {}

export interface EpochResult {
  readonly rx: number;
  readonly operations: number;
}

interface Epoch {
  readonly rig: Rig;
  readonly random: Random;
  readonly flows: Flows;
  /** Packets may end in several places, so flows must tell their counts, and no thread may crash. */
  readonly exact: boolean;
  /** What goes on beside the next operations. */
  readonly beside: Promise<void>[];
}

type Operation = (epoch: Epoch) => Promise<void>;

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** By how often they come. */
const OPERATIONS: readonly (readonly [number, Operation])[] = [
  [40, ({ flows, random }) => flows.change(random)],
  [8, async (epoch) => goOn(epoch, dump(epoch))],
  [6, bulk],
  [12, comingPort],
  [3, wanderer],
  [3, ({ flows }) => flows.flush()],
  [2, crash],
  [6, execute],
  [4, look],
  [3, secondHandle],
  [2, ({ rig }) => rig.dpif.recvPurge()],
  [2, otherClient],
  [3, ({ rig, random }) => rig.devices.dummy('small').setMtu(300 + random(1200))],
  [3, ({ rig, random }) => rig.setSource('down', random(2) === 0)],
  [2, ({ rig, random }) => rig.setSource(pick(random, ['s1', 's2']), random(3) > 0)],
];
const WEIGHT = OPERATIONS.reduce((sum, [weight]) => sum + weight, 0);

/** Runs `operations` operations. Throws a {@link SoakError} when packets or counts are missing. */
export async function runEpoch(rig: Rig, random: Random, operations: number): Promise<EpochResult> {
  const exact = random(2) === 0;
  const before = await rig.rest((counts) => rig.imbalance(counts) === 0);
  const crashes = rig.crashes;
  const flows = await Flows.of(rig, exact);
  const epoch: Epoch = { rig, random, flows, exact, beside: [] };
  // Most flows are there from the first packet on.
  for (let i = 0; i < 30; i++) await flows.change(random);
  await rig.traffic(true);
  for (let i = 0; i < operations; i++) {
    await choose(random)(epoch);
    if (random(4) === 0) await turn();
  }
  await Promise.all(epoch.beside);
  await rig.whole();
  await rig.traffic(false);
  const after = await rig.rest((counts) => rig.imbalance(counts) === 0);
  await dumpAll(rig);
  await flows.end();
  await rig.dpif.flowFlush();
  check(rig, exact, before, after, flows, rig.crashes > crashes);
  return { rx: after.rx - before.rx, operations };
}

function choose(random: Random): Operation {
  let at = random(WEIGHT);
  for (const [weight, operation] of OPERATIONS) {
    if (at < weight) return operation;
    at -= weight;
  }
  throw new Error('unreachable');
}

// --- operations

/** Lets `work` go on beside the next operations; what it throws is thrown at the end of the epoch. */
function goOn({ beside }: Epoch, work: Promise<void>): void {
  work.catch(() => undefined);
  beside.push(work);
}

async function dump({ rig, random }: Epoch): Promise<void> {
  const flows = rig.dpif.flowDump();
  const whole = random(3) > 0;
  const text = random(2) === 0;
  for (let page = await flows.next(100); page.length > 0; page = await flows.next(100)) {
    if (text) for (const flow of page) formatFlow({ ...flow, ...flow.stats });
    if (!whole) break;
    await turn();
  }
  await flows.done();
}

/** While nobody changes the table a dump has all of it. */
async function dumpAll({ dpif }: Rig): Promise<void> {
  let dumped = 0;
  for await (const _ of dpif.flowDump()) dumped++;
  const { flows } = await dpif.getDpStats();
  if (dumped !== flows) throw new SoakError(`a dump had ${dumped} flows of a table with ${flows}`);
}

async function bulk({ rig, random }: Epoch): Promise<void> {
  const port = BULK_PORT + random(4);
  const actions = parseActions('drop');
  const flows = Array.from({ length: BULK }, (_, i) =>
    parseFlowKey(`in_port(${port}),eth(),eth_type(0x0800),ipv4(src=10.9.${i >> 8}.${i & 0xff},frag=no)`),
  );
  const results = await rig.dpif.operate(
    flows.map((flow): DpifOp => ({ type: 'flowPut', flags: FP_CREATE, ...flow, actions })),
  );
  const wrong = results.find(({ error }) => error !== undefined && error.code !== 'EEXIST');
  if (wrong !== undefined) throw new SoakError(`a put failed: ${wrong.error?.message}`);
  if (random(2) === 0) await rig.dpif.operate(flows.map(({ key }) => ({ type: 'flowDel', key })));
}

async function comingPort({ rig, random }: Epoch): Promise<void> {
  const portNo = pick(random, COMING);
  if (rig.coming.has(portNo)) await rig.delPort(portNo);
  else await rig.addComing(portNo);
}

/** A source goes while the others go on, and comes back. Its drop counters must rest before they are read. */
async function wanderer({ rig, random }: Epoch): Promise<void> {
  await rig.setSource('s3', false);
  // Threads have seen that when they acknowledge a change.
  await settle(rig);
  await rig.delPort(SOURCES.s3);
  for (let i = random(20); i > 0; i--) await turn();
  await rig.addSource('s3');
  await rig.setSource('s3', true);
}

async function settle(rig: Rig): Promise<void> {
  for (let i = 0; i < 2; i++) {
    const flow = parseFlowKey('in_port(901),eth(),eth_type(0x88b6)');
    await rig.dpif.operate([
      { type: 'flowPut', flags: FP_CREATE, ...flow, actions: parseActions('drop') },
      { type: 'flowDel', key: flow.key },
    ]);
  }
}

/** The client goes under traffic, and another one comes with as many handlers as it likes. */
async function otherClient({ rig, random }: Epoch): Promise<void> {
  await rig.client.stop();
  for (let i = random(20); i > 0; i--) await turn();
  await rig.client.start(1 + random(3));
}

/** A thread dies of its driver. Only where each packet ends in one place: of copies nobody could say how many were made. */
async function crash({ rig, random, exact }: Epoch): Promise<void> {
  if (exact) return;
  await rig.whole();
  rig.devices.breakOnce(random(2) === 0 ? BREAK_RECEIVE : BREAK_SEND);
}

async function execute({ rig, exact }: Epoch): Promise<void> {
  // One that a crash interrupts may have been sent or not.
  if (!exact) return;
  const packet = Uint8Array.from({ length: 60 }, (_, i) => (i === 12 ? 0x88 : i === 13 ? 0xb5 : 2));
  const op: DpifOp = { type: 'execute', packet, actions: parseActions('10') };
  for (const { error } of await rig.dpif.operate(new Array(EXECUTES).fill(op))) {
    if (error !== undefined) throw new SoakError(`an execute failed: ${error.message}`);
    rig.executed++;
  }
}

async function look({ rig }: Epoch): Promise<void> {
  await rig.count();
  await rig.dpif.portQueryByName('plain');
}

async function secondHandle(epoch: Epoch): Promise<void> {
  const dpif = await epoch.rig.dpifs.open('soak', 'dummy');
  try {
    let flows = 0;
    for await (const _ of dpif.flowDump()) if (++flows === 500) break;
    await dpif.portPoll();
  } finally {
    await dpif.close();
  }
}

// --- the account

function check(
  rig: Rig,
  exact: boolean,
  before: Counts,
  after: Counts,
  flows: Flows,
  crashed: boolean,
): void {
  const wrong: string[] = [];
  const lost = rig.imbalance(after);
  if (lost !== 0) {
    wrong.push(`${lost} packets more came in than went out, came up or were dropped`);
  }
  if ((after.drops.no_frame ?? 0) > 0) wrong.push(`${after.drops.no_frame} packets found no packet buffer`);
  const delta = (of: (counts: Counts) => number): number => of(after) - of(before);
  if (!crashed) {
    const missed = delta(({ missed, missUpcalls, lost: gone }) => missed - missUpcalls - gone);
    if (missed !== 0) wrong.push(`${missed} misses neither reached the client nor count as lost`);
  }
  if (exact) {
    const hits = delta(({ hit }) => hit) - flows.packets;
    if (hits !== 0) wrong.push(`${hits} hits more than flows counted packets`);
    const lookups = delta(({ hit, missed, rx }) => hit + missed - rx) - flows.passes;
    if (lookups !== 0) wrong.push(`${lookups} lookups more than packets and recirculations`);
  }
  if (wrong.length === 0) return;
  throw new SoakError(
    `${wrong.join('; ')}\nbefore: ${JSON.stringify(before)}\nafter: ${JSON.stringify(after)}\n` +
      `${exact ? 'exact' : 'rough'}, copies ${rig.copies}, executed ${rig.executed}, crashes ${rig.crashes}`,
  );
}
