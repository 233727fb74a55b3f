/** Our datapath as a contestant. */

import { type ChildProcess, fork, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Contestant, Running } from './contestant.js';
import { isReply, type Request } from './messages.js';
import type { Workload } from './workload.js';

const PROCESS = fileURLToPath(new URL('./ours-process.js', import.meta.url));

export const ours: Contestant = {
  name: 'ours',
  missing: () => undefined,
  async start({ captures, flows }: Workload, folder: string, core: number): Promise<Running> {
    const child = fork(PROCESS, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    const ask = (request: Request): Promise<number> => answer(child, request);
    try {
      await ask({ kind: 'start', captures, flows, flowsFile: join(folder, 'flows') });
      // Only the thread that forwards: the compiler's and the collector's may run elsewhere, as the peer's other threads do.
      const pinned = spawnSync('taskset', ['-p', '-c', String(core), String(child.pid)]);
      if (pinned.status !== 0) throw new Error(`taskset could not pin the datapath to processor ${core}`);
    } catch (error) {
      child.kill();
      throw error;
    }
    return {
      measure: (ms) => ask({ kind: 'measure', ms }),
      stop: () => ended(child),
    };
  },
};

function answer(child: ChildProcess, request: Request): Promise<number> {
  return new Promise((resolve, reject) => {
    const settle = (action: () => void): void => {
      child.off('message', onMessage);
      child.off('exit', onExit);
      action();
    };
    const onMessage = (message: unknown): void => {
      if (!isReply(message)) return;
      settle(() => ('value' in message ? resolve(message.value) : reject(new Error(message.error))));
    };
    const onExit = (): void => settle(() => reject(new Error('the process of our datapath ended')));
    child.on('message', onMessage);
    child.on('exit', onExit);
    child.send(request);
  });
}

function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.on('exit', () => resolve());
    child.kill();
  });
}
