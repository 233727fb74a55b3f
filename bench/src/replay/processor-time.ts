/**
 * Processor time of a thread. What a packet costs is told by that, not by the clock: a thread that polls takes all the time
 * that it gets, and on a machine with other work the two would differ by the share that the others had.
 */

import { readdirSync, readFileSync } from 'node:fs';

/** Nanoseconds that thread `tid` of process `pid` has run (proc(5): /proc/pid/task/tid/schedstat). */
export function threadTime(pid: number, tid: number): number {
  return Number(readFileSync(`/proc/${pid}/task/${tid}/schedstat`, 'utf8').split(' ')[0]);
}

/** The thread of `pid` whose name begins with `name`. */
export function threadNamed(pid: number, name: string): number {
  const found = readdirSync(`/proc/${pid}/task`).find((tid) =>
    readFileSync(`/proc/${pid}/task/${tid}/comm`, 'utf8').startsWith(name),
  );
  if (found === undefined) throw new Error(`process ${pid} has no thread ${name}`);
  return Number(found);
}

/** The share of a processor that a thread has between two looks at it. */
export class Share {
  readonly #pid: number;
  readonly #tid: number;
  readonly #ran: number;
  readonly #began = performance.now();

  constructor(pid: number, tid: number) {
    this.#pid = pid;
    this.#tid = tid;
    this.#ran = threadTime(pid, tid);
  }

  /** 0..1, since the construction. */
  get(): number {
    const elapsed = performance.now() - this.#began;
    return (threadTime(this.#pid, this.#tid) - this.#ran) / (elapsed * 1e6);
  }
}
