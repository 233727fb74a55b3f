/** Cases for ports. */

import assert from 'node:assert/strict';
import { type DpifPort, LOCAL_PORT, PORT_NONE } from '@etherloom/core';
import { rejects } from '../netdev/tools.js';
import type { DpifCase, DpifFixture } from './fixture.js';
import { raw, rawFlow } from './packets.js';
import { Rig } from './rig.js';

const spec = (fixture: DpifFixture, name = fixture.name()) => ({
  name,
  type: fixture.portType,
  config: fixture.portConfig,
});

async function ports(rig: Rig): Promise<DpifPort[]> {
  const all: DpifPort[] = [];
  for await (const port of rig.dpif.portDump()) all.push(port);
  return all;
}

export const portCases: readonly DpifCase[] = [
  {
    name: 'the local port has number 0, the name of the datapath and type internal',
    cites: 'dpif.h "Ports": the local port',
    run: (fixture) =>
      Rig.with(fixture, 0, async ({ dpif }) => {
        const local = { portNo: LOCAL_PORT, name: dpif.baseName, type: 'internal' };
        assert.deepEqual(await dpif.portQueryByNumber(LOCAL_PORT), local);
        assert.deepEqual(await dpif.portQueryByName(dpif.baseName), local);
      }),
  },
  {
    name: 'the local port cannot be deleted, nor "no port": EINVAL',
    cites: 'dpif.h "Ports": the local port cannot be deleted',
    run: (fixture) =>
      Rig.with(fixture, 0, async ({ dpif }) => {
        await rejects('EINVAL', dpif.portDel(LOCAL_PORT));
        await rejects('EINVAL', dpif.portDel(PORT_NONE));
        assert.equal(await dpif.portExists(dpif.baseName), true);
      }),
  },
  {
    name: 'numbers that are none, or no number at all, are EINVAL',
    cites: 'dpif.h "Ports": a 32-bit port number',
    run: (fixture) =>
      Rig.with(fixture, 0, async ({ dpif }) => {
        for (const portNo of [-1, 1.5, 2 ** 32, Number.NaN]) {
          await rejects('EINVAL', dpif.portDel(portNo));
          await rejects('EINVAL', dpif.portAdd(spec(fixture), portNo));
        }
      }),
  },
  {
    name: 'a port gets a free number other than 0 unless it asks for one',
    cites: 'dpif.h, dpif_port_add: port_nop; "Ports": unique within the datapath',
    run: (fixture) =>
      Rig.with(fixture, 0, async ({ dpif }) => {
        const numbers = [
          await dpif.portAdd(spec(fixture)),
          await dpif.portAdd(spec(fixture), PORT_NONE),
          await dpif.portAdd(spec(fixture), 77),
          await dpif.portAdd(spec(fixture)),
        ];
        assert.equal(new Set(numbers).size, 4);
        assert.ok(!numbers.includes(0));
        assert.equal(numbers[2], 77);
      }),
  },
  {
    name: 'a number in use is EBUSY, and the device stays free',
    cites: 'dpif.h, dpif_port_add: fails when the requested number is in use',
    run: (fixture) =>
      Rig.with(fixture, 1, async (rig) => {
        const name = fixture.name();
        await rejects('EBUSY', rig.dpif.portAdd(spec(fixture, name), rig.ports[0]!.no));
        await rejects('EBUSY', rig.dpif.portAdd(spec(fixture, name), LOCAL_PORT));
        assert.equal(await rig.dpif.portExists(name), false);
        await rig.dpif.portAdd(spec(fixture, name));
      }),
  },
  {
    name: 'a device is a port once: EEXIST in its own datapath and in another one',
    cites: 'dpif.h "Ports": a name is unique within the host',
    run: (fixture) =>
      Rig.with(fixture, 1, async (rig) => {
        const { name, no } = rig.ports[0]!;
        await rejects('EEXIST', rig.dpif.portAdd(spec(fixture, name)));
        const other = await fixture.dpifs.create(fixture.name(), fixture.type);
        await rejects('EEXIST', other.portAdd(spec(fixture, name)));
        assert.equal((await rig.dpif.portQueryByName(name)).portNo, no);
        await rig.dpif.portDel(no);
        await other.portAdd(spec(fixture, name));
        await other.delete();
        await other.close();
      }),
  },
  {
    name: 'names that no device can have are refused',
    cites: 'dpif.h "Ports": a name, a short string',
    run: (fixture) =>
      Rig.with(fixture, 0, async (rig) => {
        for (const name of ['', '.', '..', 'a b', 'a/b'])
          await rejects('EINVAL', rig.dpif.portAdd(spec(fixture, name)));
        await rejects('ENAMETOOLONG', rig.dpif.portAdd(spec(fixture, 'sixteen-letters-')));
        assert.equal((await ports(rig)).length, 1);
      }),
  },
  {
    name: 'an unknown port type and a bad option fail, and leave the name free',
    cites: 'dpif.h, dpif_port_add; netdev_open',
    run: (fixture) =>
      Rig.with(fixture, 0, async (rig) => {
        const name = fixture.name();
        await rejects('EAFNOSUPPORT', rig.dpif.portAdd({ name, type: 'no-such-type' }));
        const bad = { ...fixture.portConfig, 'no such option': '1' };
        await rejects('EINVAL', rig.dpif.portAdd({ ...spec(fixture, name), config: bad }));
        assert.deepEqual(await ports(rig), [await rig.dpif.portQueryByNumber(LOCAL_PORT)]);
        await rig.dpif.portAdd(spec(fixture, name));
      }),
  },
  {
    name: 'ports are found by number and by name; what is not there is ENODEV',
    cites: 'dpif.h, dpif_port_query_by_number, dpif_port_query_by_name, dpif_port_get_name, dpif_port_exists',
    run: (fixture) =>
      Rig.with(fixture, 1, async ({ dpif, ports: [port] }) => {
        const { name, no } = port!;
        const expected = { portNo: no, name, type: fixture.portType };
        assert.deepEqual(await dpif.portQueryByNumber(no), expected);
        assert.deepEqual(await dpif.portQueryByName(name), expected);
        assert.equal(await dpif.portGetName(no), name);
        assert.equal(await dpif.portExists(name), true);
        await rejects('ENODEV', dpif.portQueryByNumber(no + 1));
        await rejects('ENODEV', dpif.portQueryByNumber(PORT_NONE));
        await rejects('ENODEV', dpif.portQueryByName('nobody'));
        await rejects('ENODEV', dpif.portGetName(no + 1));
        await rejects('ENODEV', dpif.portDel(no + 1));
        assert.equal(await dpif.portExists('nobody'), false);
      }),
  },
  {
    name: 'a dump has every port once, with the type that was asked for',
    cites: 'dpif.h, dpif_port_dump_start, dpif_port_dump_next; struct dpif_port type',
    run: (fixture) =>
      Rig.with(fixture, 3, async (rig) => {
        await rig.dpif.portDel(rig.ports[1]!.no);
        const [first, third] = [rig.ports[0]!, rig.ports[2]!];
        const expected = [
          { portNo: LOCAL_PORT, name: rig.dpif.baseName, type: 'internal' },
          { portNo: first.no, name: first.name, type: fixture.portType },
          { portNo: third.no, name: third.name, type: fixture.portType },
        ];
        const dumped = (await ports(rig)).sort((a, b) => a.portNo - b.portNo);
        assert.deepEqual(
          dumped,
          expected.sort((a, b) => a.portNo - b.portNo),
        );
        for await (const port of rig.dpif.portDump()) {
          assert.ok(port.name.length > 0);
          break;
        }
      }),
  },
  {
    name: 'a port may be deleted while ports are dumped',
    cites: 'dpif.h, struct dpif_port_dump: each dump has a state of its own',
    run: (fixture) =>
      Rig.with(fixture, 3, async (rig) => {
        const names = new Set<string>();
        for await (const { name, portNo } of rig.dpif.portDump()) {
          assert.ok(!names.has(name), `${name} came twice`);
          names.add(name);
          if (portNo !== LOCAL_PORT) await rig.dpif.portDel(portNo).catch(() => undefined);
        }
        assert.equal((await ports(rig)).length, 1);
      }),
  },
  {
    name: 'each handle hears of changes by any handle, once',
    cites: 'dpif.h, dpif_port_poll: since the last call or since the dpif was opened',
    run: (fixture) =>
      Rig.with(fixture, 1, async ({ dpif, ports: [port] }) => {
        const other = await fixture.dpifs.open(dpif.baseName, fixture.type);
        while ((await dpif.portPoll()) !== undefined);
        assert.equal(await other.portPoll(), undefined, 'nothing changed since it was opened');
        await other.portDel(port!.no);
        for (const handle of [dpif, other]) {
          const change = await handle.portPoll();
          assert.ok(change !== undefined && (change.name ?? port!.name) === port!.name);
          assert.equal(await handle.portPoll(), undefined);
        }
        await other.close();
      }),
  },
  {
    name: 'waiting for a change ends with one, at once when one waits, and with the signal',
    cites: 'dpif.h, dpif_port_poll_wait',
    run: (fixture) =>
      Rig.with(fixture, 0, async (rig) => {
        while ((await rig.dpif.portPoll()) !== undefined);
        let woken = false;
        const waiting = rig.dpif.portPollWait().then(() => {
          woken = true;
        });
        await Promise.resolve();
        assert.equal(woken, false);
        await rig.addPort();
        await waiting;
        await rig.dpif.portPollWait();
        assert.notEqual(await rig.dpif.portPoll(), undefined);
        while ((await rig.dpif.portPoll()) !== undefined);
        const abort = new AbortController();
        const aborted = rig.dpif.portPollWait(abort.signal);
        abort.abort();
        await aborted;
      }),
  },
  {
    name: 'a device is promiscuous while it is a port, and then as before',
    cites: 'dpif.h "Ports"; a switch port receives frames for others',
    run: (fixture) =>
      Rig.with(fixture, 0, async ({ dpif }) => {
        const name = fixture.name();
        const type = fixture.dpifs.portOpenType(fixture.type, fixture.portType);
        const device = await fixture.netdevs.open(name, type, fixture.portConfig);
        const before = (await device.netdev.getFlags()).promisc;
        const portNo = await dpif.portAdd({ name, type: fixture.portType });
        assert.equal((await device.netdev.getFlags()).promisc, true);
        await dpif.portDel(portNo);
        assert.equal((await device.netdev.getFlags()).promisc, before);
        await device.release();
      }),
  },
  {
    name: 'the devices of ports can be opened by name through the port type, to be asked and set',
    cites: 'dpif.h "Ports": ports are available as netdevs, opened with dpif_port_open_type',
    run: (fixture) =>
      Rig.with(fixture, 1, async ({ dpif, ports: [port] }) => {
        const { netdevs, dpifs, type } = fixture;
        const local = await netdevs.open(dpif.baseName, dpifs.portOpenType(type, 'internal'));
        assert.ok((await local.netdev.getMtu()) >= 68);
        await local.release();
        const device = await netdevs.open(port!.name, dpifs.portOpenType(type, fixture.portType));
        assert.match(await device.netdev.getEtheraddr(), /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/);
        await device.release();
        assert.equal(await dpif.portExists(port!.name), true, 'giving the reference back closes nothing');
      }),
  },
  {
    name: 'flows to and from a deleted port stay, and work again when the number is taken again',
    cites: 'dpif.h "Flow Table": the client manages the flow table',
    run: (fixture) =>
      Rig.with(fixture, 2, async (rig) => {
        const [from, to] = [rig.ports[0]!, rig.ports[1]!];
        await rig.put(rawFlow(from.no), `${to.no}`);
        await rig.dpif.portDel(to.no);
        await from.far.send([raw(60, 1)]);
        await rig.seen(rawFlow(from.no), 1);
        const again = await rig.addPort(to.no);
        await from.far.send([raw(60, 2)]);
        assert.deepEqual((await rig.arrive(again, 1)).length, 1);
      }),
  },
  {
    name: 'many ports come and go, and numbers are used again',
    cites: 'dpif.h "Ports": functions for adding and deleting ports',
    run: (fixture) =>
      Rig.with(fixture, 0, async ({ dpif }) => {
        const numbers = new Set<number>();
        for (let round = 0; round < 3; round++) {
          const batch = await Promise.all(Array.from({ length: 10 }, () => dpif.portAdd(spec(fixture))));
          assert.equal(new Set(batch).size, 10);
          for (const portNo of batch) {
            numbers.add(portNo);
            await dpif.portDel(portNo);
          }
        }
        assert.equal(numbers.size, 10);
      }),
  },
  {
    name: 'drops of a port are named and counted; a port that is not there is ENODEV',
    cites: 'Dpif.portGetDrops, an addition to dpif.h',
    needs: 'drops',
    run: (fixture) =>
      Rig.with(fixture, 1, async (rig) => {
        const port = rig.ports[0]!;
        await rig.put(rawFlow(port.no), 'drop');
        await port.far.send([raw(60), raw(61)]);
        await rig.seen(rawFlow(port.no), 2);
        await rejects('ENODEV', rig.dpif.portGetDrops(port.no + 1));
        const drops = await rig.dpif.portGetDrops(port.no);
        assert.ok(Object.values(drops).reduce((sum, count) => sum + count, 0) >= 2, JSON.stringify(drops));
      }),
  },
];
