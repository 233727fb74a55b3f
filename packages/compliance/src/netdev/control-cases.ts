/** Cases for the control half: opening and closing, options, attributes, statistics. */

import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import type { Netdev, NetdevStats } from '@etherloom/core';
import type { CaseDefinition } from './define.js';
import { arrive, eventually, frameOf, open, Port, rejects } from './tools.js';

/** How many devices the cycle case opens and closes, unless the fixture says otherwise. */
const CYCLES = 1000;
const AT_ONCE = 10;

const openFds = (): number => (existsSync('/proc/self/fd') ? readdirSync('/proc/self/fd').length : 0);

/** Everything that can be read of a device's settings. */
async function settings(netdev: Netdev): Promise<unknown> {
  return {
    config: await netdev.getConfig(),
    mtu: await netdev.getMtu(),
    address: await netdev.getEtheraddr(),
    flags: await netdev.getFlags(),
  };
}

export const controlCases: readonly CaseDefinition[] = [
  {
    name: 'a device opens under its name and type, and closes with its last reference',
    cites:
      'NetdevRegistry.open: "A device that is open already is shared"; NetdevRef.release: "the last one closes the device. Idempotent."',
    async run(fixture) {
      const name = fixture.name();
      const first = await open(fixture, name);
      assert.equal(first.netdev.name, name);
      assert.equal(first.netdev.type, fixture.type);
      const second = await fixture.registry.open(name, fixture.type);
      assert.equal(second.netdev, first.netdev, 'both references are to one device');
      await first.release();
      await first.release();
      assert.equal(await fixture.registry.find(name), second.netdev, 'one reference is left');
      await second.netdev.getMtu();
      await second.release();
      assert.equal(await fixture.registry.find(name), undefined);
      await (await open(fixture, name)).release();
    },
  },
  {
    name: 'an unknown type is EAFNOSUPPORT',
    cites: 'NetdevRegistry.open: "Unknown types are EAFNOSUPPORT."',
    async run(fixture) {
      const name = fixture.name();
      await rejects('EAFNOSUPPORT', fixture.registry.open(name, 'no-such-type'));
      await (await open(fixture, name)).release();
    },
  },
  {
    name: 'a bad option is EINVAL, and the device does not come into being',
    cites:
      'NetdevProvider.open: "Rejects with a DpifError that says what to do and leaves nothing half-created."',
    async run(fixture) {
      const name = fixture.name();
      // A first one, so that what the driver opens once for all is open.
      await (await open(fixture, fixture.name())).release();
      const before = openFds();
      const bad = { ...fixture.config, 'no such option': 'x' };
      await rejects('EINVAL', fixture.registry.open(name, fixture.type, bad));
      assert.equal(openFds(), before, 'open file descriptors');
      assert.equal(await fixture.registry.find(name), undefined);
      await (await open(fixture, name)).release();
    },
  },
  {
    name: 'a bad option to setConfig is EINVAL and changes nothing',
    cites: 'Netdev.setConfig: "Unknown or bad ones are EINVAL and leave the device as it was."',
    async run(fixture) {
      const { netdev, release } = await open(fixture);
      const before = await settings(netdev);
      await rejects('EINVAL', netdev.setConfig({ ...fixture.config, 'no such option': 'x' }));
      assert.deepEqual(await settings(netdev), before);
      await release();
    },
  },
  {
    name: 'setConfig takes what getConfig gives, and changes nothing by it',
    cites:
      'Netdev.getConfig: "Options in effect that differ from defaults"; Netdev.setConfig: "Replaces the options."',
    async run(fixture) {
      const { netdev, release } = await open(fixture);
      const before = await settings(netdev);
      await netdev.setConfig(await netdev.getConfig());
      assert.deepEqual(await settings(netdev), before);
      await release();
    },
  },
  {
    name: 'closing is idempotent and frees the name',
    cites:
      'Netdev.close: "Releases the device; a device that the driver created disappears unless it is persistent. Idempotent."',
    async run(fixture) {
      const name = fixture.name();
      const { netdev, release } = await open(fixture, name);
      await Promise.all([netdev.close(), netdev.close()]);
      await netdev.close();
      await release();
      await (await open(fixture, name)).release();
    },
  },
  {
    name: 'hundreds of devices open and close without leaving a file descriptor',
    cites: 'Netdev.close: "Releases the device"',
    async run(fixture) {
      const cycle = async (): Promise<void> => {
        const ref = await open(fixture);
        new Port(ref, { frames: 8, largeFrames: 1 }).close();
        await ref.release();
      };
      await cycle();
      const before = openFds();
      const cycles = fixture.cycles ?? CYCLES;
      for (let i = 0; i < cycles; i += AT_ONCE) await Promise.all(Array.from({ length: AT_ONCE }, cycle));
      assert.equal(openFds(), before, 'open file descriptors');
    },
  },
  {
    name: 'the MTU is what was set',
    cites: 'Netdev.setMtu; Netdev.getMtu: "Layer-3 MTU in bytes"',
    needs: 'set-mtu',
    async run(fixture) {
      const { netdev, release } = await open(fixture);
      for (const mtu of [1400, 1500, 600]) {
        await netdev.setMtu(mtu);
        assert.equal(await netdev.getMtu(), mtu);
      }
      await release();
    },
  },
  {
    name: 'an MTU that cannot be is EINVAL and changes nothing',
    cites: 'Netdev: "Methods reject with a DpifError"',
    needs: 'set-mtu',
    async run(fixture) {
      const { netdev, release } = await open(fixture);
      const before = await netdev.getMtu();
      for (const mtu of [-1, 0, 1500.5, Number.NaN, 2 ** 31, 2 ** 32 + 1500]) {
        await rejects('EINVAL', netdev.setMtu(mtu));
      }
      assert.equal(await netdev.getMtu(), before);
      await release();
    },
  },
  {
    name: 'the Ethernet address is six lower-case pairs, and what was set',
    cites: 'Netdev.getEtheraddr: "aa:bb:cc:dd:ee:ff"',
    needs: 'set-etheraddr',
    async run(fixture) {
      const { netdev, release } = await open(fixture);
      assert.match(await netdev.getEtheraddr(), /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/);
      await netdev.setEtheraddr('02:aB:cD:00:00:01');
      assert.equal(await netdev.getEtheraddr(), '02:ab:cd:00:00:01');
      for (const bad of [
        '',
        '02:ab:cd:00:00',
        '02:ab:cd:00:00:01:02',
        '02-ab-cd-00-00-01',
        '02:ab:cd:00:00:0g',
      ]) {
        await rejects('EINVAL', netdev.setEtheraddr(bad));
      }
      assert.equal(await netdev.getEtheraddr(), '02:ab:cd:00:00:01');
      await release();
    },
  },
  {
    name: 'setFlags changes the flags given and no others',
    cites: 'Netdev.setFlags: "Changes the flags given; the others stay."',
    needs: 'set-flags',
    async run(fixture) {
      const { netdev, release } = await open(fixture);
      const before = await netdev.getFlags();
      for (const change of [{ up: false }, { promisc: true }, { up: true }, { promisc: false }, {}]) {
        const old = await netdev.getFlags();
        await netdev.setFlags(change);
        assert.deepEqual(await netdev.getFlags(), { ...old, ...change });
      }
      assert.equal((await netdev.getFlags()).loopback, before.loopback);
      await release();
    },
  },
  {
    name: 'what is read of a device has the shapes of the contract',
    cites: 'Netdev: getCarrier, getCarrierResets, getFeatures, getIfindex, capabilities',
    async run(fixture) {
      const { netdev, release } = await open(fixture);
      assert.equal(typeof (await netdev.getCarrier()), 'boolean');
      const resets = await netdev.getCarrierResets();
      assert.ok(Number.isInteger(resets) && resets >= 0, `carrier resets ${resets}`);
      const ifindex = await netdev.getIfindex();
      assert.ok(Number.isInteger(ifindex) && ifindex >= 0, `ifindex ${ifindex}`);
      const { speedMbps, fullDuplex } = await netdev.getFeatures();
      assert.ok(speedMbps === undefined || speedMbps > 0, 'an unknown speed is absent, not 0');
      assert.ok(fullDuplex === undefined || typeof fullDuplex === 'boolean');
      const { rxQueues, txQueues, maxFrame } = netdev.capabilities;
      assert.ok(rxQueues >= 1 && txQueues >= 1 && maxFrame >= 0);
      await release();
    },
  },
  {
    name: 'each queue has a descriptor that another thread could get, and there are no others',
    cites:
      'Netdev.queueDescriptor: "0 <= index < max(rxQueues, txQueues). Plain data, may go to another thread"',
    async run(fixture) {
      const { netdev, release } = await open(fixture);
      const queues = Math.max(netdev.capabilities.rxQueues, netdev.capabilities.txQueues);
      for (let index = 0; index < queues; index++) {
        const descriptor = netdev.queueDescriptor(index);
        const copy = structuredClone(descriptor);
        assert.deepEqual(Object.keys(copy), Object.keys(descriptor));
        assert.equal(copy.netdev, netdev.name);
        assert.equal(copy.index, index);
        assert.ok(URL.canParse(copy.module), `module "${copy.module}" is a URL`);
        assert.ok(copy.counters instanceof SharedArrayBuffer, 'counters are shared memory');
      }
      for (const index of [-1, queues, 0.5])
        assert.throws(() => netdev.queueDescriptor(index), `queue ${index}`);
      await release();
    },
  },
  {
    name: 'statistics are numbers, count the traffic exactly, and leave out what the device cannot count',
    cites: 'NetdevStats: "A counter that the device does not have is absent, never 0."',
    async run(fixture) {
      const ref = await open(fixture);
      const far = await fixture.farEnd(ref.netdev);
      const port = new Port(ref);
      const before = await ref.netdev.getStats();
      for (const [name, value] of Object.entries(before)) {
        assert.ok(Number.isFinite(value) && value >= 0, `${name} is ${value}: absent would be right`);
      }
      const lengths = [60, 61, 1514];
      const frames = lengths.map((length) => frameOf(length));
      await far.send(frames);
      await port.receive(frames.length);
      assert.equal(port.transmit(frames), frames.length);
      await arrive(far, frames.length);
      const bytes = lengths.reduce((sum, length) => sum + length, 0);
      let after: NetdevStats = {};
      await eventually('the statistics follow', async () => {
        after = await ref.netdev.getStats();
        return (after.txPackets ?? 0) - (before.txPackets ?? 0) >= frames.length;
      });
      const grown = (name: keyof NetdevStats): number => (after[name] ?? 0) - (before[name] ?? 0);
      assert.equal(grown('txPackets'), frames.length);
      assert.equal(grown('txBytes'), bytes);
      // A live wire may have brought frames of others.
      assert.ok(
        grown('rxPackets') >= frames.length && grown('rxBytes') >= bytes,
        'frames received are counted',
      );
      port.close();
      await far.close();
      await ref.release();
    },
  },
];
