/**
 * Scratch network namespaces for tests. Each has a name of its own and goes away with everything in it: by `remove`,
 * when the process exits, and on SIGINT and SIGTERM.
 */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { type RunOptions, run } from './run.js';

const live = new Set<Netns>();
let created = 0;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

function removeAll(): void {
  for (const netns of live) netns.removeSync();
}

function onSignal(signal: NodeJS.Signals): void {
  removeAll();
  // removeAll took our listeners away. Without another one the signal keeps its ordinary effect.
  if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
}

function track(netns: Netns): void {
  if (live.size === 0) {
    process.on('exit', removeAll);
    for (const signal of SIGNALS) process.on(signal, onSignal);
  }
  live.add(netns);
}

function untrack(netns: Netns): void {
  if (!live.delete(netns) || live.size > 0) return;
  process.off('exit', removeAll);
  for (const signal of SIGNALS) process.off(signal, onSignal);
}

export class Netns {
  /** As `ip netns` lists it: `etl-PID-NUMBER`. */
  readonly name: string;
  /** What setns(2) opens. */
  readonly path: string;
  readonly #children = new Set<ChildProcess>();

  private constructor(name: string) {
    this.name = name;
    this.path = `/run/netns/${name}`;
  }

  /** Makes a namespace with its loopback device up. Rejects, leaving nothing, without the privilege `netns`. */
  static async create(): Promise<Netns> {
    const netns = new Netns(`etl-${process.pid}-${created++}`);
    await run('ip', ['netns', 'add', netns.name]);
    track(netns);
    try {
      await netns.ip('link', 'set', 'lo', 'up');
    } catch (error) {
      netns.removeSync();
      throw error;
    }
    return netns;
  }

  /** Runs a program inside and resolves to its standard output; see {@link run} for failures. */
  run(command: string, args: readonly string[] = [], options: RunOptions = {}): Promise<string> {
    return run('ip', ['netns', 'exec', this.name, command, ...args], options);
  }

  /** `ip -n NAME args...`: addresses, links, routes. */
  ip(...args: string[]): Promise<string> {
    return run('ip', ['-n', this.name, ...args]);
  }

  /** Starts a program inside that goes on (a server); `remove` ends it. Standard streams are pipes. */
  spawn(command: string, args: readonly string[] = []): ChildProcess {
    // `ip netns exec` replaces itself with the program, so the child's pid is the program's.
    const child = spawn('ip', ['netns', 'exec', this.name, command, ...args], { stdio: 'pipe' });
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    // An 'error' (ip missing) shows as the child's lack of a pid; without a listener it would end the process.
    child.once('error', () => this.#children.delete(child));
    return child;
  }

  /** Ends what `spawn` started and removes the namespace with its devices. Idempotent. */
  async remove(): Promise<void> {
    const exits = [...this.#children].map(
      (child) => new Promise<void>((resolve) => child.once('exit', () => resolve())),
    );
    this.removeSync();
    await Promise.all(exits);
  }

  /** {@link remove} without waiting for the ended programs, for exit handlers. */
  removeSync(): void {
    for (const child of this.#children) child.kill('SIGKILL');
    if (!live.has(this)) return;
    untrack(this);
    try {
      execFileSync('ip', ['netns', 'delete', this.name], { stdio: 'pipe' });
    } catch (error) {
      console.error(`network namespace ${this.name} is left over: ${String(error)}`);
    }
  }
}

/** Runs `body` with a fresh namespace and removes it whatever happens. */
export async function withNetns<T>(body: (netns: Netns) => Promise<T>): Promise<T> {
  const netns = await Netns.create();
  try {
    return await body(netns);
  } finally {
    await netns.remove();
  }
}
