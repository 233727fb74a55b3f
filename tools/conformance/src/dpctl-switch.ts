/** A switchd in the start state of the dpctl vectors, and the real ovs-appctl that talks to it. */

import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const SWITCHD = fileURLToPath(new URL('../../../apps/switchd/bin/switchd.js', import.meta.url));
const APPCTL = 'ovs-appctl';
/** Seconds after which ovs-appctl gives up. */
const TIMEOUT = '20';
/** The name under which the recorded daemon was addressed. */
const RECORDED_TARGET = 'ovs-vswitchd';
const MAX_OUTPUT = 64 << 20;

const PORTS = [
  { name: 'p1', type: 'dummy', number: 1 },
  { name: 'p2', type: 'dummy', number: 2 },
  { name: 'p3', type: 'dummy', number: 3 },
  { name: 'p4', type: 'dummy', number: 4 },
  { name: 'br0', type: 'dummy-internal', number: 100 },
];

/** What a command did. */
export interface Outcome {
  readonly exit: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Why transcripts cannot run here; undefined when they can. */
export function whyNoAppctl(): string | undefined {
  const { error, status } = spawnSync(APPCTL, ['--version'], { stdio: 'ignore' });
  if (error === undefined && status === 0) return undefined;
  return `${APPCTL} does not run here: install it (Debian and Ubuntu: openvswitch-common)`;
}

export class DpctlSwitch {
  /** Directory of the transcript's files, `@RT@` in it. */
  readonly directory: string;
  readonly #child: ChildProcess;
  readonly #socket: string;
  readonly #ended: Promise<void>;

  private constructor(directory: string, child: ChildProcess) {
    this.directory = directory;
    this.#child = child;
    this.#socket = join(directory, 'run', `switchd.${child.pid}.ctl`);
    this.#ended = new Promise((resolve) => child.on('close', () => resolve()));
  }

  /** Starts one and stops its clock. Rejects when it does not come up. */
  static async start(): Promise<DpctlSwitch> {
    const directory = mkdtempSync(join(tmpdir(), 'dpctl-'));
    const config = {
      runDir: join(directory, 'run'),
      dummy: true,
      drivers: ['@etherloom/netdev-dummy', '@etherloom/netdev-afxdp'],
      datapaths: [{ name: 'ovs-dummy', type: 'dummy', client: 'none', ports: PORTS }],
    };
    const file = join(directory, 'config.json');
    writeFileSync(file, JSON.stringify(config));
    const child = spawn(process.execPath, [SWITCHD, '--config', file], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const started = new DpctlSwitch(directory, child);
    try {
      await started.#running();
      const { exit, stderr } = await started.appctl(['time/stop']);
      if (exit !== 0) throw new Error(`switchd refused time/stop: ${stderr}`);
    } catch (error) {
      await started.stop();
      throw error;
    }
    return started;
  }

  /** Runs ovs-appctl with `args`; its output names the daemon and the directory as in the vectors. */
  appctl(args: readonly string[]): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      const argv = ['-t', this.#socket, '-T', TIMEOUT, ...args];
      execFile(APPCTL, argv, { maxBuffer: MAX_OUTPUT }, (error, stdout, stderr) => {
        const exit = error === null ? 0 : error.code;
        if (typeof exit !== 'number') reject(error);
        else resolve({ exit, stdout: this.#recorded(stdout), stderr: this.#recorded(stderr) });
      });
    });
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGTERM');
    await this.#ended;
    rmSync(this.directory, { recursive: true, force: true });
  }

  #running(): Promise<void> {
    return new Promise((resolve, reject) => {
      let errors = '';
      this.#child.stderr?.on('data', (chunk: Buffer) => {
        errors += chunk.toString();
      });
      this.#child.stdout?.on('data', (chunk: Buffer) => {
        if (chunk.includes('switchd runs')) resolve();
      });
      this.#child.on('error', reject);
      void this.#ended.then(() => reject(new Error(`switchd did not start: ${errors.trim()}`)));
    });
  }

  #recorded(text: string): string {
    return text.replaceAll(this.#socket, RECORDED_TARGET).replaceAll(this.directory, '@RT@');
  }
}
