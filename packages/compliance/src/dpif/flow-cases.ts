/** Cases for flow put, get and del: what changes the table, and what is refused. */

import assert from 'node:assert/strict';
import { FP_CREATE, FP_MODIFY, FP_ZERO_STATS, NO_STATS } from '@etherloom/core';
import { rejects } from '../netdev/tools.js';
import type { DpifCase } from './fixture.js';
import { actions, actionsText, flow, keyText, raw, rawFlow, udpFrom } from './packets.js';
import { Rig } from './rig.js';

/** Any port number will do where no packet is sent. */
const FLOW = rawFlow(5);
const empty = new Uint8Array();

const actionsOf = async (rig: Rig, key = FLOW): Promise<string> =>
  actionsText((await rig.dpif.flowGet(flow(key).key)).actions);

/** A flow in the table that one packet has hit, through a port of the rig. */
async function hitFlow(rig: Rig): Promise<string> {
  const port = rig.ports[0]!;
  const key = rawFlow(port.no);
  await rig.put(key, 'drop');
  await port.far.send([raw(100)]);
  await rig.seen(key, 1);
  return key;
}

export const flowCases: readonly DpifCase[] = [
  {
    name: 'CREATE adds a flow that get returns: key, mask, actions, zero statistics',
    cites: 'dpif.h, DPIF_FP_CREATE, dpif_flow_get',
    run: (fixture) =>
      Rig.with(fixture, 0, async (rig) => {
        assert.deepEqual(await rig.put(FLOW, '3,7'), NO_STATS);
        const { key, mask } = flow(FLOW);
        const found = await rig.dpif.flowGet(key);
        assert.deepEqual(found.actions, actions('3,7'));
        assert.deepEqual(found.stats, NO_STATS);
        assert.match(keyText(found.key, found.mask), /in_port\(5\).*eth_type\(0x88b5\)/);
        // What get returned names the same flow, and puts it again.
        await rig.dpif.flowDel(found.key);
        await rig.dpif.flowPut({
          flags: FP_CREATE,
          key: found.key,
          mask: found.mask,
          actions: found.actions,
        });
        assert.deepEqual((await rig.dpif.flowGet(key)).mask, found.mask);
        assert.ok(mask.length > 0);
      }),
  },
  {
    name: 'CREATE of a flow that is there is EEXIST and changes nothing',
    cites: 'dpif.h, DPIF_FP_CREATE: allow creating a new flow',
    run: (fixture) =>
      Rig.with(fixture, 0, async (rig) => {
        await rig.put(FLOW, '3');
        await rejects('EEXIST', rig.put(FLOW, '4'));
        await rejects('EEXIST', rig.put(FLOW, '4', FP_CREATE | FP_ZERO_STATS));
        assert.equal(await actionsOf(rig), '3');
        assert.equal((await rig.dpif.getDpStats()).flows, 1);
      }),
  },
  {
    name: 'MODIFY of a flow that is not there is ENOENT and adds nothing',
    cites: 'dpif.h, DPIF_FP_MODIFY: allow modifying an existing flow',
    run: (fixture) =>
      Rig.with(fixture, 0, async (rig) => {
        await rejects('ENOENT', rig.put(FLOW, '3', FP_MODIFY));
        await rejects('ENOENT', rig.put(FLOW, '3', FP_MODIFY | FP_ZERO_STATS));
        assert.equal((await rig.dpif.getDpStats()).flows, 0);
      }),
  },
  {
    name: 'MODIFY replaces the actions, keeps the statistics and returns them',
    cites: 'dpif.h, DPIF_FP_MODIFY; struct dpif_flow_put stats',
    run: (fixture) =>
      Rig.with(fixture, 1, async (rig) => {
        const key = await hitFlow(rig);
        const before = await rig.put(key, '3', FP_MODIFY);
        assert.deepEqual([before.packets, before.bytes], [1, 100]);
        assert.deepEqual((await rig.dpif.flowGet(flow(key).key)).stats, before);
        assert.equal(await actionsOf(rig, key), '3');
      }),
  },
  {
    name: 'CREATE and MODIFY together add or replace',
    cites: 'dpif.h, enum dpif_flow_put_flags',
    run: (fixture) =>
      Rig.with(fixture, 0, async (rig) => {
        await rig.put(FLOW, '3', FP_CREATE | FP_MODIFY);
        assert.equal(await actionsOf(rig), '3');
        await rig.put(FLOW, '4', FP_CREATE | FP_MODIFY);
        assert.equal(await actionsOf(rig), '4');
        assert.equal((await rig.dpif.getDpStats()).flows, 1);
      }),
  },
  {
    name: 'neither CREATE nor MODIFY is EEXIST for a flow that is there and ENOENT for one that is not',
    cites: 'dpif.h, enum dpif_flow_put_flags',
    run: (fixture) =>
      Rig.with(fixture, 0, async (rig) => {
        await rejects('ENOENT', rig.put(FLOW, '3', 0));
        await rig.put(FLOW, '3');
        await rejects('EEXIST', rig.put(FLOW, '4', 0));
        await rejects('EEXIST', rig.put(FLOW, '4', FP_ZERO_STATS));
        assert.equal(await actionsOf(rig), '3');
      }),
  },
  {
    name: 'ZERO_STATS zeroes the statistics after they were returned',
    cites: 'dpif.h, DPIF_FP_ZERO_STATS',
    run: (fixture) =>
      Rig.with(fixture, 1, async (rig) => {
        const key = await hitFlow(rig);
        const before = await rig.put(key, '3', FP_MODIFY | FP_ZERO_STATS);
        assert.equal(before.packets, 1);
        assert.ok(before.used > 0);
        assert.deepEqual((await rig.dpif.flowGet(flow(key).key)).stats, NO_STATS);
        assert.equal(await actionsOf(rig, key), '3');
      }),
  },
  {
    name: 'a key that another flow matches already is EEXIST for CREATE, ENOENT for MODIFY',
    cites: 'dpif.h "Flow Table": entries have equal priority and must not overlap',
    needs: 'overlap',
    run: (fixture) =>
      Rig.with(fixture, 0, async (rig) => {
        await rig.put(FLOW, '3');
        const inside = 'in_port(5),eth(src=02:ee:00:00:00:07),eth_type(0x88b5)';
        await rejects('EEXIST', rig.put(inside, '4'));
        await rejects('EEXIST', rig.put(inside, '4', FP_CREATE | FP_MODIFY));
        await rejects('ENOENT', rig.put(inside, '4', FP_MODIFY));
        assert.equal(await actionsOf(rig), '3');
        assert.equal((await rig.dpif.getDpStats()).flows, 1);
      }),
  },
  {
    name: 'the key is kept as the client gave it, wildcarded bits included',
    cites: 'dpif.h "Flow Table": the datapath retains the original flow; it does not zero wildcarded bits',
    run: (fixture) =>
      Rig.with(fixture, 0, async (rig) => {
        const text =
          'in_port(5),eth(src=02:ee:00:00:00:07/00:00:00:00:00:00,dst=02:ee:00:00:00:08),eth_type(0x88b5)';
        const { key, mask } = flow(text);
        await rig.dpif.flowPut({ flags: FP_CREATE, key, mask, actions: empty });
        const found = await rig.dpif.flowGet(key);
        assert.match(keyText(found.key), /eth\(src=02:ee:00:00:00:07,dst=02:ee:00:00:00:08\)/);
      }),
  },
  {
    name: 'a flow is identified by its unmasked key: one that differs in a wildcarded bit is another',
    cites: 'dpif.h "Flow Table": the original flow identifies the entry in later operations',
    run: (fixture) =>
      Rig.with(fixture, 0, async (rig) => {
        const text = (src: string): string => `in_port(5),eth(src=${src}/00:00:00:00:00:00),eth_type(0x88b5)`;
        const first = flow(text('02:ee:00:00:00:07'));
        const other = flow(text('02:ee:00:00:00:09'));
        await rig.dpif.flowPut({ ...first, flags: FP_CREATE, actions: empty });
        await rejects('ENOENT', rig.dpif.flowGet(other.key));
        await rejects('ENOENT', rig.dpif.flowDel(other.key));
        await rig.dpif.flowDel(first.key);
      }),
  },
  {
    name: 'del removes a flow and returns its final statistics; again it is ENOENT',
    cites: 'dpif.h, dpif_flow_del; struct dpif_flow_del stats',
    run: (fixture) =>
      Rig.with(fixture, 1, async (rig) => {
        const { key } = flow(await hitFlow(rig));
        const stats = await rig.dpif.flowDel(key);
        assert.deepEqual([stats.packets, stats.bytes], [1, 100]);
        await rejects('ENOENT', rig.dpif.flowDel(key));
        await rejects('ENOENT', rig.dpif.flowGet(key));
        assert.equal((await rig.dpif.getDpStats()).flows, 0);
      }),
  },
  {
    name: 'flush removes all flows',
    cites: 'dpif.h, dpif_flow_flush',
    run: (fixture) =>
      Rig.with(fixture, 0, async (rig) => {
        for (let from = 1; from <= 100; from++) await rig.put(udpFrom(5, from), 'drop');
        const before = await rig.dpif.getDpStats();
        assert.equal(before.flows, 100);
        await rig.dpif.flowFlush();
        const { flows, masks } = await rig.dpif.getDpStats();
        assert.equal(flows, 0);
        if (masks !== undefined) assert.equal(masks, 0);
        await rejects('ENOENT', rig.dpif.flowGet(flow(udpFrom(5, 1)).key));
        await rig.put(udpFrom(5, 1), 'drop');
      }),
  },
  {
    name: 'a flow without a mask, or with an empty one, matches exactly',
    cites: 'dpif.h, struct dpif_flow_put mask',
    run: (fixture) =>
      Rig.with(fixture, 2, async (rig) => {
        const [from, to] = [rig.ports[0]!, rig.ports[1]!];
        const text = (src: number): string =>
          `in_port(${from.no}),eth(src=02:ee:00:00:00:0${src},dst=02:ee:00:00:00:02),eth_type(0x88b5)`;
        for (const [src, mask] of [
          [1, undefined],
          [3, empty],
        ] as const) {
          await rig.dpif.flowPut({
            flags: FP_CREATE,
            key: flow(text(src)).key,
            actions: actions(`${to.no}`),
            ...(mask !== undefined && { mask }),
          });
        }
        const other = raw(60);
        other[11] = 9;
        await from.far.send([other, raw(60)]);
        const arrived = await rig.arrive(to, 1);
        assert.deepEqual(arrived, [raw(60)]);
        assert.deepEqual(await rig.late(to), []);
      }),
  },
  {
    name: 'a malformed, incomplete or contradictory key is EINVAL',
    cites: 'dpif.h "Flow Table"; OVS_KEY_ATTR_* in openvswitch.h',
    run: (fixture) =>
      Rig.with(fixture, 0, async (rig) => {
        const { key } = flow('in_port(5),eth(),eth_type(0x0800),ipv4(proto=17),udp(src=1)');
        const bad: Record<string, Uint8Array> = {
          empty,
          'cut short': key.subarray(0, key.length - 3),
          'without the addresses that IPv4 has': flow('in_port(5),eth(),eth_type(0x0800)').key,
          'TCP ports in UDP': flow('in_port(5),eth(),eth_type(0x0800),ipv4(proto=17),tcp(src=1)').key,
          noise: Uint8Array.from({ length: 40 }, (_, i) => i * 37),
        };
        for (const [what, bytes] of Object.entries(bad)) {
          const put = rig.dpif.flowPut({ flags: FP_CREATE, key: bytes, actions: empty });
          await rejects('EINVAL', put).catch((error: unknown) => assert.fail(`${what}: ${String(error)}`));
          await rejects('EINVAL', rig.dpif.flowDel(bytes));
          await rejects('EINVAL', rig.dpif.flowGet(bytes));
        }
        assert.equal((await rig.dpif.getDpStats()).flows, 0);
      }),
  },
  {
    name: 'a malformed mask is EINVAL, and so is one that does not match in_port exactly',
    cites: 'dpif.h "Flow Table", mask',
    run: (fixture) =>
      Rig.with(fixture, 0, async (rig) => {
        const { key, mask } = flow(FLOW);
        const bad = [mask.subarray(0, mask.length - 5), flow('in_port(5/0xff),eth(),eth_type(0x88b5)').mask];
        for (const wrong of bad) {
          await rejects('EINVAL', rig.dpif.flowPut({ flags: FP_CREATE, key, mask: wrong, actions: empty }));
        }
        assert.equal((await rig.dpif.getDpStats()).flows, 0);
      }),
  },
  {
    name: 'malformed actions are EINVAL, and a flow keeps those it had',
    cites: 'dpif.h "Flow Table", actions; OVS_ACTION_ATTR_* in openvswitch.h',
    run: (fixture) =>
      Rig.with(fixture, 0, async (rig) => {
        const good = actions('3');
        const bad = [
          good.subarray(0, 6),
          Uint8Array.from([...good, 1]),
          Uint8Array.from([5, 0, 1, 0, 3, 0, 0, 0]),
        ];
        const { key, mask } = flow(FLOW);
        for (const wrong of bad) {
          await rejects('EINVAL', rig.dpif.flowPut({ flags: FP_CREATE, key, mask, actions: wrong }));
        }
        await rig.put(FLOW, '3');
        for (const wrong of bad) {
          await rejects('EINVAL', rig.dpif.flowPut({ flags: FP_MODIFY, key, mask, actions: wrong }));
        }
        assert.equal(await actionsOf(rig), '3');
      }),
  },
  {
    name: 'flags that do not exist are EINVAL',
    cites: 'dpif.h, enum dpif_flow_put_flags',
    run: (fixture) =>
      Rig.with(fixture, 0, async (rig) => {
        await rejects('EINVAL', rig.put(FLOW, '3', FP_CREATE | 64));
        assert.equal((await rig.dpif.getDpStats()).flows, 0);
      }),
  },
  {
    name: 'what is put belongs to the caller afterwards, and what is returned too',
    cites: 'Dpif: arrays handed in belong to the caller again when the promise settles',
    run: (fixture) =>
      Rig.with(fixture, 0, async (rig) => {
        const { key, mask } = flow(FLOW);
        const list = actions('3');
        const copy = key.slice();
        await rig.dpif.flowPut({ flags: FP_CREATE, key, mask, actions: list });
        key.fill(0xff);
        mask.fill(0xff);
        list.fill(0xff);
        (await rig.dpif.flowGet(copy)).actions.fill(0xff);
        assert.equal(await actionsOf(rig), '3');
      }),
  },
  {
    name: 'thousands of flows are put, found and deleted one by one',
    cites: 'dpif.h "Flow Table": the flow is unique within the table',
    run: (fixture) =>
      Rig.with(fixture, 0, async (rig) => {
        const keys = Array.from({ length: 5000 }, (_, i) => flow(udpFrom(5, i + 1)));
        const puts = keys.map(({ key, mask }) => ({
          type: 'flowPut' as const,
          flags: FP_CREATE,
          key,
          mask,
          actions: empty,
        }));
        const results = await rig.dpif.operate(puts);
        assert.ok(results.every(({ error }) => error === undefined));
        assert.equal((await rig.dpif.getDpStats()).flows, 5000);
        const dels = await rig.dpif.operate(keys.map(({ key }) => ({ type: 'flowDel' as const, key })));
        assert.ok(dels.every(({ error }) => error === undefined));
        assert.equal((await rig.dpif.getDpStats()).flows, 0);
      }),
  },
];
