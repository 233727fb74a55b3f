/** The processes of a contestant: stopped while others are measured, since some poll without rest. */

import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from '@etherloom/testkit';
import { threadTime } from '../replay/processor-time.js';

const STOP = fileURLToPath(new URL('../../peers/stop.sh', import.meta.url));

function pids(folder: string): number[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.pid'))
    .map((name) => Number(readFileSync(join(folder, name), 'utf8')))
    .filter((pid) => pid > 0);
}

/** Daemons are nobody's children: they would outlive a benchmark that is interrupted. */
const live = new Set<Processes>();
process.on('exit', () => {
  for (const processes of live) spawnSync(STOP, [processes.folder], { stdio: 'ignore' });
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(1));

/** The processes whose ids are in `folder`, in files `*.pid`, now or later. */
export class Processes {
  readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
    live.add(this);
  }

  freeze(): void {
    for (const pid of pids(this.folder)) process.kill(pid, 'SIGSTOP');
  }

  thaw(): void {
    for (const pid of pids(this.folder)) process.kill(pid, 'SIGCONT');
  }

  /** Nanoseconds of processor time that all their threads have had. */
  time(): number {
    let total = 0;
    for (const pid of pids(this.folder)) {
      for (const tid of readdirSync(`/proc/${pid}/task`)) total += threadTime(pid, Number(tid));
    }
    return total;
  }

  /** Ends them; resolves when they are gone. */
  async stop(): Promise<void> {
    live.delete(this);
    await run(STOP, [this.folder]);
  }
}
