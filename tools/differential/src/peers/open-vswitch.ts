/**
 * The real ovs-vswitchd as a peer, with dummy datapath and devices, its own database and its own run directory. The start
 * state is that of the dpctl vectors. Two things keep it from changing what scripts made: revalidators, which delete flows
 * that no controller asked for, are paused, and no flow may be installed by a miss.
 */

import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { appctl, type Outcome, SWITCH_PORTS } from '@etherloom/conformance';
import { readPcap } from '@etherloom/core';
import { type Peer, PeerGoneError, prepare, transact } from './peer.js';

const run = promisify(execFile);

const SCHEMA = '/usr/share/openvswitch/vswitch.ovsschema';
/** Daemons are in directories that are rarely on the path of users. */
const PATH = `${process.env.PATH ?? ''}:/usr/sbin:/usr/local/sbin:/sbin`;
/** Milliseconds for a daemon to come up, and to end when asked. */
const START_TIMEOUT = 10_000;
const STOP_TIMEOUT = 5_000;
const PCAP_HEADER = 24;
const MAX_ERRORS = 1000;
const RECORDED_TARGET = 'ovs-vswitchd';

/** Without the bridge's own. */
const PORTS = SWITCH_PORTS.filter(({ type }) => type === 'dummy');

/** Whether somebody listens at a socket. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** Why Open vSwitch cannot run here; undefined when it can. */
export function whyNoOpenVswitch(): string | undefined {
  const { error } = spawnSync('ovs-vswitchd', ['--version'], {
    stdio: 'ignore',
    env: { ...process.env, PATH },
  });
  if (error === undefined && existsSync(SCHEMA)) return undefined;
  return 'ovs-vswitchd does not run here: install it (Debian and Ubuntu: openvswitch-switch)';
}

export class OpenVswitchPeer implements Peer {
  readonly directory = mkdtempSync(join(tmpdir(), 'ovs-'));
  readonly #socket = join(this.directory, 'ovs-vswitchd.ctl');
  readonly #database = `unix:${join(this.directory, 'db.sock')}`;
  readonly #children: ChildProcess[] = [];
  #version = '';
  #errors = '';

  /** Starts one whose datapaths parse `vlanLimit` tags, with time stopped. Rejects, with nothing left, when it does not come up. */
  static async start(vlanLimit: number): Promise<OpenVswitchPeer> {
    const peer = new OpenVswitchPeer();
    try {
      await peer.#start(vlanLimit);
    } catch (error) {
      await peer.stop();
      throw error;
    }
    return peer;
  }

  /** As `ovs-vswitchd --version` has it: "3.1.0". */
  get version(): string {
    return this.#version;
  }

  /** What its daemon said last on standard error. */
  get lastWords(): string {
    return this.#errors.trim();
  }

  /**
   * Each command has its own connection: Open vSwitch accepts one only when its main loop has come round, which is when it
   * has taken a packet that an earlier command injected.
   */
  async run(cmd: readonly string[], real: boolean): Promise<Outcome> {
    const { exit, stdout, stderr } = await (real ? appctl(this.#socket, cmd) : transact(this.#socket, cmd));
    if (real && exit !== 0 && /cannot connect to|transaction error/.test(stderr)) {
      throw new PeerGoneError(stderr.trim());
    }
    if (cmd[0] === 'netdev-dummy/receive') await this.#turns(cmd.length - 2);
    return { exit, stdout: this.#recorded(stdout), stderr: this.#recorded(stderr) };
  }

  async transmitted(port: string): Promise<string[]> {
    const file = this.#pcap(port);
    if (!existsSync(file)) return [];
    const packets = readPcap(readFileSync(file), file);
    // Open vSwitch appends to whatever is there.
    truncateSync(file, PCAP_HEADER);
    return packets.map(({ data }) => Buffer.from(data).toString('hex'));
  }

  async reset(): Promise<void> {
    const { stdout } = await this.run(['dpctl/dump-dps'], false);
    for (const name of stdout.split('\n').slice(0, -1)) {
      if (name !== 'dummy@ovs-dummy') await prepare(this, ['dpctl/del-dp', name]);
    }
    // Ports and datapaths of a bridge cannot go while its revalidators are paused: the main thread would wait for them.
    await prepare(this, ['revalidator/resume']);
    await this.#vsctl(['del-br', 'br0']);
    await this.#addBridge();
    for (const { name } of PORTS) await this.transmitted(name);
  }

  async stop(): Promise<void> {
    // With paused revalidators it would not end when asked. Whether it answers at all does not matter here.
    await transact(this.#socket, ['revalidator/resume']).catch(() => undefined);
    for (const child of this.#children.splice(0).reverse()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      const late = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT);
      await ended;
      clearTimeout(late);
    }
    rmSync(this.directory, { recursive: true, force: true });
  }

  async #start(vlanLimit: number): Promise<void> {
    const file = join(this.directory, 'conf.db');
    await this.#tool('ovsdb-tool', ['create', file, SCHEMA]);
    const unixctl = (name: string): string => `--unixctl=${join(this.directory, `${name}.ctl`)}`;
    const pidfile = (name: string): string => `--pidfile=${join(this.directory, `${name}.pid`)}`;
    await this.#daemon('ovsdb-server', 'db.sock', [
      pidfile('ovsdb-server'),
      unixctl('ovsdb-server'),
      `--remote=p${this.#database}`,
      file,
    ]);
    await this.#vsctl(['--no-wait', 'init']);
    const settings = [`vlan-limit=${vlanLimit}`, 'flow-limit=0'];
    await this.#vsctl([
      '--no-wait',
      'set',
      'Open_vSwitch',
      '.',
      ...settings.map((setting) => `other_config:${setting}`),
    ]);
    await this.#daemon('ovs-vswitchd', 'ovs-vswitchd.ctl', [
      pidfile('ovs-vswitchd'),
      unixctl('ovs-vswitchd'),
      '--enable-dummy',
      '--disable-system',
      this.#database,
    ]);
    const { stdout } = await transact(this.#socket, ['version']);
    this.#version = /\d+\.\d+\.\d+/.exec(stdout)?.[0] ?? 'unknown';
    await prepare(this, ['time/stop']);
    await this.#addBridge();
  }

  async #addBridge(): Promise<void> {
    const ports = PORTS.flatMap(({ name, number }) => [
      ...['--', 'add-port', 'br0', name],
      ...['--', 'set', 'interface', name, 'type=dummy', `ofport_request=${number}`],
      `options:tx_pcap=${this.#pcap(name)}`,
    ]);
    const bridge = ['--', 'set', 'bridge', 'br0', 'datapath-type=dummy', 'fail-mode=secure'];
    await this.#vsctl(['add-br', 'br0', ...bridge, ...ports]);
    await prepare(this, ['revalidator/pause']);
  }

  #pcap(port: string): string {
    return join(this.directory, `${port}.pcap`);
  }

  /** Lets the main loop come round often enough for `packets` to be received: it takes one of each port at a time. */
  async #turns(packets: number): Promise<void> {
    for (let turn = 0; turn < packets; turn++) await transact(this.#socket, ['version']);
  }

  #recorded(text: string): string {
    return text.replaceAll(this.#socket, RECORDED_TARGET).replaceAll(this.directory, '@RT@');
  }

  #vsctl(args: readonly string[]): Promise<void> {
    return this.#tool('ovs-vsctl', [`--db=${this.#database}`, '--timeout=10', ...args]);
  }

  async #tool(program: string, args: readonly string[]): Promise<void> {
    await run(program, args, { env: this.#env() });
  }

  /** Starts a daemon and waits until it listens. It is no part of our process group: an interrupt is for us to handle. */
  async #daemon(program: string, socket: string, args: readonly string[]): Promise<void> {
    const child = spawn(program, ['--no-chdir', '-vconsole:emer', '-vsyslog:off', ...args], {
      env: this.#env(),
      stdio: ['ignore', 'ignore', 'pipe'],
      detached: true,
    });
    this.#children.push(child);
    this.#errors = '';
    child.stderr.on('data', (chunk: Buffer) => {
      this.#errors = `${this.#errors}${chunk}`.slice(-MAX_ERRORS);
    });
    let failed: Error | undefined;
    child.on('error', (error) => {
      failed = error;
    });
    for (let waited = 0; !(await answers(join(this.directory, socket))); waited += 10) {
      if (failed !== undefined) throw failed;
      if (child.exitCode !== null || waited > START_TIMEOUT) {
        throw new Error(`${program} did not start: ${this.lastWords}`);
      }
      await sleep(10);
    }
  }

  #env(): NodeJS.ProcessEnv {
    const { directory } = this;
    return {
      ...process.env,
      PATH,
      OVS_RUNDIR: directory,
      OVS_LOGDIR: directory,
      OVS_DBDIR: directory,
      OVS_SYSCONFDIR: directory,
    };
  }
}
