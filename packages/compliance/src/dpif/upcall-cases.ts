/** Cases for upcalls: what they contain, and who receives them. */

import assert from 'node:assert/strict';
import { FP_CREATE } from '@etherloom/core';
import { parseFlowKey } from '@etherloom/odp-codec';
import { rejects } from '../netdev/tools.js';
import type { DpifCase } from './fixture.js';
import { actions, keyText, raw, rawFlow, samePackets, tagged, udp } from './packets.js';
import { Rig } from './rig.js';

/** A rig whose own handle receives upcalls. */
const listening = (
  fixture: Parameters<DpifCase['run']>[0],
  ports: number,
  body: (rig: Rig) => Promise<void>,
) =>
  Rig.with(fixture, ports, async (rig) => {
    await rig.dpif.recvSet(true);
    await body(rig);
  });

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

export const upcallCases: readonly DpifCase[] = [
  {
    name: 'a packet without a flow comes up whole, with its key, as a miss',
    cites: 'dpif.h "Upcalls": a miss; an upcall contains an entire packet',
    run: (fixture) =>
      listening(fixture, 1, async (rig) => {
        const port = rig.ports[0]!;
        const packets = [raw(14), udp({ length: 1514 }), tagged(raw(60), 5)];
        await port.far.send(packets);
        const upcalls = await rig.upcalls(3);
        samePackets(
          upcalls.map(({ packet }) => packet),
          packets,
        );
        const keys = upcalls.map(({ key }) => keyText(key));
        for (const key of keys) assert.match(key, new RegExp(`in_port\\(${port.no}\\)`));
        assert.match(keys[0]!, /eth\(src=02:ee:00:00:00:01,dst=02:ee:00:00:00:02\),eth_type\(0x88b5\)$/);
        assert.match(
          keys[1]!,
          /eth_type\(0x0800\),ipv4\(src=10\.0\.0\.1,dst=10\.0\.0\.2,.*udp\(src=1000,dst=2000\)$/,
        );
        assert.match(keys[2]!, /eth_type\(0x8100\),vlan\(vid=5,pcp=0\),encap\(eth_type\(0x88b5\)\)$/);
        for (const upcall of upcalls) {
          assert.equal(upcall.type, 'miss');
          assert.equal(upcall.userdata, undefined);
          assert.equal(upcall.actions, undefined);
          assert.equal(upcall.pid, await rig.dpif.portGetPid(port.no));
        }
      }),
  },
  {
    name: 'the key of an upcall, put as it is, makes the next such packet match',
    cites: 'dpif.h "Typical Usage": dpif_flow_put for further packets in the flow',
    run: (fixture) =>
      listening(fixture, 2, async (rig) => {
        const [a, b] = [rig.ports[0]!, rig.ports[1]!];
        await a.far.send([udp()]);
        const [upcall] = await rig.upcalls(1);
        const list = actions(`${b.no}`);
        const { key, packet } = upcall!;
        const results = await rig.dpif.operate([
          { type: 'flowPut', flags: FP_CREATE, key, actions: list },
          { type: 'execute', packet, actions: list, metadata: key },
        ]);
        assert.deepEqual(
          results.map(({ error }) => error),
          [undefined, undefined],
        );
        await a.far.send([udp()]);
        samePackets(await rig.arrive(b, 2), [udp(), udp()]);
        assert.equal(await rig.dpif.recv(0), undefined);
        assert.equal((await rig.dpif.flowGet(key)).stats.packets, 1);
      }),
  },
  {
    name: 'without a listener there are no upcalls, and misses are counted as lost',
    cites: 'dpif.h "Upcalls": a client has to enable them; struct dpif_dp_stats n_lost',
    run: (fixture) =>
      Rig.with(fixture, 1, async (rig) => {
        const port = rig.ports[0]!;
        const { lost } = await rig.dpif.getDpStats();
        await rig.process(port, [raw(60)]);
        assert.equal(await rig.dpif.recv(0), undefined);
        assert.deepEqual(await rig.dpif.recvBatch(0, 10), []);
        await rig.dpif.recvSet(true);
        await port.far.send([raw(61)]);
        samePackets(
          (await rig.upcalls(1)).map(({ packet }) => packet),
          [raw(61)],
        );
        assert.ok((await rig.dpif.getDpStats()).lost >= lost + 1);
      }),
  },
  {
    name: 'why a miss was lost is counted for its port',
    cites: 'Dpif.portGetDrops, an addition to dpif.h',
    needs: 'drops',
    run: (fixture) =>
      Rig.with(fixture, 1, async (rig) => {
        await rig.ports[0]!.far.send([raw(60), raw(60)]);
        await rig.dropped(rig.ports[0]!.no, 'no_handler', 2);
      }),
  },
  {
    name: 'turning upcalls off discards what waits and ends the waiting',
    cites: 'dpif.h, dpif_recv_set',
    run: (fixture) =>
      listening(fixture, 1, async (rig) => {
        const waiting = rig.dpif.recvBatch(0, 10, AbortSignal.timeout(5000));
        await rig.dpif.recvSet(false);
        assert.deepEqual(await waiting, []);
        await rig.dpif.recvSet(true);
        await rig.dpif.recvSet(true);
        await rig.process(rig.ports[0]!, [raw(60)]);
        await rig.late(rig.ports[0]!);
        await rig.dpif.recvSet(false);
        await rig.dpif.recvSet(true);
        assert.equal(await rig.dpif.recv(0), undefined);
      }),
  },
  {
    name: 'one handle at a time receives upcalls: EBUSY for another, until the first lets go',
    cites: 'dpif.h "Upcalls": need not support more than one client enabling upcalls',
    run: (fixture) =>
      listening(fixture, 1, async (rig) => {
        const { dpif, ports } = rig;
        const other = await fixture.dpifs.open(dpif.baseName, fixture.type);
        await rejects('EBUSY', other.recvSet(true));
        await other.recvSet(false);
        await ports[0]!.far.send([raw(60)]);
        assert.equal((await rig.upcalls(1)).length, 1);
        await rig.process(ports[0]!, [raw(61)]);
        assert.equal(await other.recv(0), undefined, 'a handle gets only its own upcalls');
        assert.equal((await rig.upcalls(1)).length, 1);
        await dpif.recvSet(false);
        await other.recvSet(true);
        await rejects('EBUSY', dpif.recvSet(true));
        await other.close();
        await dpif.recvSet(true);
      }),
  },
  {
    name: 'an action upcall brings the argument of the action, byte for byte',
    cites: 'dpif.h, struct dpif_upcall userdata; OVS_USERSPACE_ATTR_USERDATA',
    run: (fixture) =>
      listening(fixture, 1, async (rig) => {
        const port = rig.ports[0]!;
        for (const length of [1, 4, 8, 9, 100, 1000]) {
          const bytes = Uint8Array.from({ length }, (_, i) => (i * 31 + length) & 0xff);
          const list = userspace(await rig.dpif.portGetPid(port.no), bytes);
          await rig.dpif.execute({
            packet: raw(60),
            actions: list,
            metadata: parseFlowKey(`in_port(${port.no})`).key,
          });
          const [upcall] = await rig.upcalls(1);
          assert.equal(upcall!.type, 'action');
          assert.equal(hex(upcall!.userdata!), hex(bytes));
          upcall!.userdata!.fill(0);
        }
      }),
  },
  {
    name: 'an action without an argument brings none',
    cites: 'dpif.h, struct dpif_upcall userdata',
    run: (fixture) =>
      listening(fixture, 1, async (rig) => {
        const port = rig.ports[0]!;
        await rig.dpif.execute({ packet: raw(60), actions: userspace(await rig.dpif.portGetPid(port.no)) });
        const [upcall] = await rig.upcalls(1);
        assert.equal(upcall!.type, 'action');
        assert.equal(upcall!.userdata, undefined);
      }),
  },
  {
    name: 'an action upcall shows the packet as it is then, and the key as it was',
    cites: 'openvswitch.h, OVS_PACKET_ATTR_KEY: extracted from the packet as received',
    run: (fixture) =>
      listening(fixture, 2, async (rig) => {
        const [a, b] = [rig.ports[0]!, rig.ports[1]!];
        const pid = await rig.dpif.portGetPid(a.no);
        await rig.put(rawFlow(a.no), `push_vlan(vid=4,pcp=0),userspace(pid=${pid}),pop_vlan,${b.no}`);
        await a.far.send([raw(60)]);
        const [upcall] = await rig.upcalls(1);
        samePackets([upcall!.packet], [tagged(raw(60), 4)]);
        assert.match(keyText(upcall!.key), /eth_type\(0x88b5\)$/);
        samePackets(await rig.arrive(b, 1), [raw(60)]);
      }),
  },
  {
    name: 'an upcall brings the actions when its action asks for them',
    cites: 'openvswitch.h, OVS_USERSPACE_ATTR_ACTIONS',
    run: (fixture) =>
      listening(fixture, 1, async (rig) => {
        const port = rig.ports[0]!;
        const list = `userspace(pid=${await rig.dpif.portGetPid(port.no)},actions)`;
        await rig.put(rawFlow(port.no), list);
        await port.far.send([raw(60)]);
        const [upcall] = await rig.upcalls(1);
        assert.deepEqual(upcall!.actions, actions(list));
      }),
  },
  {
    name: 'a truncated copy goes up, the packet goes on whole',
    cites: 'openvswitch.h, OVS_ACTION_ATTR_TRUNC: applies to the next output or userspace action',
    run: (fixture) =>
      listening(fixture, 2, async (rig) => {
        const [a, b] = [rig.ports[0]!, rig.ports[1]!];
        const pid = await rig.dpif.portGetPid(a.no);
        await rig.put(rawFlow(a.no), `trunc(40),userspace(pid=${pid}),${b.no}`);
        await a.far.send([raw(100)]);
        const [upcall] = await rig.upcalls(1);
        samePackets([upcall!.packet], [raw(100).subarray(0, 40)]);
        samePackets(await rig.arrive(b, 1), [raw(100)]);
      }),
  },
  {
    name: 'a recirculated packet that misses tells its recirculation id',
    cites: 'openvswitch.h, OVS_KEY_ATTR_RECIRC_ID',
    needs: 'recirculation',
    run: (fixture) =>
      listening(fixture, 1, async (rig) => {
        const port = rig.ports[0]!;
        await rig.put(rawFlow(port.no), 'push_vlan(vid=4,pcp=0),recirc(0x11)');
        await port.far.send([raw(60)]);
        const [upcall] = await rig.upcalls(1);
        assert.equal(upcall!.type, 'miss');
        assert.match(
          keyText(upcall!.key),
          /^recirc_id\(0x11\).*vlan\(vid=4,pcp=0\),encap\(eth_type\(0x88b5\)\)$/,
        );
        samePackets([upcall!.packet], [tagged(raw(60), 4)]);
      }),
  },
  {
    name: 'recvBatch waits for upcalls, takes no more than asked, and ends with its signal',
    cites: 'dpif.h, dpif_recv, dpif_recv_wait',
    run: (fixture) =>
      listening(fixture, 1, async (rig) => {
        const port = rig.ports[0]!;
        const waiting = rig.dpif.recvBatch(0, 10, AbortSignal.timeout(5000));
        await port.far.send([raw(60)]);
        const first = await waiting;
        assert.ok(first.length >= 1);
        await rig.process(port, [raw(61), raw(62), raw(63)]);
        let rest = 0;
        while (rest < 3) {
          const batch = await rig.dpif.recvBatch(0, 2, AbortSignal.timeout(5000));
          assert.ok(batch.length >= 1 && batch.length <= 2, `${batch.length} upcalls`);
          rest += batch.length;
        }
        const abort = new AbortController();
        const aborted = rig.dpif.recvBatch(0, 10, abort.signal);
        abort.abort();
        assert.deepEqual(await aborted, []);
        assert.deepEqual(await rig.dpif.recvBatch(0, 10, abort.signal), []);
      }),
  },
  {
    name: 'purging discards what waits, and nothing else',
    cites: 'dpif.h, dpif_recv_purge',
    run: (fixture) =>
      listening(fixture, 1, async (rig) => {
        const port = rig.ports[0]!;
        await rig.process(port, [raw(60), raw(61)]);
        await rig.late(port);
        const { lost } = await rig.dpif.getDpStats();
        await rig.dpif.recvPurge();
        assert.equal(await rig.dpif.recv(0), undefined);
        const counted = (await rig.dpif.getDpStats()).lost - lost;
        assert.equal(counted, 2, 'misses that no client got were not sent to userspace: n_lost');
        await port.far.send([raw(62)]);
        samePackets(
          (await rig.upcalls(1)).map(({ packet }) => packet),
          [raw(62)],
        );
      }),
  },
];

/** `userspace` with an argument of any length, or none: dpctl text has neither. */
function userspace(pid: number, userdata?: Uint8Array): Uint8Array {
  const attribute = (type: number, payload: readonly number[]): number[] => {
    const length = payload.length + 4;
    const padding = new Array((4 - (length & 3)) & 3).fill(0);
    return [length & 0xff, length >> 8, type, 0, ...payload, ...padding];
  };
  const parts = attribute(1, [pid & 0xff, (pid >> 8) & 0xff, (pid >> 16) & 0xff, pid >>> 24]);
  if (userdata !== undefined) parts.push(...attribute(2, [...userdata]));
  return Uint8Array.from(attribute(2, parts));
}
