/** A switchd in the start state of the dpctl vectors, and the real ovs-appctl that talks to it. */

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { appctl } from './appctl.js';
import type { Outcome } from './transcript.js';

const SWITCHD = fileURLToPath(new URL('../../../apps/switchd/bin/switchd.js', import.meta.url));
/** The name under which the recorded daemon was addressed. */
const RECORDED_TARGET = 'ovs-vswitchd';

/** The ports of the start state, but for the local one. */
export const SWITCH_PORTS = [
  { name: 'p1', type: 'dummy', number: 1 },
  { name: 'p2', type: 'dummy', number: 2 },
  { name: 'p3', type: 'dummy', number: 3 },
  { name: 'p4', type: 'dummy', number: 4 },
  { name: 'br0', type: 'dummy-internal', number: 100 },
];

export class DpctlSwitch {
  /** Directory of the transcript's files, `@RT@` in it. */
  readonly directory: string;
  /** Of switchd's control socket. */
  readonly socket: string;
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;

  private constructor(directory: string, child: ChildProcess) {
    this.directory = directory;
    this.#child = child;
    this.socket = join(directory, 'run', `switchd.${child.pid}.ctl`);
    this.#ended = new Promise((resolve) => child.on('close', () => resolve()));
  }

  /** Starts one whose datapaths parse `vlanLimit` tags, and stops its clock. Rejects when it does not come up. */
  static async start(vlanLimit: number): Promise<DpctlSwitch> {
    const directory = mkdtempSync(join(tmpdir(), 'dpctl-'));
    const config = {
      runDir: join(directory, 'run'),
      dummy: true,
      vlanLimit,
      drivers: ['@etherloom/netdev-dummy', '@etherloom/netdev-afxdp'],
      datapaths: [{ name: 'ovs-dummy', type: 'dummy', client: 'none', ports: SWITCH_PORTS }],
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
  async appctl(args: readonly string[]): Promise<Outcome> {
    return this.recorded(await appctl(this.socket, args));
  }

  /** The packets that `port` sent since the last call, in hexadecimal. */
  async transmitted(port: string): Promise<string[]> {
    const { exit, stdout, stderr } = await this.appctl(['netdev-dummy/transmitted', port]);
    if (exit !== 0) throw new Error(`cannot see what ${port} sent: ${stderr}`);
    return stdout.split('\n').slice(0, -1);
  }

  /** `outcome` with the daemon and the directory called as in the vectors. */
  recorded({ exit, stdout, stderr }: Outcome): Outcome {
    const named = (text: string): string =>
      text.replaceAll(this.socket, RECORDED_TARGET).replaceAll(this.directory, '@RT@');
    return { exit, stdout: named(stdout), stderr: named(stderr) };
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
}
