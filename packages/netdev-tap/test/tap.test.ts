/** Real TAP devices: opening, options, link state and life cycle, each in a namespace of its own. */

import { closeSync, readdirSync } from 'node:fs';
import type { NetdevConfig } from '@etherloom/core';
import { Netns, openFds, requirePrivileges, run, withNetns } from '@etherloom/testkit';
import { expect, test } from 'vitest';
import { tapControl } from '../src/binding.js';
import { Port, provider, withPair } from './harness.js';

/** Devices of a namespace besides loopback. */
async function devices(netns: Netns): Promise<string[]> {
  const lines = (await netns.ip('-o', 'link')).trim().split('\n');
  return lines.map((line) => line.split(': ')[1] ?? '').filter((name) => name !== 'lo');
}

test('a device is made with its options, and gone when closed', async (context) => {
  requirePrivileges(context, 'tun', 'netns');
  await withNetns(async (netns) => {
    const config: NetdevConfig = { netns: netns.name, mac: '02:00:00:00:00:0A', mtu: '9000' };
    const tap = await provider.open('tap0', config);
    expect(await devices(netns)).toEqual(['tap0']);
    expect(await tap.getConfig()).toEqual({ ...config, mac: '02:00:00:00:00:0a' });
    expect(await tap.getMtu()).toBe(9000);
    expect(await tap.getEtheraddr()).toBe('02:00:00:00:00:0a');
    expect(await tap.getFlags()).toEqual({ up: true, promisc: false, loopback: false });
    expect(await tap.getCarrier()).toBe(true);
    expect(await tap.getIfindex()).toBeGreaterThan(0);
    expect(tap.capabilities).toMatchObject({ rxQueues: 1, txQueues: 1 });
    expect(() => tap.queueDescriptor(1)).toThrow(expect.objectContaining({ code: 'EINVAL' }));
    expect(structuredClone(tap.queueDescriptor(0))).toMatchObject({ netdev: 'tap0', index: 0 });
    await tap.close();
    await tap.close();
    expect(await devices(netns)).toEqual([]);
    await expect(tap.getMtu()).rejects.toMatchObject({ code: 'ENODEV' });
  });
});

test('what is changed here is seen outside, and the other way round', async (context) => {
  requirePrivileges(context, 'tun', 'netns');
  await withNetns(async (netns) => {
    const tap = await provider.open('tap0', { netns: netns.path });
    await tap.setMtu(1400);
    await tap.setEtheraddr('02:00:00:00:00:0b');
    await tap.setFlags({ promisc: true });
    expect(await netns.ip('link', 'show', 'tap0')).toMatch(/PROMISC.*UP.* mtu 1400 [\s\S]*02:00:00:00:00:0b/);
    expect(await tap.getConfig()).toEqual({ netns: netns.path, mac: '02:00:00:00:00:0b', mtu: '1400' });

    await netns.ip('link', 'set', 'tap0', 'mtu', '1300');
    await netns.ip('link', 'set', 'tap0', 'down');
    expect(await tap.getMtu()).toBe(1300);
    expect(await tap.getFlags()).toEqual({ up: false, promisc: true, loopback: false });
    expect(await tap.getCarrier()).toBe(false);
    await tap.setFlags({ up: true });
    expect(await tap.getFlags()).toEqual({ up: true, promisc: true, loopback: false });

    const resets = await tap.getCarrierResets();
    await netns.ip('link', 'set', 'tap0', 'carrier', 'off');
    expect(await tap.getCarrier()).toBe(false);
    await netns.ip('link', 'set', 'tap0', 'carrier', 'on');
    expect(await tap.getCarrierResets()).toBe(resets + 2);

    for (const mtu of [67, 65_522, 1500.5, -1, Number.NaN]) {
      await expect(tap.setMtu(mtu)).rejects.toMatchObject({
        code: 'EINVAL',
        message: expect.stringMatching(/68 to 65521/),
      });
    }
    await expect(tap.setEtheraddr('01:00:00:00:00:01')).rejects.toMatchObject({ code: 'EINVAL' });
    await expect(tap.setFlags({ loopback: true })).rejects.toMatchObject({ code: 'EOPNOTSUPP' });
    expect(await tap.getMtu()).toBe(1300);
    await tap.close();
  });
});

test('setConfig takes all of its options or none', async (context) => {
  requirePrivileges(context, 'tun', 'netns');
  await withNetns(async (netns) => {
    const tap = await provider.open('tap0', { netns: netns.name, mac: '02:00:00:00:00:01' });
    const before = await tap.getConfig();
    const bad: NetdevConfig[] = [
      { netns: netns.name, mtu: '2000', colour: 'blue' },
      { netns: netns.name, mac: '02:00:00:00:00:02', mtu: '70000' },
      { netns: netns.name, mtu: '2000', queues: '2' },
      { mtu: '2000' },
    ];
    for (const change of bad) {
      await expect(tap.setConfig(change)).rejects.toMatchObject({ code: 'EINVAL' });
      expect(await tap.getConfig()).toEqual(before);
    }
    const after = {
      netns: netns.name,
      mac: '02:00:00:00:00:02',
      mtu: '2000',
      persistent: 'true',
      up: 'false',
    };
    await tap.setConfig(after);
    expect(await tap.getConfig()).toEqual(after);
    await tap.setConfig({ netns: netns.name });
    expect(await tap.getConfig()).toEqual({ netns: netns.name, mtu: '2000' });
    await tap.close();
    expect(await devices(netns)).toEqual([]);
  });
});

test('each way to fail has its code, says what to do, and leaves nothing', async (context) => {
  requirePrivileges(context, 'tun', 'netns');
  await withNetns(async (netns) => {
    await netns.ip('link', 'add', 'veth0', 'type', 'veth', 'peer', 'name', 'veth1');
    const held = await provider.open('held', { netns: netns.name });
    const before = openFds();
    const inside = await devices(netns);
    const cases: [string, NetdevConfig, string, RegExp][] = [
      ['held', { netns: netns.name }, 'EBUSY', /in use/],
      ['veth0', { netns: netns.name }, 'EEXIST', /not a TAP/],
      ['tap1', { netns: `${netns.name}-no` }, 'ENOENT', /ip netns add/],
      ['tap1', { netns: '/proc/self/status' }, 'EINVAL', /not a network namespace/],
      ['tap1', { netns: netns.name, mtu: '65522' }, 'EINVAL', /68 to 65521/],
      ['tap1', { netns: netns.name, mtu: '67', persistent: 'true' }, 'EINVAL', /68 to 65521/],
    ];
    for (const [name, config, code, message] of cases) {
      await expect(provider.open(name, config)).rejects.toMatchObject({
        code,
        message: expect.stringMatching(message),
      });
    }
    expect(openFds()).toBe(before);
    expect(await devices(netns)).toEqual(inside);
    await held.close();
  });
});

test('without privileges the error says which', async (context) => {
  requirePrivileges(context, 'root', 'tun', 'netns');
  // A process that gave up its privileges cannot have them back: a child, from the built package.
  const script = `
    import { TapProvider } from ${JSON.stringify(new URL('../dist/index.js', import.meta.url).href)};
    const provider = new TapProvider();
    await provider.open('lo', {}).catch(() => 'loads the binding');
    process.setgroups([]);
    process.setgid(65534);
    process.setuid(65534);
    for (const config of [{}, { netns: '/proc/self/ns/net' }]) {
      await provider.open('tap0', config).catch((error) => console.log(error.code, error.message));
    }`;
  const output = await run(process.execPath, ['--input-type=module', '-e', script], {
    env: { NODE_OPTIONS: '' },
  });
  const [plain, named] = output.split('\n');
  expect(plain).toMatch(
    /^(EPERM|EACCES) cannot open TAP device "tap0": .*; it takes root or the capability CAP_NET_ADMIN$/,
  );
  expect(named).toMatch(/^EPERM entering network namespace .* takes root or the capability CAP_SYS_ADMIN$/);
});

test('a persistent device outlives its user and is taken up again', async (context) => {
  requirePrivileges(context, 'tun', 'netns');
  await withNetns(async (netns) => {
    const first = await provider.open('keep', {
      netns: netns.name,
      persistent: 'true',
      mac: '02:00:00:00:00:07',
    });
    await first.close();
    expect(await devices(netns)).toEqual(['keep']);
    const second = await provider.open('keep', { netns: netns.name, up: 'false' });
    expect(await second.getEtheraddr()).toBe('02:00:00:00:00:07');
    expect(await second.getConfig()).toEqual({ netns: netns.name, persistent: 'true', up: 'false' });
    expect(await second.getStats()).toMatchObject({ rxPackets: 0, txPackets: 0, rxDropped: 0, txDropped: 0 });
    await second.close();
    // A failed open leaves a device that was there before as it was.
    await expect(provider.open('keep', { netns: netns.name, mtu: '1' })).rejects.toMatchObject({
      code: 'EINVAL',
    });
    expect(await netns.ip('link', 'show', 'keep')).toMatch(/state DOWN/);
    const third = await provider.open('keep', { netns: netns.name, persistent: 'false' });
    await third.close();
    expect(await devices(netns)).toEqual([]);
  });
});

test('a device that is moved and renamed stays under control; one that is deleted says so', async (context) => {
  requirePrivileges(context, 'tun', 'netns');
  await withNetns(async (first) => {
    await withNetns(async (second) => {
      const tap = await provider.open('tap0', { netns: first.name });
      const port = new Port(tap.queueDescriptor(0));
      await first.ip('link', 'set', 'tap0', 'netns', second.name, 'name', 'eth0');
      await tap.setMtu(1234);
      await tap.setFlags({ up: true });
      expect(await second.ip('link', 'show', 'eth0')).toMatch(/UP.* mtu 1234 /);
      expect(port.send(new Uint8Array(60))).toBe(1);

      await second.ip('link', 'delete', 'eth0');
      await expect(tap.getMtu()).rejects.toMatchObject({
        code: 'ENODEV',
        message: expect.stringMatching(/deleted/),
      });
      await expect(tap.getConfig()).rejects.toMatchObject({ code: 'ENODEV' });
      expect(port.receive()).toEqual([]);
      expect(port.send(new Uint8Array(60))).toBe(0);
      port.close();
      await tap.close();
    });
  });
});

test('a container namespace goes away although a port was moved into it', async (context) => {
  requirePrivileges(context, 'tun', 'netns');
  await withNetns(async (home) => {
    const tap = await provider.open('tap0', { netns: home.name });
    await home.ip('link', 'add', 'outside', 'type', 'veth', 'peer', 'name', 'inside');
    const container = await Netns.create();
    await home.ip('link', 'set', 'tap0', 'netns', container.name);
    await home.ip('link', 'set', 'inside', 'netns', container.name);
    expect(await tap.getMtu()).toBe(1500);
    await container.remove();
    // The namespace took its end of the veth pair with it, so ours is gone as well: nothing of ours kept it alive.
    await expect.poll(() => devices(home), { timeout: 10_000 }).toEqual([]);
    await expect(tap.getMtu()).rejects.toMatchObject({ code: 'ENODEV' });
    await tap.close();
  });
});

test("statistics are the switch's side of what the kernel counts", async (context) => {
  requirePrivileges(context, 'tun', 'netns');
  await withPair({}, async (left, right) => {
    const sender = new Port(left.queueDescriptor(0));
    const receiver = new Port(right.queueDescriptor(0));
    const quiet = await right.getStats();
    const frame = new Uint8Array(100);
    frame.set([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5]);
    sender.send(frame, frame, frame);
    await receiver.receiveMany(3);
    expect(await left.getStats()).toMatchObject({ txPackets: 3, txBytes: 300, txErrors: 0, rxErrors: 0 });
    const stats = await right.getStats();
    expect((stats.rxPackets ?? 0) - (quiet.rxPackets ?? 0)).toBeGreaterThanOrEqual(3);
    expect(stats.txPackets).toBe(0);
    expect(stats.rxDropped).toBe(0);
    expect(stats).not.toHaveProperty('collisions');
    // Nobody reads: the kernel's queue (1000 frames) overflows, and its losses are our receive drops.
    for (let i = 0; i < 80; i++) sender.send(...Array.from({ length: 32 }, () => frame));
    await expect
      .poll(async () => (await right.getStats()).rxDropped ?? 0, { timeout: 5000 })
      .toBeGreaterThan(1000);
    sender.close();
    receiver.close();
  });
});

const CYCLES = process.env.ETHERLOOM_LONG === '1' ? 10_000 : 1000;

test(`${CYCLES} open and close cycles leave no descriptor, thread or device`, async (context) => {
  requirePrivileges(context, 'tun', 'netns');
  await withNetns(async (netns) => {
    const threads = (): number => readdirSync('/proc/self/task').length;
    // The first round starts Node's thread pool, which stays.
    await Promise.all(
      Array.from({ length: 8 }, async (_, i) =>
        (await provider.open(`t${i}`, { netns: netns.name })).close(),
      ),
    );
    const before = [openFds(), threads()];
    for (let round = 0; round < CYCLES / 8; round++) {
      const taps = await Promise.all(
        Array.from({ length: 8 }, (_, i) => provider.open(`t${i}`, { netns: netns.name })),
      );
      await Promise.all(taps.map((tap) => tap.close()));
    }
    expect([openFds(), threads()]).toEqual(before);
    expect(await devices(netns)).toEqual([]);
  });
}, 1_200_000);

test('the thread that opens a device in another namespace stays in its own', async (context) => {
  requirePrivileges(context, 'tun', 'netns');
  await withNetns(async (netns) => {
    const native = tapControl();
    closeSync(native.openTap('tap0', netns.path, false));
    expect(() => native.openTap('lo', netns.path, false)).toThrow(expect.objectContaining({ errno: 22 }));
    const here = native.openTap(`etl${process.pid}`, undefined, false);
    expect(await devices(netns)).toEqual([]);
    closeSync(here);
  });
});
