/** Hosts on veth pairs whose other ends are ports of switchd: ping and TCP over AF_XDP, AF_PACKET, and what "system" takes. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Netns, requirePrivileges, run } from '@etherloom/testkit';
import { afterAll, afterEach, beforeEach, describe, expect, it, type TestContext } from 'vitest';
import { missing, offloadsOff } from '../../../packages/netdev-afxdp/test/harness.js';
import { DaemonBench } from './daemon-bench.js';
import { program, TCP_SINK, tcpSource } from './traffic.js';

const PING_SOURCE = fileURLToPath(new URL('../../../scripts/lab/icmp-ping.c', import.meta.url));
const BRIDGE = `ets${process.pid % 10_000}`;
const folder = mkdtempSync(join(tmpdir(), 'etl-ping-'));
const ping = join(folder, 'ping');
const noAfxdp = await missing('afxdp', { mode: 'generic' }, 'cc');
const noPacket = await missing('afpacket', {}, 'cc');
if (noPacket === undefined) await run('cc', ['-std=gnu11', '-O1', '-o', ping, PING_SOURCE]);
afterAll(() => rmSync(folder, { recursive: true }));

let bench: DaemonBench;
let spaces: Netns[];
beforeEach(() => {
  bench = new DaemonBench();
  spaces = [];
});
afterEach(async () => {
  await bench.close();
  await Promise.all(spaces.map((space) => space.remove()));
});

const address = (n: number): string => `10.78.0.${n}`;

async function space(): Promise<Netns> {
  const made = await Netns.create();
  spaces.push(made);
  await made.run('sh', ['-c', 'echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6']);
  return made;
}

/** Two hosts whose device is `eth0`; the other ends, ports 1 and 2 of a switch in a namespace of its own, have `options`. */
async function network(context: TestContext, options: string, lacking: string | undefined): Promise<Netns[]> {
  requirePrivileges(context, 'tun');
  if (lacking !== undefined) context.skip(lacking);
  const home = await space();
  const hosts = [await space(), await space()];
  const ports: string[] = [];
  for (const [i, host] of hosts.entries()) {
    await home.ip('link', 'add', `s${i}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', host.name);
    await host.ip('addr', 'add', `${address(i + 1)}/24`, 'dev', 'eth0');
    await host.ip('link', 'set', 'eth0', 'up');
    ports.push('--port', `s${i},${options},netns=${home.name}`);
  }
  await bench.running('--datapath', BRIDGE, ...ports);
  return hosts;
}

async function talk([one, two]: readonly Netns[]): Promise<void> {
  if (one === undefined || two === undefined) throw new Error('two hosts are needed');
  const echoes = JSON.parse(await one.run(ping, [address(2), '50', '2000']));
  expect(echoes).toMatchObject({ sent: 50, received: 50 });
  for (const [from, to, target] of [
    [one, two, address(2)],
    [two, one, address(1)],
  ] as const) {
    const sink = program(to, TCP_SINK);
    expect(await sink.line()).toBe('ready');
    const source = program(from, tcpSource(target, 10 << 20));
    expect(await sink.line()).toBe(await source.line());
  }
}

describe('hosts on veth pairs exchange pings and TCP, both ways', () => {
  it.for(['type=afxdp,mode=native', 'type=afxdp,mode=generic', 'type=system'])(
    'by %s, with checksums and tags left to no device',
    { timeout: 60_000 },
    async (options, context) => {
      const hosts = await network(context, options, noAfxdp);
      for (const host of hosts) offloadsOff(host, 'eth0');
      await talk(hosts);
    },
  );

  it('by type=afpacket, with the offloads that veth pairs have by default', async (context) => {
    await talk(await network(context, 'type=afpacket', noPacket));
  }, 60_000);
});
