/** Which thread polls which receive queue: pinned ones where they were pinned to, the others evenly. */

export interface AssignedQueue {
  thread: number;
  readonly pinned: boolean;
  /** Whether it can go to another thread while its port is open. */
  readonly movable: boolean;
}

/** The thread with the fewest of `queues`, of `threads` threads; the first one of several. */
export function leastLoaded(threads: number, queues: Iterable<AssignedQueue>): number {
  const loads = countLoads(threads, queues);
  return loads.indexOf(Math.min(...loads));
}

/** A queue that should move and the thread to move it to, when one thread has two queues more than another. */
export function nextMove<Q extends AssignedQueue>(
  threads: number,
  queues: readonly Q[],
): { readonly queue: Q; readonly to: number } | undefined {
  const loads = countLoads(threads, queues);
  const to = loads.indexOf(Math.min(...loads));
  let found: Q | undefined;
  for (const queue of queues) {
    if (queue.pinned || !queue.movable || loads[queue.thread]! - loads[to]! < 2) continue;
    if (found === undefined || loads[queue.thread]! > loads[found.thread]!) found = queue;
  }
  return found === undefined ? undefined : { queue: found, to };
}

function countLoads(threads: number, queues: Iterable<AssignedQueue>): number[] {
  const loads = new Array<number>(threads).fill(0);
  for (const { thread } of queues) loads[thread]!++;
  return loads;
}
