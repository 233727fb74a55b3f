/**
 * Real wires: hosts with the kernel's own network stack and offloads as they are by default, on ports of every driver of
 * one switch. TCP between any two of them, behind any tags. ETHERLOOM_LONG=1 makes the transfers long.
 */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { requirePrivileges } from '@etherloom/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, type TestContext } from 'vitest';
import { missing } from '../../../packages/netdev-afxdp/test/harness.js';
import { DaemonBench } from './daemon-bench.js';
import { buildTools, DRIVERS, type Driver, type Host, type Tag, type Tools, Wires } from './hosts.js';

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
  for (const [how, flags, drivers] of [
    ['inline', [], DRIVERS],
    ['on two poll-mode threads', ['--pmd-threads', '2'], LONG ? DRIVERS : DRIVERS.slice(0, 2)],
  ] as const) {
    it(`arrives as it was sent, with the offloads that hosts have by default, ${how}`, async (context) => {
      needs(context);
      await wires.add([...drivers, ...drivers]);
      await bench.running(...flags, '--datapath', BRIDGE, ...wires.ports());
      await wires.start();
      await everyoneToEveryone(wires.hosts.slice(0, drivers.length), wires.hosts.slice(drivers.length));
    }, 600_000);
  }

  it.for<Tag>(['vlan', 'qinq'])(
    'arrives as it was sent behind tags: %s',
    { timeout: 600_000 },
    async (tag, context) => {
      needs(context);
      await wires.add([...DRIVERS, ...DRIVERS]);
      await bench.running('--datapath', BRIDGE, ...wires.ports());
      await wires.start();
      await Promise.all(wires.hosts.map((host) => host.tag(tag)));
      await everyoneToEveryone(wires.hosts.slice(0, DRIVERS.length), wires.hosts.slice(DRIVERS.length));
    },
  );
});

const NATIVE: readonly Driver[] = ['afxdp,mode=native'];
const AFXDP: readonly Driver[] = ['afxdp,mode=native', 'afxdp,mode=generic'];

/** A test for each driver; `always` names those of the short run. */
function onEachDriver(
  what: string,
  always: readonly Driver[],
  body: (driver: Driver) => Promise<void>,
): void {
  for (const driver of DRIVERS) {
    it(`${what}: ${driver}`, async (context) => {
      needs(context);
      if (!LONG && !always.includes(driver)) context.skip('only with ETHERLOOM_LONG=1');
      await body(driver);
    }, 300_000);
  }
}

/** A switch with these hosts, which have started. */
async function network(driver: Driver, ...mtus: readonly number[]): Promise<Host[]> {
  for (const mtu of mtus) await wires.add([driver], mtu);
  await bench.running('--datapath', BRIDGE, ...wires.ports());
  await wires.start();
  return wires.hosts;
}

/** How many packets were too big for a port. */
async function tooBig(port: string): Promise<number> {
  const { stdout } = await bench.etherloom('show', '--json');
  const [{ ports }] = JSON.parse(stdout).datapaths;
  return ports.find(({ name }: { name: string }) => name === port).drops.tx_too_big ?? 0;
}

/** Waits until one host reaches the other again. */
const reaches = (from: Host, to: Host) =>
  expect.poll(() => from.ping(to.v4, 1), { timeout: 10_000, interval: 50 }).toBe(1);

describe('hosts', () => {
  onEachDriver(
    'ping each other, send datagrams whole and in fragments, and long streams',
    DRIVERS,
    async (driver) => {
      const [one, two] = (await network(driver, 1500, 1500)) as [Host, Host];
      for (const to of [two.v4, two.v6]) {
        expect([to, await one.ping(to, 100)]).toEqual([to, 100]);
        for (const size of [1, 1400, 1473, 8000, 60_000])
          expect([to, size, await one.udp(to, size, 20)]).toEqual([to, size, 20]);
        expect(await one.tcp(to, LONG ? 100 << 20 : 4 << 20)).toMatchObject({ equal: true });
      }
    },
  );

  onEachDriver('use jumbo frames, and reach those that do not', AFXDP, async (driver) => {
    const [one, two, small] = (await network(driver, 9000, 9000, 1500)) as [Host, Host, Host];
    expect(await one.udp(two.v4, 8972, 20)).toBe(20);
    expect(await one.udp(two.v6, 8952, 20)).toBe(20);
    expect(await two.tcp(one.v4, 10 << 20)).toMatchObject({ equal: true });
    // What is longer than the port's MTU allows is a drop of that port, with the reason; TCP agrees on less.
    expect(await tooBig(small.port)).toBe(0);
    expect(await one.udp(small.v4, 8972, 2)).toBe(0);
    expect(await tooBig(small.port)).toBe(2);
    expect(await one.tcp(small.v4, 4 << 20)).toMatchObject({ equal: true });
    expect(await small.tcp(one.v6, 4 << 20)).toMatchObject({ equal: true });
  });

  onEachDriver(
    'go on when an interface goes down and up, and when another is deleted',
    NATIVE,
    async (driver) => {
      const [one, two, gone] = (await network(driver, 1500, 1500, 1500)) as [Host, Host, Host];
      await reaches(one, gone);
      await two.netns.ip('link', 'set', two.device, 'down');
      expect(await one.ping(two.v4, 1)).toBe(0);
      await two.netns.ip('link', 'set', two.device, 'up');
      await reaches(one, two);
      if (driver !== 'tap') {
        await wires.home.ip('link', 'set', two.port, 'down');
        expect(await one.ping(two.v4, 1)).toBe(0);
        await wires.home.ip('link', 'set', two.port, 'up');
        await reaches(one, two);
      }
      await gone.netns.ip('link', 'delete', gone.device);
      expect(await one.ping(gone.v4, 2)).toBe(0);
      expect(await one.tcp(two.v4, 1 << 20)).toMatchObject({ equal: true });
      expect((await bench.etherloom('show')).stdout).toContain(`: ${gone.port} (`);
      expect(await bench.etherloom('del-if', BRIDGE, gone.port)).toMatchObject({ code: 0 });
      // IPv6 addresses went when the device was down.
      expect(await two.tcp(one.v4, 1 << 20)).toMatchObject({ equal: true });
    },
  );

  onEachDriver('are at their ease among 64 ports of one thread', NATIVE, async (driver) => {
    const crowd = await wires.crowd(driver, 62);
    await wires.add([driver, driver]);
    await bench.running('--datapath', BRIDGE, ...wires.ports(), ...crowd);
    await wires.start();
    const [one, two] = wires.hosts as [Host, Host];
    expect(await one.ping(two.v6, 100)).toBe(100);
    expect(await one.tcp(two.v4, 10 << 20)).toMatchObject({ equal: true });
    expect(await two.tcp(one.v6, 10 << 20)).toMatchObject({ equal: true });
  });

  onEachDriver('of two datapaths have nothing to do with each other', NATIVE, async (driver) => {
    await wires.add([driver, driver, driver, driver]);
    const [one, two, three, four] = wires.hosts as [Host, Host, Host, Host];
    await bench.running(
      ...['--datapath', BRIDGE, ...wires.ports([one, two])],
      ...['--datapath', `${BRIDGE}b`, ...wires.ports([three, four])],
    );
    await wires.start();
    const both = await Promise.all([one.tcp(two.v4, 10 << 20), three.tcp(four.v4, 10 << 20)]);
    expect(both).toMatchObject([{ equal: true }, { equal: true }]);
    expect(await one.ping(three.v4, 1)).toBe(0);
  });
});

describe('how devices are run', () => {
  it('is in "show", in the JSON of it, and in the log: modes, refusals, and what to do', async (context) => {
    needs(context);
    await wires.add(DRIVERS);
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
    const where = `"eth0" (ip netns exec ${wires.hosts[2]?.netns.name})`;
    const features = `off at ${where} while this port is there: tx-vlan-hw-insert, tx-vlan-stag-hw-insert, tx-udp-segmentation`;
    expect(of(generic).status).toEqual({ mode: 'generic', features });
    expect(of(packet)).toMatchObject({
      status: { mode: 'packet socket' },
      offloads: { rx: expect.arrayContaining(['uso']) },
    });
    expect((await bench.etherloom('show')).stdout).toContain(
      `: ${generic} (afxdp: mode=generic, netns=${wires.home.name})\n    mode: generic\n    features: ${features}\n`,
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
    // A device whose tags nobody can be asked to put into the packets.
    await wires.home.ip('link', 'add', `${generic}y`, 'type', 'bridge');
    await bench.etherloom('add-if', BRIDGE, `${generic}y,type=afxdp,netns=${wires.home.name}`);
    await expect.poll(logged).toContainEqual(
      expect.objectContaining({
        level: 40,
        port: `${generic}y`,
        msg: 'a device of kind "bridge" may have VLAN tags or segment sizes beside the packet, where AF_XDP loses them: use type afpacket',
      }),
    );
    // The mode is asked for here, so that nothing was refused: what is not asked for, is.
    await bench.etherloom('del-if', BRIDGE, native);
    await bench.etherloom('add-if', BRIDGE, `${native},type=system,netns=${wires.home.name}`);
    await expect
      .poll(added)
      .toContainEqual([native, 'native', expect.stringMatching(/^zerocopy: the driver/)]);
  }, 60_000);
});
