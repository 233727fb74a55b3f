/** Answers of bounded size: as many items as fit a slice, whatever the size of each. */

import { remoteMethods } from '@etherloom/cli';
import type { Dpif, DpifOp, DpifPort, Flow, FlowDump, OpResult, Upcall } from '@etherloom/core';

const { SLICE_BYTES, SLICE_ITEMS } = remoteMethods;
/** Items taken at a time: what they hold is known only then. */
const STEP = 16;
/** JSON around an item's bytes. */
const OVERHEAD = 120;

/** Bytes of an answer, as base64. */
const cost = (...parts: readonly (Uint8Array | undefined)[]): number =>
  parts.reduce((sum, part) => sum + ((part?.length ?? 0) * 4) / 3, OVERHEAD);

export async function nextFlows(dump: FlowDump, max: number): Promise<readonly Flow[]> {
  const flows: Flow[] = [];
  const most = Math.min(max, SLICE_ITEMS);
  for (let bytes = 0; flows.length < most && bytes < SLICE_BYTES; ) {
    const some = await dump.next(Math.min(STEP, most - flows.length));
    if (some.length === 0) break;
    for (const flow of some) bytes += cost(flow.key, flow.mask, flow.actions);
    flows.push(...some);
  }
  return flows;
}

export async function nextPorts(dump: AsyncIterator<DpifPort>): Promise<readonly DpifPort[]> {
  const ports: DpifPort[] = [];
  while (ports.length < SLICE_ITEMS) {
    const { value, done } = await dump.next();
    if (done) break;
    ports.push(value);
  }
  return ports;
}

/**
 * Performs the operations in order until all are done, their outcomes fill a slice, or the handle is closed: then those
 * that were performed have their outcomes, and asking for the rest says what happened.
 */
export async function perform(dpif: Dpif, ops: readonly DpifOp[]): Promise<readonly OpResult[]> {
  const results: OpResult[] = [];
  for (let bytes = 0; results.length < ops.length && bytes < SLICE_BYTES; ) {
    let some: readonly OpResult[];
    try {
      some = await dpif.operate(ops.slice(results.length, results.length + STEP));
    } catch (error) {
      if (results.length > 0) return results;
      throw error;
    }
    for (const { error, flow } of some) {
      bytes += cost(flow?.key, flow?.mask, flow?.actions) + (error?.message.length ?? 0);
    }
    results.push(...some);
  }
  return results;
}

/** Waits for the first upcall and takes those that wait behind it. */
export async function nextUpcalls(
  dpif: Dpif,
  handler: number,
  max: number,
  signal: AbortSignal,
): Promise<readonly Upcall[]> {
  const upcalls = await dpif.recvBatch(handler, 1, signal);
  const most = Math.min(max, SLICE_ITEMS);
  let bytes = upcalls.reduce((sum, upcall) => sum + upcallCost(upcall), 0);
  // Not after an abort: nobody may be there to take them.
  while (upcalls.length > 0 && upcalls.length < most && bytes < SLICE_BYTES && !signal.aborted) {
    const upcall = await dpif.recv(handler);
    if (upcall === undefined) break;
    bytes += upcallCost(upcall);
    upcalls.push(upcall);
  }
  return upcalls;
}

const upcallCost = ({ packet, key, userdata, actions }: Upcall): number =>
  cost(packet, key, userdata, actions);
