/** The program of a poll-mode thread: puts its parts together and runs the loop until it is told to end. */

import { receiveMessageOnPort, workerData } from 'node:worker_threads';
import { FramePool, PacketArena, toDpifError } from '@etherloom/core/data';
import { systemError } from '../native.js';
import { Output } from '../output.hot.js';
import { PERF_LENGTH } from '../perf.hot.js';
import { HAND_LENGTH, Pipeline } from '../pipeline.hot.js';
import { pmdBinding } from './binding.js';
import { CommandReader } from './command-reader.js';
import { REPORT_HAND, REPORT_PERF } from './layout.hot.js';
import { PollLoop } from './loop.hot.js';
import type { Message, Reply, Request, ThreadInit } from './messages.js';
import { Replica } from './replica.js';
import { SharedRing } from './ring.hot.js';
import { ThreadPorts } from './thread-ports.js';
import { UpcallWriter } from './upcall-writer.hot.js';

/** Iterations between two turns of the event loop while a module is loaded: some 50 us of forwarding. */
const SLICE = 100;
const FOREVER = 0x7fff_ffff;

const init: ThreadInit = workerData;

function pin(cpu: number): void {
  try {
    pmdBinding().pin(cpu);
  } catch (error) {
    throw systemError(error, `poll-mode thread ${init.title} cannot run on CPU ${cpu} (pmdCpus)`);
  }
}

interface Parts {
  readonly loop: PollLoop;
  readonly ports: ThreadPorts;
  readonly reader: CommandReader;
}

function assemble(): Parts {
  const native = pmdBinding();
  native.name(init.title);
  if (init.cpu !== undefined) pin(init.cpu);
  const control = new Int32Array(init.control);
  const portlessDrops = new Float64Array(init.portlessDrops);
  const commands = new SharedRing(init.commands);
  const replies = new SharedRing(init.replies);
  const upcallRing = new SharedRing(init.upcalls);
  const pool = new FramePool(PacketArena.create(init.arena));
  const replica = new Replica(init.limits, init.flows);
  const upcalls = new UpcallWriter(upcallRing, control, pool.arena);
  const report = new Float64Array(init.report);
  const output = new Output(pool, report.subarray(REPORT_PERF, REPORT_PERF + PERF_LENGTH));
  const hand = report.subarray(REPORT_HAND, REPORT_HAND + HAND_LENGTH);
  const pipeline = new Pipeline(pool, replica, output, upcalls, portlessDrops, init.vlanLimit, hand);
  const reader = new CommandReader(commands, replies, replica, pipeline, pool, () =>
    ports.refreshDescriptors(),
  );
  const loop = new PollLoop({
    pool,
    pipeline,
    commands,
    replies,
    upcallRing,
    upcalls,
    chores: reader,
    native,
    control,
    report,
    clockOffset: new Float64Array(init.clock),
  });
  const ports = new ThreadPorts(pool, output, loop, portlessDrops, hand, native, init.doorbell);
  return { loop, ports, reader };
}

function reply(id: number, descriptors: number, error?: unknown): void {
  const answer: Reply =
    error === undefined
      ? { id, descriptors }
      : { id, descriptors, error: { code: toDpifError(error).code, message: toDpifError(error).message } };
  init.port.postMessage(answer);
}

/** Loads the drivers that a message needs, while packets go on. Returns what went wrong, and whether the thread shall end. */
async function load(
  loop: PollLoop,
  ports: ThreadPorts,
  message: Message,
): Promise<{ readonly error?: unknown; readonly stop: boolean }> {
  const loaded: { readonly error?: unknown }[] = [];
  const loading = ports.load(message).then(
    () => loaded.push({}),
    (error: unknown) => loaded.push({ error }),
  );
  // Everything is there already, as a rule: that takes a few microtasks.
  await Promise.race([loading, new Promise((resolve) => setImmediate(resolve))]);
  while (loaded.length === 0) {
    if (!loop.run(SLICE, false)) return { stop: true };
    await new Promise((resolve) => setImmediate(resolve));
  }
  return { ...loaded[0], stop: false };
}

/** Does what a request asks; returns whether the thread goes on. */
async function serve(loop: PollLoop, ports: ThreadPorts, { id, message }: Request): Promise<boolean> {
  const { error, stop } = await load(loop, ports, message);
  if (stop) return false;
  try {
    if (error !== undefined) throw error;
    ports.handle(message);
    reply(id, ports.descriptors);
  } catch (reason) {
    reply(id, ports.descriptors, reason);
  }
  return true;
}

/** Forwards until the thread is told to end. */
async function work({ loop, ports, reader }: Parts): Promise<void> {
  for (let running = true; running && loop.run(FOREVER, true); ) {
    while (running) {
      // Another one may be announced while a module is loaded; whatever is announced can be received already.
      reader.message = false;
      const next = receiveMessageOnPort(init.port);
      if (next === undefined) break;
      running = await serve(loop, ports, next.message);
    }
  }
  ports.close();
}

async function main(): Promise<void> {
  const parts = assemble();
  reply(0, 0);
  try {
    await work(parts);
  } catch (error) {
    parts.loop.testify();
    throw error;
  }
}

try {
  await main();
} catch (error) {
  // A thread that cannot begin says why; one that breaks later dies, and the control thread sees to the rest.
  reply(0, 0, error);
  throw error;
}
