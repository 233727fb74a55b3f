/**
 * Opens a device in each way there is, and sends a frame through it: the program that trials.ts runs in a network namespace of
 * its own, with which all that it makes goes away. Prints the checks as JSON.
 *
 *     trial.js DIRECTORY DRIVER...
 */

import { execFileSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  DROP_REASON_COUNT,
  FramePool,
  type NetdevConfig,
  type NetdevRef,
  type NetdevRegistry,
  PacketArena,
  PacketBatch,
} from '@etherloom/core';
import { loadDrivers } from '../daemon/drivers.js';
import type { Check } from './check.js';

interface Trial {
  readonly name: string;
  readonly type: string;
  readonly config: NetdevConfig;
  /** Whether the device is one end of a veth pair, and the frame goes to the other. */
  readonly pair: boolean;
}

const TRIALS: readonly Trial[] = [
  { name: 'tap', type: 'tap', config: {}, pair: false },
  { name: 'afpacket', type: 'afpacket', config: {}, pair: true },
  { name: 'afxdp, generic', type: 'afxdp', config: { mode: 'generic' }, pair: true },
  { name: 'afxdp, native', type: 'afxdp', config: { mode: 'native' }, pair: true },
];
/** Milliseconds that a frame may take. */
const PATIENCE = 1000;
/** For experiments (IEEE 802): nobody else sends it. */
const ETHERTYPE = 0x88b5;
const FRAME = new Uint8Array(60);
FRAME.set([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, ETHERTYPE >> 8, ETHERTYPE & 0xff]);

async function attempt(registry: NetdevRegistry, { name, type, config, pair }: Trial): Promise<Check> {
  const group = 'drivers';
  const refs: NetdevRef[] = [];
  try {
    if (!registry.has(type)) return { group, name, result: 'note', detail: 'its driver is not loaded' };
    for (const device of pair ? ['etl0', 'etl1'] : ['etltap'])
      refs.push(await registry.open(device, type, config));
    await exchange(refs);
    const [first] = refs;
    const { mode, refused } = { ...(await first?.netdev.getStatus?.()) };
    const how = mode === undefined || name.endsWith(mode) ? 'works' : `works: ${mode}`;
    return { group, name, result: 'ok', detail: refused === undefined ? how : `${how}; ${refused}` };
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    return { group, name, result: 'fail', detail };
  } finally {
    for (const ref of refs) await ref.release();
  }
}

/** Sends a frame from the first device, which the second, if there is one, is to receive. */
async function exchange(refs: readonly NetdevRef[]): Promise<void> {
  const pool = new FramePool(PacketArena.create({ frames: 512, largeFrames: 2 }));
  const drops = new Float64Array(DROP_REASON_COUNT);
  const queues = refs.map((ref) => ref.openQueue(ref.netdev.queueDescriptor(0), { pool, drops }));
  try {
    const [sender, receiver] = queues;
    const batch = new PacketBatch();
    for (const deadline = Date.now() + PATIENCE; ; await sleep(5)) {
      const frame = pool.alloc();
      pool.arena.bytes.set(FRAME, frame);
      batch.push(frame, FRAME.length);
      // A pair takes a moment to be up.
      const sent = sender?.txBurst(batch) ?? 0;
      receiver?.rxBurst(batch);
      let came = false;
      for (let i = 0; i < batch.count; i++) {
        const at = batch.data[i] ?? 0;
        came ||= pool.arena.view.getUint16(at + 12) === ETHERTYPE;
        pool.release(at);
      }
      batch.count = 0;
      if (came || (sent === 1 && receiver === undefined)) break;
      if (Date.now() > deadline) {
        throw new Error(`a frame was ${sent === 1 ? 'sent, but not received' : 'not sent'}`);
      }
    }
  } finally {
    for (const queue of queues) queue.close();
  }
}

const [directory = '.', ...drivers] = process.argv.slice(2);
const registry = await loadDrivers(drivers, directory);
let noPair: string | undefined;
try {
  execFileSync('ip', ['link', 'add', 'etl0', 'type', 'veth', 'peer', 'name', 'etl1'], { stdio: 'pipe' });
} catch (error) {
  noPair =
    error instanceof Error && 'code' in error && error.code === 'ENOENT'
      ? 'there is no program "ip"'
      : String(error instanceof Error ? error.message : error)
          .trim()
          .split('\n')
          .at(-1);
}
const checks: Check[] = [];
for (const trial of TRIALS) {
  if (!trial.pair || noPair === undefined) checks.push(await attempt(registry, trial));
  else {
    const detail = `not tried, since there is no veth pair: ${noPair}`;
    const advice =
      'it takes the program "ip" (Debian package iproute2), a kernel with veth, and CAP_NET_ADMIN';
    checks.push({ group: 'drivers', name: trial.name, result: 'fail', detail, advice });
  }
}
checks.push({
  group: 'drivers',
  name: 'afxdp, zerocopy',
  result: 'note',
  detail: 'only with network cards whose drivers have it: "etherloom show" says so once the port is added',
});
process.stdout.write(JSON.stringify(checks));
