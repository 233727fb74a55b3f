/** Cases for packets that the client sends (execute) and for batches of operations (operate). */

import assert from 'node:assert/strict';
import { type DpifOp, FP_CREATE } from '@etherloom/core';
import { parseFlowKey } from '@etherloom/odp-codec';
import { rejects } from '../netdev/tools.js';
import type { DpifCase } from './fixture.js';
import { actions, flow, raw, rawFlow, samePackets, tagged, udpFrom } from './packets.js';
import { Rig } from './rig.js';

const inPort = (port: number): Uint8Array => parseFlowKey(`in_port(${port})`).key;

export const executeCases: readonly DpifCase[] = [
  {
    name: 'execute sends a packet as it is, and leaves the caller’s bytes alone',
    cites: 'dpif.h, dpif_execute; struct dpif_execute packet',
    run: (fixture) =>
      Rig.with(fixture, 2, async (rig) => {
        const [a, b] = [rig.ports[0]!, rig.ports[1]!];
        const packet = raw(100);
        await rig.dpif.execute({ packet, actions: actions(`${a.no},push_vlan(vid=3,pcp=0),${b.no}`) });
        samePackets(await rig.arrive(a, 1), [raw(100)]);
        samePackets(await rig.arrive(b, 1), [tagged(raw(100), 3)]);
        assert.deepEqual(packet, raw(100));
      }),
  },
  {
    name: 'packets of 14 to 65,535 bytes can be executed, others are EINVAL',
    cites: 'dpif.h "Packet Format": at least 14 bytes long',
    run: (fixture) =>
      Rig.with(fixture, 1, async (rig) => {
        const port = rig.ports[0]!;
        const list = actions(`${port.no}`);
        for (const length of [0, 1, 13, 65_536]) {
          await rejects('EINVAL', rig.dpif.execute({ packet: new Uint8Array(length), actions: list }));
        }
        await rig.dpif.execute({ packet: raw(14), actions: list });
        samePackets(await rig.arrive(port, 1), [raw(14)]);
        await rig.dpif.execute({ packet: raw(65_535), actions: actions('push_vlan(vid=1,pcp=0),pop_vlan') });
      }),
  },
  {
    name: 'executing no actions does nothing, successfully',
    cites: 'dpif.h, dpif_execute',
    run: (fixture) =>
      Rig.with(fixture, 1, async (rig) => {
        await rig.dpif.execute({ packet: raw(60), actions: new Uint8Array() });
        assert.deepEqual(await rig.late(rig.ports[0]!), []);
      }),
  },
  {
    name: 'malformed actions are EINVAL, and the packet goes nowhere',
    cites: 'dpif.h, dpif_execute',
    run: (fixture) =>
      Rig.with(fixture, 1, async (rig) => {
        const good = actions(`${rig.ports[0]!.no}`);
        const bad = Uint8Array.from([...good, 5, 0, 1, 0, 9, 0, 0, 0]);
        await rejects('EINVAL', rig.dpif.execute({ packet: raw(60), actions: bad }));
        assert.deepEqual(await rig.late(rig.ports[0]!), []);
      }),
  },
  {
    name: 'execution is not a lookup: flows and their statistics stay out of it',
    cites: 'dpif.h, dpif_execute: performs the given actions',
    run: (fixture) =>
      Rig.with(fixture, 2, async (rig) => {
        const [a, b] = [rig.ports[0]!, rig.ports[1]!];
        await rig.put(rawFlow(a.no), 'drop');
        const metadata = inPort(a.no);
        await rig.dpif.execute({ packet: raw(60), actions: actions(`${b.no}`), metadata });
        samePackets(await rig.arrive(b, 1), [raw(60)]);
        assert.equal((await rig.seen(rawFlow(a.no), 0)).packets, 0);
      }),
  },
  {
    name: 'metadata goes with the packet: recirculation looks it up as from that port',
    cites: 'dpif.h, struct dpif_execute md',
    needs: 'recirculation',
    run: (fixture) =>
      Rig.with(fixture, 2, async (rig) => {
        const [a, b] = [rig.ports[0]!, rig.ports[1]!];
        const key = `recirc_id(0x5),skb_mark(0x77),${rawFlow(a.no)}`;
        await rig.put(key, `${b.no}`);
        const metadata = parseFlowKey(`skb_mark(0x77),in_port(${a.no})`).key;
        await rig.dpif.execute({ packet: raw(60), actions: actions('recirc(0x5)'), metadata });
        samePackets(await rig.arrive(b, 1), [raw(60)]);
        const other = parseFlowKey(`skb_mark(0x78),in_port(${a.no})`).key;
        await rig.dpif.execute({ packet: raw(61), actions: actions('recirc(0x5)'), metadata: other });
        assert.deepEqual(await rig.late(b), []);
        assert.equal((await rig.seen(key, 1)).packets, 1);
      }),
  },
  {
    name: 'header attributes in the metadata do not matter: the packet says its headers',
    cites: 'ExecuteOp.metadata: an upcall’s key fits; the packet wins',
    needs: 'recirculation',
    run: (fixture) =>
      Rig.with(fixture, 2, async (rig) => {
        const [a, b] = [rig.ports[0]!, rig.ports[1]!];
        await rig.put(`recirc_id(0x5),${rawFlow(a.no)}`, `${b.no}`);
        const metadata = parseFlowKey(`in_port(${a.no}),eth(),eth_type(0x0806),arp(op=1)`).key;
        await rig.dpif.execute({ packet: raw(60), actions: actions('recirc(0x5)'), metadata });
        samePackets(await rig.arrive(b, 1), [raw(60)]);
      }),
  },
  {
    name: 'a packet with an in_port that does not exist, or none, is executed all the same',
    cites: 'dpif.h, struct dpif_execute md',
    run: (fixture) =>
      Rig.with(fixture, 1, async (rig) => {
        const port = rig.ports[0]!;
        const list = actions(`${port.no},4000`);
        await rig.dpif.execute({ packet: raw(60), actions: list });
        await rig.dpif.execute({ packet: raw(61), actions: list, metadata: inPort(4001) });
        await rig.dpif.execute({ packet: raw(62), actions: list, metadata: Uint8Array.from([9, 9, 9]) });
        samePackets(await rig.arrive(port, 3), [raw(60), raw(61), raw(62)]);
      }),
  },
  {
    name: 'operations are performed in order, each with an outcome of its own',
    cites: 'dpif.h, dpif_operate; struct dpif_op error',
    run: (fixture) =>
      Rig.with(fixture, 1, async (rig) => {
        const { key, mask } = flow(rawFlow(5));
        const other = flow(udpFrom(5, 1));
        const put: DpifOp = { type: 'flowPut', flags: FP_CREATE, key, mask, actions: actions('1') };
        const results = await rig.dpif.operate([
          { type: 'flowGet', key },
          put,
          put,
          { type: 'flowGet', key },
          { type: 'execute', packet: new Uint8Array(13), actions: actions('1') },
          { ...put, ...other, actions: Uint8Array.from([1]) },
          { type: 'execute', packet: raw(60), actions: actions(`${rig.ports[0]!.no}`) },
          { type: 'flowDel', key },
          { type: 'flowDel', key },
          { ...put, ...other },
        ]);
        assert.deepEqual(
          results.map(({ error }) => error?.code ?? 'ok'),
          ['ENOENT', 'ok', 'EEXIST', 'ok', 'EINVAL', 'EINVAL', 'ok', 'ok', 'ENOENT', 'ok'],
        );
        assert.deepEqual(results[3]!.flow?.actions, actions('1'));
        assert.ok(results.every(({ error }) => error === undefined || error.message.length > 10));
        samePackets(await rig.arrive(rig.ports[0]!, 1), [raw(60)]);
        assert.equal((await rig.dpif.getDpStats()).flows, 1);
      }),
  },
  {
    name: 'no operations are no work',
    cites: 'dpif.h, dpif_operate with n_ops 0',
    run: (fixture) => Rig.with(fixture, 0, async (rig) => assert.deepEqual(await rig.dpif.operate([]), [])),
  },
  {
    name: 'a flow that is put is there for the packet that is executed behind it',
    cites: 'dpif.h "Typical Usage": dpif_flow_put and dpif_execute for one upcall',
    needs: 'recirculation',
    run: (fixture) =>
      Rig.with(fixture, 2, async (rig) => {
        const [a, b] = [rig.ports[0]!, rig.ports[1]!];
        const put = (id: string): DpifOp => ({
          type: 'flowPut',
          flags: FP_CREATE,
          ...flow(`recirc_id(${id}),${rawFlow(a.no)}`),
          actions: actions(`${b.no}`),
        });
        const execute = (length: number): DpifOp => ({
          type: 'execute',
          packet: raw(length),
          actions: actions('recirc(0x9)'),
          metadata: inPort(a.no),
        });
        await rig.dpif.operate([execute(60), put('0x9'), execute(61)]);
        samePackets(await rig.arrive(b, 1), [raw(61)]);
      }),
  },
  {
    name: 'many operations of several callers at once all come out right',
    cites: 'dpif.h "Thread-safety"',
    run: (fixture) =>
      Rig.with(fixture, 0, async (rig) => {
        const share = async (first: number): Promise<void> => {
          const keys = Array.from({ length: 300 }, (_, i) => flow(udpFrom(5, first + i)));
          const puts = keys.map(
            ({ key, mask }): DpifOp => ({
              type: 'flowPut',
              flags: FP_CREATE,
              key,
              mask,
              actions: actions('1'),
            }),
          );
          const gets = keys.map(({ key }): DpifOp => ({ type: 'flowGet', key }));
          const results = await rig.dpif.operate([...puts, ...gets]);
          assert.ok(results.every(({ error }) => error === undefined));
        };
        await Promise.all([share(1), share(1001), share(2001), share(3001)]);
        assert.equal((await rig.dpif.getDpStats()).flows, 1200);
      }),
  },
];
