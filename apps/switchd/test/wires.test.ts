/**
 * Real wires: hosts with the kernel's own network stack and offloads as they are by default, on ports of every driver of
 * one switch. TCP between any two of them, behind any tags. ETHERLOOM_LONG=1 makes the transfers long.
 */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { requirePrivileges } from '@etherloom/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, type TestContext } from 'vitest';
import { missing, tagsInBand } from '../../../packages/netdev-afxdp/test/harness.js';
import { DaemonBench } from './daemon-bench.js';
import { buildTools, DRIVERS, type Host, type Tag, type Tools, Wires } from './hosts.js';

const LONG = process.env.ETHERLOOM_LONG === '1';
const BYTES = LONG ? 100 << 20 : 1 << 20;
const BRIDGE = `ew${process.pid % 100_000}`;
const lacking = await missing('afxdp', { mode: 'generic' }, 'cc');

const folder = mkdtempSync(join(tmpdir(), 'etl-wires-'));
let tools: Tools;
beforeAll(async () => {
  if (lacking === undefined) tools = await buildTools(folder);
});
afterAll(() => rmSync(folder, { recursive: true }));

let bench: DaemonBench;
let wires: Wires;
beforeEach(() => {
  bench = new DaemonBench();
  wires = new Wires(tools);
});
afterEach(async () => {
  await bench.close();
  await wires.remove();
});

function needs(context: TestContext): void {
  requirePrivileges(context, 'tun');
  if (lacking !== undefined) context.skip(lacking);
}

/** Every host to every other, over both versions of IP; says which of them fail. */
async function everyoneToEveryone(from: readonly Host[], to: readonly Host[]): Promise<void> {
  const failed: string[] = [];
  for (const source of from) {
    for (const sink of to) {
      for (const address of [sink.v4, sink.v6]) {
        const { equal } = await source
          .tcp(address, BYTES)
          .catch((error: unknown) => ({ equal: String(error) }));
        if (equal !== true) failed.push(`${source.driver} to ${sink.driver}, ${address}: ${equal}`);
      }
    }
  }
  expect(failed).toEqual([]);
}

describe('TCP over IPv4 and IPv6 between hosts of every driver, both ways', () => {
  for (const [how, flags] of [
    ['inline', []],
    ['on two poll-mode threads', ['--pmd-threads', '2']],
  ] as const) {
    it(`arrives as it was sent, with the offloads that hosts have by default, ${how}`, async (context) => {
      needs(context);
      await wires.add(...DRIVERS, ...DRIVERS);
      await bench.running(...flags, '--datapath', BRIDGE, ...wires.ports());
      await wires.start();
      await everyoneToEveryone(wires.hosts.slice(0, DRIVERS.length), wires.hosts.slice(DRIVERS.length));
    }, 600_000);
  }

  it.for<{ tag: Tag; drivers: readonly Host['driver'][] }>([
    { tag: 'vlan', drivers: DRIVERS },
    // Who runs AF_XDP in generic mode cannot turn this off by ethtool's short names: README of netdev-afxdp.
    { tag: 'qinq', drivers: DRIVERS.filter((driver) => driver !== 'afxdp,mode=generic') },
  ])('arrives as it was sent behind tags: $tag', { timeout: 600_000 }, async ({ tag, drivers }, context) => {
    needs(context);
    await wires.add(...drivers, ...drivers);
    await bench.running('--datapath', BRIDGE, ...wires.ports());
    await wires.start();
    for (const host of wires.hosts) {
      if (host.driver === 'afxdp,mode=generic') tagsInBand(host.netns, host.device);
      await host.tag(tag);
    }
    await everyoneToEveryone(wires.hosts.slice(0, drivers.length), wires.hosts.slice(drivers.length));
  });
});

describe('how devices are run', () => {
  it('is in "show", in the JSON of it, and in the log: modes, refusals, and what to do', async (context) => {
    needs(context);
    await wires.add('tap', 'afxdp,mode=native', 'afxdp,mode=generic', 'afpacket');
    const [tap, native, generic, packet] = wires.hosts.map(({ port }) => port) as [
      string,
      string,
      string,
      string,
    ];
    await bench.running('--datapath', BRIDGE, ...wires.ports());
    const { stdout } = await bench.etherloom('show', '--json');
    const [{ ports }] = JSON.parse(stdout).datapaths;
    const of = (name: string) => ports.find((port: { name: string }) => port.name === name);
    expect(of(tap)).not.toHaveProperty('status');
    expect(of(tap).offloads.tx).toContain('tso4');
    expect(of(native).status).toEqual({ mode: 'native' });
    const warning = `the peer "eth0" leaves VLAN tags to its device, and AF_XDP loses them here: run "ip netns exec ${wires.hosts[2]?.netns.name} ethtool -K eth0 txvlan off", or use type afpacket`;
    expect(of(generic).status).toEqual({ mode: 'generic', warning });
    expect(of(packet)).toMatchObject({
      status: { mode: 'packet socket' },
      offloads: { rx: expect.arrayContaining(['uso']) },
    });
    expect((await bench.etherloom('show')).stdout).toContain(
      `: ${generic} (afxdp: mode=generic, netns=${wires.home.name})\n    mode: generic\n    warning: ${warning}\n`,
    );
    const port = await bench.etherloom('add-if', BRIDGE, `${generic}x,type=tap`);
    expect(port.code).toBe(0);
    const logged = (): Record<string, unknown>[] =>
      readFileSync(join(bench.runDir, 'switchd.log'), 'utf8')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line));
    const added = () =>
      logged()
        .filter(({ msg }) => msg === 'port added')
        .map(({ port: name, mode, refused }) => [name, mode, refused]);
    await expect.poll(added).toEqual(
      expect.arrayContaining([
        [`${generic}x`, undefined, undefined],
        [native, 'native', undefined],
        [packet, 'packet socket', undefined],
      ]),
    );
    expect(logged()).toContainEqual(expect.objectContaining({ level: 40, port: generic, msg: warning }));
    // The mode is asked for here, so that nothing was refused: what is not asked for, is.
    await bench.etherloom('del-if', BRIDGE, native);
    await bench.etherloom('add-if', BRIDGE, `${native},type=system,netns=${wires.home.name}`);
    await expect
      .poll(added)
      .toContainEqual([native, 'native', expect.stringMatching(/^zerocopy: the driver/)]);
  }, 60_000);
});
