/**
 * The lab: two hosts (network namespaces), switchd between them. A host is on a TAP port, or on a veth pair whose other end
 * is a port by AF_XDP or AF_PACKET. Built from the programs that users run; everything it makes carries the process id in
 * its name and is removed by `teardown`, whatever happened.
 */

import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root, UserError } from '../lib/bootstrap.mjs';

const SWITCHD = join(root, 'apps/switchd/bin/switchd.js');
const CLI = join(root, 'packages/cli/bin/etherloom.js');
const PEER = join(root, 'scripts/lab/tcp-peer.mjs');
const PING_SOURCE = join(root, 'scripts/lab/icmp-ping.c');
/** Drivers that the lab can run on; all but TAPs need a device to attach to. */
export const DRIVERS = ['tap', 'afxdp', 'afpacket', 'system'];
const START_TIMEOUT_MS = 10_000;
const STOP_TIMEOUT_MS = 10_000;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function command(file, args) {
  try {
    return execFileSync(file, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (error) {
    throw new UserError(`${file} ${args.join(' ')} failed: ${(error.stderr || error.message).trim()}`);
  }
}

const alive = (pid) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

/** A host: a namespace with one network card, a TAP port of the switch or a veth device whose peer is one. */
class Host {
  /** Programs inside that have not ended. */
  #children = new Set();

  constructor(lab, number) {
    this.netns = `el${lab.id}-h${number}`;
    this.port = `h${number}`;
    this.address = `10.77.0.${number}`;
    this.lab = lab;
  }

  /** The namespace, and for drivers that attach to devices the veth pair; the option of switchd that makes the port. */
  build() {
    const { driver, home } = this.lab;
    command('ip', ['netns', 'add', this.netns]);
    // Hosts speak IPv4 only here: router and neighbour solicitations would add multicast flows to a table meant to be read.
    const quiet = 'echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6';
    command('ip', ['netns', 'exec', this.netns, 'sh', '-c', quiet]);
    if (driver === 'tap') return `${this.port},type=tap,netns=${this.netns}`;
    const peer = ['peer', 'name', this.port, 'netns', this.netns];
    command('ip', ['-n', home, 'link', 'add', this.port, 'type', 'veth', ...peer]);
    return `${this.port},type=${driver},netns=${home}`;
  }

  /** Runs a program inside to its end; resolves to its output. */
  run(file, args) {
    return new Promise((resolve, reject) => {
      const child = this.#spawn(file, args, 'pipe');
      let out = '';
      let problems = '';
      child.stdout.on('data', (data) => (out += data));
      child.stderr.on('data', (data) => (problems += data));
      child.on('error', reject);
      child.on('close', (code) => {
        if (code === 0) resolve(out);
        else reject(this.#failure(file, args, code, problems));
      });
    });
  }

  async json(file, args) {
    return JSON.parse(await this.run(file, args));
  }

  /** Starts a program inside that runs until `stop`; resolves when it said its first word. */
  start(file, args) {
    return new Promise((resolve, reject) => {
      const child = this.#spawn(file, args, 'inherit');
      child.stdout.once('data', resolve);
      child.once('error', reject);
      child.once('exit', (code) => reject(this.#failure(file, args, code, '')));
    });
  }

  /** Ends all programs inside. */
  stop() {
    for (const child of this.#children) child.kill('SIGTERM');
  }

  #spawn(file, args, stderr) {
    // ip replaces itself by the program, so the child's pid is the program's.
    const child = spawn('ip', ['netns', 'exec', this.netns, file, ...args], {
      stdio: ['ignore', 'pipe', stderr],
    });
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    return child;
  }

  #failure(file, args, code, problems) {
    return new UserError(
      `in host ${this.port}: ${file} ${args.join(' ')} exited with ${code}: ${problems.trim()}`,
    );
  }
}

export class Lab {
  /** `driver` is one of DRIVERS. */
  constructor(driver) {
    this.driver = driver;
    this.id = process.pid;
    this.datapath = `el${this.id}`;
    this.runDir = mkdtempSync(join(tmpdir(), 'etherloom-lab-'));
    /** Namespace of the devices that the switch attaches to. */
    this.home = driver === 'tap' ? undefined : `el${this.id}-sw`;
    this.hosts = [new Host(this, 1), new Host(this, 2)];
    this.pingTool = join(this.runDir, 'icmp-ping');
  }

  /** Namespaces, switchd, addresses. With `detached` switchd survives this process. */
  async build({ detached }) {
    command('cc', ['-std=gnu11', '-O2', '-Wall', '-Wextra', '-Werror', '-o', this.pingTool, PING_SOURCE]);
    if (this.home !== undefined) command('ip', ['netns', 'add', this.home]);
    const ports = this.hosts.flatMap((host) => ['--port', host.build()]);
    const log = openSync(join(this.runDir, 'switchd.out'), 'a');
    this.switchd = spawn(
      process.execPath,
      [SWITCHD, '--run-dir', this.runDir, '--datapath', this.datapath, ...ports],
      { stdio: ['ignore', log, log], detached },
    );
    this.pid = this.switchd.pid;
    await this.ready();
    for (const host of this.hosts) {
      command('ip', ['-n', host.netns, 'addr', 'add', `${host.address}/24`, 'dev', host.port]);
      command('ip', ['-n', host.netns, 'link', 'set', host.port, 'up']);
    }
  }

  async ready() {
    for (const end = Date.now() + START_TIMEOUT_MS; Date.now() < end; await sleep(50)) {
      if (this.switchd.exitCode !== null) break;
      if (!existsSync(join(this.runDir, `switchd.${this.pid}.ctl`))) continue;
      if (
        spawnSync(process.execPath, [CLI, '--run-dir', this.runDir, 'show'], { stdio: 'ignore' }).status === 0
      )
        return;
    }
    throw new UserError(
      `switchd did not start: ${readFileSync(join(this.runDir, 'switchd.out'), 'utf8').trim()}`,
    );
  }

  /** What the command line prints. */
  cli(...args) {
    return command(process.execPath, [CLI, '--run-dir', this.runDir, ...args]);
  }

  cliJson(...args) {
    return JSON.parse(this.cli(...args, '--json'));
  }

  ping(from, to, count, intervalUs) {
    return from.json(this.pingTool, [to.address, String(count), String(intervalUs)]);
  }

  sink(host, port) {
    return host.start(process.execPath, [PEER, 'sink', String(port)]);
  }

  transfer(from, to, port, bytes) {
    return from.json(process.execPath, [PEER, 'source', to.address, String(port), String(bytes)]);
  }

  connects(from, to, port, count) {
    return from.json(process.execPath, [PEER, 'connects', to.address, String(port), String(count)]);
  }

  /** What a later process needs to take the lab down. */
  handle() {
    return {
      pid: this.pid,
      runDir: this.runDir,
      netns: [...(this.home === undefined ? [] : [this.home]), ...this.hosts.map((host) => host.netns)],
      datapath: this.datapath,
    };
  }

  async teardown() {
    for (const host of this.hosts) host.stop();
    return teardown(this.handle());
  }
}

/** Removes a lab; resolves to what could not be removed. Can be called again. */
export async function teardown({ pid, runDir, netns, datapath }) {
  if (pid !== undefined && alive(pid)) {
    process.kill(pid, 'SIGTERM');
    for (const end = Date.now() + STOP_TIMEOUT_MS; alive(pid) && Date.now() < end; ) await sleep(20);
    if (alive(pid)) process.kill(pid, 'SIGKILL');
  }
  for (const name of netns) spawnSync('ip', ['netns', 'del', name], { stdio: 'ignore' });
  rmSync(runDir, { recursive: true, force: true });
  const names = command('ip', ['netns', 'list'])
    .split('\n')
    .map((line) => line.split(' ')[0]);
  const left = netns.filter((name) => names.includes(name)).map((name) => `namespace ${name}`);
  if (existsSync(`/sys/class/net/${datapath}`)) left.push(`device ${datapath}`);
  return left;
}
