/** Cases for packets that the datapath forwards on its own: matching, actions, statistics. */

import assert from 'node:assert/strict';
import type { DpifCase } from './fixture.js';
import { flow, raw, rawFlow, samePackets, tagged, tcp, tcpFlow, udp, udpFlow, udpFrom } from './packets.js';
import { Rig, type RigPort } from './rig.js';

const three = (rig: Rig): [RigPort, RigPort, RigPort] => [rig.ports[0]!, rig.ports[1]!, rig.ports[2]!];

export const trafficCases: readonly DpifCase[] = [
  {
    name: 'a packet that matches leaves through the port of the action, unchanged',
    cites: 'dpif.h "Overview": executes the actions in the flow entry',
    run: (fixture) =>
      Rig.with(fixture, 3, async (rig) => {
        const [a, b, c] = three(rig);
        await rig.put(rawFlow(a.no), `${b.no}`);
        const packets = [14, 15, 59, 60, 61, 64, 590, 1513, 1514].map((length) => raw(length, length));
        await a.far.send(packets);
        // A wire may pad to 60 bytes, a switch must not: what came in is compared.
        samePackets(await rig.arrive(b, packets.length), packets);
        assert.deepEqual(await rig.late(c), []);
      }),
  },
  {
    name: 'packets of a flow keep their order',
    cites: 'dpif.h "Overview"',
    run: (fixture) =>
      Rig.with(fixture, 2, async (rig) => {
        const [a, b] = [rig.ports[0]!, rig.ports[1]!];
        await rig.put(rawFlow(a.no), `${b.no}`);
        const packets = Array.from({ length: 200 }, (_, i) => raw(60 + i, i));
        await a.far.send(packets);
        samePackets(await rig.arrive(b, packets.length), packets);
      }),
  },
  {
    name: 'several outputs send as many copies, to the input port too',
    cites: 'dpif.h "Flow Table", actions; OVS_ACTION_ATTR_OUTPUT',
    run: (fixture) =>
      Rig.with(fixture, 3, async (rig) => {
        const [a, b, c] = three(rig);
        await rig.put(rawFlow(a.no), `${b.no},${c.no},${a.no},${b.no}`);
        await a.far.send([raw(80)]);
        samePackets(await rig.arrive(b, 2), [raw(80), raw(80)]);
        samePackets(await rig.arrive(c, 1), [raw(80)]);
        samePackets(await rig.arrive(a, 1), [raw(80)]);
      }),
  },
  {
    name: 'an empty action list drops, and the flow counts',
    cites: 'dpif.h "Flow Table": the actions list may be empty',
    run: (fixture) =>
      Rig.with(fixture, 2, async (rig) => {
        const [a, b] = [rig.ports[0]!, rig.ports[1]!];
        await rig.put(rawFlow(a.no), '');
        await rig.process(a, [raw(60), raw(70)]);
        const { packets, bytes } = await rig.seen(rawFlow(a.no), 2);
        assert.deepEqual([packets, bytes], [2, 130]);
        assert.deepEqual(await rig.late(b), []);
      }),
  },
  {
    name: 'an output to a port that does not exist sends nothing and harms nothing',
    cites: 'OVS_ACTION_ATTR_OUTPUT; Dpif.portGetDrops',
    needs: 'drops',
    run: (fixture) =>
      Rig.with(fixture, 2, async (rig) => {
        const [a, b] = [rig.ports[0]!, rig.ports[1]!];
        await rig.put(rawFlow(a.no), `999,${b.no}`);
        await a.far.send([raw(60)]);
        samePackets(await rig.arrive(b, 1), [raw(60)]);
        await rig.dropped(a.no, 'no_port', 1);
      }),
  },
  {
    name: 'actions apply from left to right, and what was sent does not change any more',
    cites: 'dpif.h "Flow Table", actions: a list; openvswitch.h, enum ovs_action_attr',
    run: (fixture) =>
      Rig.with(fixture, 3, async (rig) => {
        const [a, b, c] = three(rig);
        const list = `${b.no},push_vlan(vid=9,pcp=0),${c.no},pop_vlan,set(eth(src=02:ee:00:00:00:33)),${b.no}`;
        await rig.put(rawFlow(a.no), list);
        await a.far.send([raw(100)]);
        const changed = raw(100);
        changed[11] = 0x33;
        samePackets(await rig.arrive(b, 2), [raw(100), changed]);
        samePackets(await rig.arrive(c, 1), [tagged(raw(100), 9)]);
      }),
  },
  {
    name: 'a VLAN tag is an 802.1Q header in the packet, and part of the key',
    cites: 'dpif.h "Packet Format": a VLAN tag is represented by an 802.1Q header',
    run: (fixture) =>
      Rig.with(fixture, 3, async (rig) => {
        const [a, b, c] = three(rig);
        await rig.put(rawFlow(a.no), `${b.no}`);
        await rig.put(
          `in_port(${a.no}),eth(),eth_type(0x8100),vlan(vid=5,pcp=0),encap(eth_type(0x88b5))`,
          `${c.no}`,
        );
        const packets = [tagged(raw(100), 5), raw(100), tagged(raw(100), 6)];
        await a.far.send(packets);
        samePackets(await rig.arrive(b, 1), [raw(100)]);
        samePackets(await rig.arrive(c, 1), [packets[0]!]);
        assert.deepEqual(await rig.late(b), [], 'a flow without a tag matches no tagged packet');
      }),
  },
  {
    name: 'bits that the mask leaves out do not matter, all others do',
    cites: 'dpif.h "Flow Table", mask',
    needs: 'wildcards',
    run: (fixture) =>
      Rig.with(fixture, 2, async (rig) => {
        const [a, b] = [rig.ports[0]!, rig.ports[1]!];
        await rig.put(
          `in_port(${a.no}),eth(),eth_type(0x0800),ipv4(src=10.1.2.0/255.255.255.0,proto=17),udp(dst=0x0100/0xff00)`,
          `${b.no}`,
        );
        const inside = [
          udp({ src: '10.1.2.1', to: 0x100 }),
          udp({ src: '10.1.2.255', to: 0x1ff, dst: '9.9.9.9' }),
        ];
        const outside = [udp({ src: '10.1.3.1', to: 0x100 }), udp({ src: '10.1.2.1', to: 0x200 })];
        await a.far.send([...outside, ...inside]);
        samePackets(await rig.arrive(b, 2), inside);
        assert.deepEqual(await rig.late(b), []);
      }),
  },
  {
    name: 'a flow belongs to its in_port',
    cites: 'dpif.h "Flow Table"; OVS_KEY_ATTR_IN_PORT',
    run: (fixture) =>
      Rig.with(fixture, 3, async (rig) => {
        const [a, b, c] = three(rig);
        await rig.put(rawFlow(a.no), `${c.no}`);
        await rig.process(b, [raw(60, 1)]);
        await rig.process(a, [raw(60, 2)]);
        samePackets(await rig.arrive(c, 1), [raw(60, 2)]);
        assert.deepEqual(await rig.late(c), []);
      }),
  },
  {
    name: 'a flow counts packets, bytes and the time of the last one, on the clock of now()',
    cites: 'dpif.h, struct dpif_flow_stats n_packets, n_bytes, used',
    run: (fixture) =>
      Rig.with(fixture, 1, async (rig) => {
        const port = rig.ports[0]!;
        await rig.put(udpFlow(port.no), 'drop');
        const { used: never } = await rig.seen(udpFlow(port.no), 0);
        assert.equal(never, 0);
        const before = await rig.dpif.now();
        await port.far.send([udp(), udp({ length: 90 }), udp({ length: 1000 })]);
        const stats = await rig.seen(udpFlow(port.no), 3);
        assert.deepEqual([stats.packets, stats.bytes, stats.tcpFlags], [3, 1150, 0]);
        assert.ok(stats.used >= before && stats.used <= (await rig.dpif.now()), `used ${stats.used}`);
      }),
  },
  {
    name: 'a TCP flow collects the flags of its packets',
    cites: 'dpif.h, struct dpif_flow_stats tcp_flags: the union',
    run: (fixture) =>
      Rig.with(fixture, 1, async (rig) => {
        const port = rig.ports[0]!;
        await rig.put(tcpFlow(port.no), 'drop');
        await port.far.send([tcp(0x02)]);
        assert.equal((await rig.seen(tcpFlow(port.no), 1)).tcpFlags, 0x02);
        await port.far.send([tcp(0x10), tcp(0x11)]);
        assert.equal((await rig.seen(tcpFlow(port.no), 3)).tcpFlags, 0x13);
      }),
  },
  {
    name: 'the datapath counts hits, misses, flows and masks',
    cites: 'dpif.h, struct dpif_dp_stats',
    run: (fixture) =>
      Rig.with(fixture, 1, async (rig) => {
        const port = rig.ports[0]!;
        await rig.put(udpFrom(port.no, 1), 'drop');
        await rig.put(udpFrom(port.no, 2), 'drop');
        await rig.put(rawFlow(port.no), 'drop');
        const before = await rig.dpif.getDpStats();
        assert.equal(before.flows, 3);
        if (before.masks !== undefined) assert.equal(before.masks, 2);
        await rig.process(port, [udp({ from: 1 }), udp({ from: 2 }), raw(60), udp({ from: 3 })]);
        const after = await rig.dpif.getDpStats();
        assert.ok(after.hit - before.hit >= 3);
        assert.ok(after.missed - before.missed >= 1);
        assert.ok(after.lost - before.lost >= 1, 'nobody takes upcalls');
        if (after.maskHit !== undefined && before.maskHit !== undefined) {
          assert.ok(after.maskHit - before.maskHit >= 3, 'every match visits a mask');
        }
      }),
  },
  {
    name: 'new actions hold from the next packet on',
    cites: 'dpif.h "Typical Usage": updating flow entries whose actions should change',
    run: (fixture) =>
      Rig.with(fixture, 3, async (rig) => {
        const [a, b, c] = three(rig);
        await rig.put(rawFlow(a.no), `${b.no}`);
        await a.far.send([raw(60, 1)]);
        samePackets(await rig.arrive(b, 1), [raw(60, 1)]);
        await rig.put(rawFlow(a.no), `${c.no}`, 2);
        await a.far.send([raw(60, 2)]);
        samePackets(await rig.arrive(c, 1), [raw(60, 2)]);
        await rig.dpif.flowDel(flow(rawFlow(a.no)).key);
        await rig.process(a, [raw(60, 3)]);
        assert.deepEqual(await rig.late(c), []);
      }),
  },
  {
    name: 'a recirculated packet is looked up again, as it is then, under its id',
    cites: 'openvswitch.h, OVS_ACTION_ATTR_RECIRC; struct dpif_dp_stats counts each lookup',
    needs: 'recirculation',
    run: (fixture) =>
      Rig.with(fixture, 3, async (rig) => {
        const [a, b, c] = three(rig);
        await rig.put(rawFlow(a.no), `push_vlan(vid=7,pcp=0),recirc(0x2a),pop_vlan,${c.no}`);
        const second = `recirc_id(0x2a),in_port(${a.no}),eth(),eth_type(0x8100),vlan(vid=7,pcp=0),encap(eth_type(0x88b5))`;
        await rig.put(second, `${b.no}`);
        const before = await rig.dpif.getDpStats();
        await a.far.send([raw(60)]);
        samePackets(await rig.arrive(b, 1), [tagged(raw(60), 7)]);
        samePackets(await rig.arrive(c, 1), [raw(60)]);
        assert.ok((await rig.dpif.getDpStats()).hit - before.hit >= 2);
        assert.equal((await rig.seen(second, 1)).bytes, 64);
      }),
  },
  {
    name: 'a packet that recirculates without end is dropped after some rounds',
    cites: 'openvswitch.h, OVS_ACTION_ATTR_RECIRC; Dpif.portGetDrops',
    needs: 'recirculation',
    run: (fixture) =>
      Rig.with(fixture, 2, async (rig) => {
        const [a, b] = [rig.ports[0]!, rig.ports[1]!];
        await rig.put(rawFlow(a.no), 'recirc(0x1)');
        const loop = `recirc_id(0x1),${rawFlow(a.no)}`;
        await rig.put(loop, `${b.no},recirc(0x1)`);
        await a.far.send([raw(60)]);
        const { packets } = await rig.seen(loop, 1);
        assert.ok(packets >= 1 && packets <= 64, `${packets} rounds`);
        await rig.arrive(b, packets);
        await rig.dropped(a.no, 'recirc_depth', 1);
      }),
  },
];
