/** Cases for datapaths as such: types, names, opening, closing, deleting. */

import assert from 'node:assert/strict';
import { type Dpif, LOCAL_PORT, parseName } from '@etherloom/core';
import { rejects } from '../netdev/tools.js';
import type { DpifCase } from './fixture.js';
import { actions, flow, rawFlow } from './packets.js';

const remove = async (dpif: Dpif): Promise<void> => {
  await dpif.delete();
  await dpif.close();
};

export const datapathCases: readonly DpifCase[] = [
  {
    name: 'the type is registered, and an unknown type is EAFNOSUPPORT',
    cites: 'dpif.h, dp_enumerate_types, dpif_open',
    async run({ dpifs, type, name }) {
      assert.ok(dpifs.types().includes(type));
      await rejects('EAFNOSUPPORT', dpifs.open(name(), 'no-such-type'));
      await rejects('EAFNOSUPPORT', dpifs.create(name(), 'no-such-type'));
      await rejects('EAFNOSUPPORT', dpifs.names('no-such-type'));
    },
  },
  {
    name: 'a datapath is known by its name from creation to deletion',
    cites: 'dpif.h, dp_enumerate_names, dpif_create, dpif_delete',
    async run({ dpifs, type, name }) {
      const first = name();
      assert.deepEqual(await dpifs.names(type), []);
      const dpif = await dpifs.create(first, type);
      assert.deepEqual(await dpifs.names(type), [first]);
      await remove(dpif);
      assert.deepEqual(await dpifs.names(type), []);
    },
  },
  {
    name: 'opening a datapath that does not exist is ENODEV',
    cites: 'dpif.h, dpif_open: opens, never creates',
    run: ({ dpifs, type, name }) => rejects('ENODEV', dpifs.open(name(), type)),
  },
  {
    name: 'creating a datapath that exists is EEXIST and leaves it alone',
    cites: 'dpif.h, dpif_create',
    async run({ dpifs, type, name }) {
      const twice = name();
      const dpif = await dpifs.create(twice, type);
      await rejects('EEXIST', dpifs.create(twice, type));
      assert.equal(await dpif.portExists(twice), true);
      await remove(dpif);
    },
  },
  {
    name: 'of two creations at once one wins, the other is EEXIST',
    cites: 'dpif.h "Thread-safety", dpif_create',
    async run({ dpifs, type, name }) {
      const contested = name();
      const results = await Promise.allSettled([
        dpifs.create(contested, type),
        dpifs.create(contested, type),
      ]);
      const won = results.filter((result) => result.status === 'fulfilled');
      assert.equal(won.length, 1);
      const lost = results.find((result) => result.status === 'rejected');
      await rejects('EEXIST', Promise.reject(lost?.reason));
      await remove(won[0]!.value);
    },
  },
  {
    name: 'create-and-open creates what is not there and opens what is',
    cites: 'dpif.h, dpif_create_and_open',
    async run({ dpifs, type, name }) {
      const shared = name();
      const first = await dpifs.createAndOpen(shared, type);
      const second = await dpifs.createAndOpen(shared, type);
      assert.deepEqual(await dpifs.names(type), [shared]);
      await second.close();
      await remove(first);
    },
  },
  {
    name: 'a handle tells its name, base name and type, and the name can be split again',
    cites: 'dpif.h, dpif_name, dpif_base_name, dpif_type, dp_parse_name',
    async run({ dpifs, type, name }) {
      const base = name();
      const dpif = await dpifs.create(base, type);
      assert.deepEqual([dpif.name, dpif.baseName, dpif.type], [`${type}@${base}`, base, type]);
      assert.deepEqual(parseName(dpif.name), { type, name: base });
      await remove(dpif);
    },
  },
  {
    name: 'several openers see one datapath',
    cites: 'dpif.h "Upcalls": a datapath should support being opened multiple times',
    async run({ dpifs, type, name, portType, portConfig }) {
      const shared = name();
      const first = await dpifs.create(shared, type);
      const second = await dpifs.open(shared, type);
      const port = name();
      const portNo = await first.portAdd({ name: port, type: portType, config: portConfig });
      assert.equal(await second.portGetName(portNo), port);
      await second.flowPut({ ...flow(rawFlow(portNo)), flags: 1, actions: actions('drop') });
      assert.equal((await first.getDpStats()).flows, 1);
      await second.close();
      await remove(first);
    },
  },
  {
    name: 'closing does not delete: ports and flows stay without any opener',
    cites: 'dpif.h, dpif_close, against dpif_delete',
    async run({ dpifs, type, name, portType, portConfig }) {
      const lasting = name();
      const port = name();
      const dpif = await dpifs.create(lasting, type);
      const portNo = await dpif.portAdd({ name: port, type: portType, config: portConfig });
      await dpif.flowPut({ ...flow(rawFlow(portNo)), flags: 1, actions: actions('drop') });
      await dpif.close();
      assert.deepEqual(await dpifs.names(type), [lasting]);
      const again = await dpifs.open(lasting, type);
      assert.equal(await again.portGetName(portNo), port);
      assert.equal((await again.getDpStats()).flows, 1);
      await remove(again);
    },
  },
  {
    name: 'a closed handle refuses everything but closing',
    cites: 'dpif.h, dpif_close',
    async run({ dpifs, type, name }) {
      const dpif = await dpifs.create(name(), type);
      await remove(dpif);
      await dpif.close();
      await rejects('EBADF', dpif.getDpStats());
      await rejects('EBADF', dpif.portAdd({ name: name() }));
      await rejects('EBADF', dpif.operate([]));
      await rejects('EBADF', dpif.recv(0));
    },
  },
  {
    name: 'a deleted datapath goes away when its last opener closes',
    cites: 'dpif.h, dpif_delete: the datapath goes away when it is closed',
    async run({ dpifs, type, name }) {
      const going = name();
      const first = await dpifs.create(going, type);
      const second = await dpifs.open(going, type);
      await first.delete();
      await first.close();
      assert.equal(await second.portGetName(LOCAL_PORT), going, 'the other handle still works');
      await second.close();
      await rejects('ENODEV', dpifs.open(going, type));
      await remove(await dpifs.create(going, type));
    },
  },
  {
    name: 'deleting twice is the same as once, and afterwards the handle can only be closed',
    cites: 'dpif.h, dpif_delete: only dpif_name and dpif_close follow',
    async run({ dpifs, type, name }) {
      const dpif = await dpifs.create(name(), type);
      await dpif.delete();
      await dpif.delete();
      assert.ok(dpif.name.startsWith(`${type}@`));
      await rejects('ENODEV', dpif.getDpStats());
      await rejects('ENODEV', dpif.flowFlush());
      await dpif.close();
    },
  },
  {
    name: 'a datapath made anew under an old name is empty, and the old devices are free',
    cites: 'dpif.h, dpif_delete: ports and flows go with the datapath',
    async run({ dpifs, type, name, portType, portConfig }) {
      const reused = name();
      const port = name();
      for (let round = 0; round < 3; round++) {
        const dpif = await dpifs.create(reused, type);
        const names: string[] = [];
        for await (const existing of dpif.portDump()) names.push(existing.name);
        assert.deepEqual(names, [reused]);
        assert.equal((await dpif.getDpStats()).flows, 0);
        const portNo = await dpif.portAdd({ name: port, type: portType, config: portConfig });
        await dpif.flowPut({ ...flow(rawFlow(portNo)), flags: 1, actions: actions('drop') });
        await remove(dpif);
      }
    },
  },
  {
    name: 'a creation that cannot have its local port fails and leaves nothing',
    cites: 'dpif.h "Ports": each datapath must have a port with its own name',
    async run({ dpifs, type, name, portType, portConfig }) {
      const taken = name();
      const holder = await dpifs.create(name(), type);
      await holder.portAdd({ name: taken, type: portType, config: portConfig });
      await assert.rejects(dpifs.create(taken, type));
      assert.deepEqual(await dpifs.names(type), [holder.baseName]);
      await rejects('ENODEV', dpifs.open(taken, type));
      assert.equal(await holder.portExists(taken), true);
      await remove(holder);
      await remove(await dpifs.create(taken, type));
    },
  },
  {
    name: 'two datapaths share nothing',
    cites: 'dpif.h "Overview": ports, flow table and upcalls belong to a datapath',
    async run({ dpifs, type, name }) {
      const first = await dpifs.create(name(), type);
      const second = await dpifs.create(name(), type);
      await first.flowPut({ ...flow(rawFlow(0)), flags: 1, actions: actions('drop') });
      assert.equal((await second.getDpStats()).flows, 0);
      await rejects('ENODEV', second.portQueryByName(first.baseName));
      await Promise.all([first.recvSet(true), second.recvSet(true)]);
      await remove(first);
      await remove(second);
    },
  },
  {
    name: 'a type in use cannot be unregistered',
    cites: 'dpif.h, dp_unregister_provider',
    async run({ dpifs, type, name }) {
      const dpif = await dpifs.create(name(), type);
      assert.throws(() => dpifs.unregister(type), { code: 'EBUSY' });
      await remove(dpif);
      dpifs.unregister(type);
      assert.ok(!dpifs.types().includes(type));
    },
  },
  {
    name: 'NetFlow ids are bytes, the clock runs forward, and queues have priorities or EOPNOTSUPP',
    cites: 'dpif.h, dpif_get_netflow_ids, dpif_queue_to_priority; struct dpif_flow_stats used',
    async run({ dpifs, type, name }) {
      const dpif = await dpifs.create(name(), type);
      const { engineType, engineId } = await dpif.getNetflowIds();
      for (const id of [engineType, engineId]) assert.ok(Number.isInteger(id) && id >= 0 && id <= 255);
      const before = await dpif.now();
      assert.ok(Number.isInteger(before) && before > 0, `${before} ms`);
      assert.ok((await dpif.now()) >= before);
      const priority = await dpif
        .queueToPriority(1)
        .catch((error: unknown) => rejects('EOPNOTSUPP', Promise.reject(error)));
      assert.ok(priority === undefined || Number.isInteger(priority));
      await remove(dpif);
    },
  },
];
