/** switchd as a child process, as built, in a run directory of its own; and `etherloom` against it. */

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { etherloom } from '@etherloom/cli';

export const SWITCHD = fileURLToPath(new URL('../bin/switchd.js', import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export class SwitchdProcess {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  #stdout = '';
  #stderr = '';

  constructor(argv: readonly string[]) {
    this.child = spawn(process.execPath, [SWITCHD, ...argv], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.child.stdout?.on('data', (chunk: Buffer) => {
      this.#stdout += chunk.toString();
    });
    this.child.stderr?.on('data', (chunk: Buffer) => {
      this.#stderr += chunk.toString();
    });
    this.ended = new Promise((resolve) =>
      this.child.on('close', (code) => resolve({ code, stdout: this.#stdout, stderr: this.#stderr })),
    );
  }

  /** Resolves when the daemon says that it runs; rejects when it ends before. */
  async running(): Promise<void> {
    await Promise.race([
      new Promise<void>((resolve) => {
        const look = (): void => {
          if (this.#stdout.includes('switchd runs')) resolve();
        };
        look();
        this.child.stdout?.on('data', look);
      }),
      this.ended.then(({ code, stderr }) => {
        throw new Error(`switchd ended with ${code}: ${stderr}`);
      }),
    ]);
  }

  stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<Ended> {
    this.child.kill(signal);
    return this.ended;
  }
}

/** A directory for one test, and the daemons that it started there. */
export class DaemonBench {
  readonly root = mkdtempSync(join(tmpdir(), 'switchd-daemon-'));
  readonly runDir = join(this.root, 'run', 'etherloom');
  readonly #started: SwitchdProcess[] = [];

  start(...argv: string[]): SwitchdProcess {
    const started = new SwitchdProcess(['--run-dir', this.runDir, ...argv]);
    this.#started.push(started);
    return started;
  }

  async running(...argv: string[]): Promise<SwitchdProcess> {
    const started = this.start(...argv);
    await started.running();
    return started;
  }

  /** Runs `etherloom` against the daemon here. */
  async etherloom(...argv: string[]): Promise<Ended> {
    let stdout = '';
    let stderr = '';
    const code = await etherloom(['--run-dir', this.runDir, ...argv], {
      out: (text) => {
        stdout += text;
      },
      error: (text) => {
        stderr += text;
      },
      screen: { terminal: false, colour: false },
    });
    return { code, stdout, stderr };
  }

  async close(): Promise<void> {
    await Promise.all(this.#started.map((started) => started.stop('SIGKILL')));
    rmSync(this.root, { recursive: true });
  }
}
