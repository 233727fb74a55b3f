/**
 * 64-byte frames from veth to veth, in turn: the bare C forwarder, our driver by itself, switchd with its datapath inline.
 * `node compare.mjs [ROUNDS] [SECONDS]`, as root, after a build. The generator runs on CPU 0, the forwarder on CPU 1; the
 * sink is a generic XDP program that drops, and its work is done on the forwarder's CPU. Prints the median, the least and
 * the most of what arrived, and the forwarder's CPU time per packet, which a busy machine disturbs less. ONLY=NAME;NAME
 * leaves the others out.
 */

import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const [rounds = 3, seconds = 2] = process.argv.slice(2).map(Number);
const only = process.env.ONLY?.split(';');
const folder = mkdtempSync(join(tmpdir(), 'etl-netbench-'));
const netbench = join(folder, 'netbench');
const id = `eb${process.pid}`;
const [source, home, sink] = ['a', 'h', 'b'].map((end) => `${id}${end}`);
const ip = (...args) => execFileSync('ip', args, { encoding: 'utf8' });
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Starts a program in a namespace on a CPU; resolves when it printed what `ready` matches. */
async function start(netns, cpu, ready, ...command) {
  const pinned = ['taskset', '-c', String(cpu)];
  const child = spawn('ip', ['netns', 'exec', netns, ...pinned, ...command], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  const exited = new Promise((resolve) => child.once('exit', () => resolve(output)));
  await new Promise((resolve, reject) => {
    child.stdout.on('data', (data) => {
      output += data;
      if (ready.test(output)) resolve();
    });
    child.once('exit', (code) => reject(new Error(`${command.join(' ')} exited with ${code}`)));
  });
  const stop = async (signal = 'SIGTERM') => {
    child.kill(signal);
    await exited;
  };
  return { stop, exited, pid: child.pid };
}

const node = (...args) => [process.execPath, ...args];
const switchd = (type, ...options) =>
  node(
    here('../../../apps/switchd/bin/switchd.js'),
    '--run-dir',
    join(folder, 'run'),
    '--datapath',
    id,
    ...['p0', 'p1'].flatMap((port) => ['--port', [port, `type=${type}`, ...options].join()]),
  );
const forwarders = {
  'bare C, native': [/ready/, netbench, 'forward', 'p0', 'p1'],
  'driver, native': [/ready/, ...node(here('forward.mjs'), 'afxdp', 'p0', 'p1', 'native')],
  'driver, generic': [/ready/, ...node(here('forward.mjs'), 'afxdp', 'p0', 'p1', 'generic')],
  'driver, afpacket': [/ready/, ...node(here('forward.mjs'), 'afpacket', 'p0', 'p1')],
  'switchd, native': [/switchd runs/, ...switchd('afxdp', 'mode=native')],
};

/** CPU time of a process in ms: user and system, in ticks of 10 ms. */
function cpu(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
    .replace(/^.*\) /, '')
    .split(' ');
  return 10 * (Number(fields[11]) + Number(fields[12]));
}

/** What `ethtool -K DEVICE gro on` does: without an XDP program in its driver, a veth takes the generator's frames so. */
function groOn(device) {
  const native = createRequire(import.meta.url)('../native/control.node');
  native.ethtool(
    native.openControl(`/run/netns/${home}`),
    device,
    new Uint8Array(Uint32Array.of(0x2c, 1).buffer),
  );
}

function received() {
  const [link] = JSON.parse(ip('-n', sink, '-j', '-s', 'link', 'show', 'b0'));
  return link.stats64.rx.packets;
}

async function round(name, flows) {
  const [ready, ...command] = forwarders[name];
  const forwarder = await start(home, 1, ready, ...command);
  try {
    await sleep(200);
    // A learning switch has to hear of the sink once: an ARP request does it.
    execFileSync('ip', ['netns', 'exec', sink, 'bash', '-c', 'echo > /dev/udp/10.200.0.1/9']);
    const generator = await start(
      source,
      0,
      /ready/,
      netbench,
      'generate',
      'a0',
      String(seconds + 0.5),
      String(flows),
    );
    await sleep(300);
    const [before, began, used] = [received(), performance.now(), cpu(forwarder.pid)];
    await sleep(seconds * 1000);
    const packets = received() - before;
    const elapsed = performance.now() - began;
    const busy = cpu(forwarder.pid) - used;
    await generator.exited;
    return { rate: packets / elapsed, cost: (1e6 * busy) / packets };
  } finally {
    await forwarder.stop();
  }
}

const median = (values) => [...values].sort((x, y) => x - y)[values.length >> 1];

try {
  execFileSync('cc', ['-O2', '-Wall', '-Wextra', '-Werror', '-o', netbench, here('netbench.c')]);
  for (const netns of [source, home, sink]) {
    ip('netns', 'add', netns);
    execFileSync('ip', [
      'netns',
      'exec',
      netns,
      'sh',
      '-c',
      'echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6',
    ]);
    ip('-n', netns, 'link', 'set', 'lo', 'up');
  }
  for (const [port, end, netns] of [
    ['p0', 'a0', source],
    ['p1', 'b0', sink],
  ]) {
    ip('-n', home, 'link', 'add', port, 'type', 'veth', 'peer', 'name', end, 'netns', netns);
    ip('-n', home, 'link', 'set', port, 'up');
    ip('-n', netns, 'link', 'set', end, 'up');
  }
  groOn('p0');
  ip('-n', sink, 'link', 'set', 'b0', 'address', '02:00:00:00:0b:01');
  ip('-n', sink, 'addr', 'add', '10.200.0.2/16', 'dev', 'b0');
  const drop = await start(sink, 1, /ready/, netbench, 'sink', 'b0');
  for (const flows of [1, 10_000]) {
    const rates = Object.fromEntries(Object.keys(forwarders).map((name) => [name, []]));
    for (let i = 0; i < rounds; i++) {
      for (const name of Object.keys(forwarders)) {
        if (only === undefined || only.includes(name)) rates[name].push(await round(name, flows));
      }
    }
    console.log(`${flows} five-tuples, kpps (median of ${rounds}, least to most)`);
    for (const [name, values] of Object.entries(rates)) {
      if (values.length === 0) continue;
      const kpps = values.map(({ rate }) => rate);
      const spread = `(${Math.min(...kpps).toFixed(0)} to ${Math.max(...kpps).toFixed(0)})`;
      const cost = median(values.map((value) => value.cost));
      console.log(
        `  ${name.padEnd(18)}${median(kpps).toFixed(0).padStart(6)}  ${spread.padEnd(16)}${cost.toFixed(0)} ns of CPU a packet`,
      );
    }
  }
  await drop.stop();
} finally {
  for (const netns of [source, home, sink]) {
    try {
      ip('netns', 'delete', netns);
    } catch (error) {
      console.error(String(error));
    }
  }
  rmSync(folder, { recursive: true });
}
