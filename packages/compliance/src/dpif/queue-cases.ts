/** Cases for upcall queues: PIDs, order, fairness, bounds, handlers (dpif.h "Upcall Queuing and Ordering"). */

import assert from 'node:assert/strict';
import { PORT_NONE, type Upcall } from '@etherloom/core';
import { eventually, rejects } from '../netdev/tools.js';
import type { DpifCase, DpifFixture } from './fixture.js';
import { isOurs, raw, rawFlow, samePackets, udp } from './packets.js';
import { Rig, type RigPort } from './rig.js';

const listening = (fixture: DpifFixture, ports: number, body: (rig: Rig) => Promise<void>): Promise<void> =>
  Rig.with(fixture, ports, async (rig) => {
    await rig.dpif.recvSet(true);
    await body(rig);
  });

/** Misses from `port` until the datapath loses some; nobody reads meanwhile. */
async function flood(rig: Rig, port: RigPort): Promise<void> {
  const { lost } = await rig.dpif.getDpStats();
  await eventually('a queue that nobody reads overflows', async () => {
    await rig.process(
      port,
      Array.from({ length: 64 }, (_, i) => raw(200, i)),
    );
    return (await rig.dpif.getDpStats()).lost > lost;
  });
}

/** All that waits for `handler`, once everything on its way has come. */
async function drain(rig: Rig, handler = 0): Promise<Upcall[]> {
  await rig.late(rig.ports[0]!);
  const upcalls: Upcall[] = [];
  for (let next = await rig.dpif.recv(handler); next !== undefined; next = await rig.dpif.recv(handler)) {
    if (isOurs(next.packet)) upcalls.push(next);
  }
  return upcalls;
}

export const queueCases: readonly DpifCase[] = [
  {
    name: 'a port has a PID that is not 0, the same each time; a port that is not there is ENODEV',
    cites: 'dpif.h "Upcall Queuing": a PID associated with each port; dpif_port_get_pid',
    run: (fixture) =>
      listening(fixture, 1, async ({ dpif, ports: [port] }) => {
        const pid = await dpif.portGetPid(port!.no, 7);
        assert.ok(Number.isInteger(pid) && pid > 0 && pid <= 0xffff_ffff);
        assert.equal(await dpif.portGetPid(port!.no, 7), pid);
        await rejects('ENODEV', dpif.portGetPid(port!.no + 1));
      }),
  },
  {
    name: 'there is a special PID that is no port’s',
    cites: 'dpif.h "Upcall Queuing": a "special" PID not associated with any port',
    needs: 'port-queues',
    run: (fixture) =>
      listening(fixture, 2, async ({ dpif, ports }) => {
        const pids = [PORT_NONE, 0, ...ports.map(({ no }) => no)].map((portNo) => dpif.portGetPid(portNo));
        const all = await Promise.all(pids);
        assert.equal(new Set(all).size, all.length, 'each has its own');
        assert.ok(all.every((pid) => pid > 0));
      }),
  },
  {
    name: 'misses and actions of a port come in the order of its packets',
    cites:
      'dpif.h "Upcall Queuing", preferred behavior: one queue, in the order in which the packets were received',
    run: (fixture) =>
      listening(fixture, 1, async (rig) => {
        const port = rig.ports[0]!;
        await rig.put(rawFlow(port.no), `userspace(pid=${await rig.dpif.portGetPid(port.no)})`);
        const packets = Array.from({ length: 40 }, (_, i) =>
          i % 3 === 0 ? udp({ from: i + 1 }) : raw(60, i),
        );
        await port.far.send(packets);
        const upcalls = await rig.upcalls(packets.length);
        samePackets(
          upcalls.map(({ packet }) => packet),
          packets,
        );
        assert.deepEqual(
          upcalls.slice(0, 2).map(({ type }) => type),
          ['miss', 'action'],
        );
      }),
  },
  {
    name: 'a flooding port delays no other: queues are read in turn',
    cites: 'dpif.h "Upcall Queuing": in a round robin manner, to ensure fairness',
    needs: 'port-queues',
    run: (fixture) =>
      listening(fixture, 3, async (rig) => {
        const [loud, quiet, other] = [rig.ports[0]!, rig.ports[1]!, rig.ports[2]!];
        await rig.process(
          loud,
          Array.from({ length: 100 }, (_, i) => raw(60, i)),
        );
        await rig.process(quiet, [raw(70, 1), raw(70, 2)]);
        await rig.process(other, [raw(80, 1)]);
        const upcalls = await rig.upcalls(103);
        const pids = await Promise.all([loud, quiet, other].map(({ no }) => rig.dpif.portGetPid(no)));
        const order = upcalls.map(({ pid }) => pids.indexOf(pid));
        assert.deepEqual(
          new Set(order.slice(0, 3)),
          new Set([0, 1, 2]),
          'each port is among the first three',
        );
        assert.ok(order.indexOf(1, order.indexOf(1) + 1) <= 4, 'the second of the quiet port is not far');
        samePackets(
          upcalls.filter(({ pid }) => pid === pids[0]).map(({ packet }) => packet),
          Array.from({ length: 100 }, (_, i) => raw(60, i)),
        );
      }),
  },
  {
    name: 'a full queue loses only what would go into it, and that is counted',
    cites: 'dpif.h "Upcall Queuing": no high rate from one port may cause upcalls from others to be dropped',
    needs: 'port-queues',
    run: (fixture) =>
      listening(fixture, 2, async (rig) => {
        const [loud, quiet] = [rig.ports[0]!, rig.ports[1]!];
        await flood(rig, loud);
        const { lost } = await rig.dpif.getDpStats();
        await rig.process(quiet, [raw(70, 1), raw(70, 2)]);
        const pid = await rig.dpif.portGetPid(quiet.no);
        const quietUpcalls = (await drain(rig)).filter((upcall) => upcall.pid === pid);
        samePackets(
          quietUpcalls.map(({ packet }) => packet),
          [raw(70, 1), raw(70, 2)],
        );
        assert.ok((await rig.dpif.getDpStats()).lost >= lost);
      }),
  },
  {
    name: 'the overflow of a queue is counted for its port by reason',
    cites: 'Dpif.portGetDrops; struct dpif_dp_stats n_lost',
    needs: 'drops',
    run: (fixture) =>
      listening(fixture, 1, async (rig) => {
        await flood(rig, rig.ports[0]!);
        await rig.dropped(rig.ports[0]!.no, 'upcall_full', 1);
      }),
  },
  {
    name: 'the special queue takes upcalls while the port’s own is full',
    cites: 'dpif.h "Upcall Queuing": special packets must not be lost even if a port is otherwise busy',
    needs: 'port-queues',
    run: (fixture) =>
      listening(fixture, 1, async (rig) => {
        const port = rig.ports[0]!;
        const special = await rig.dpif.portGetPid(PORT_NONE);
        await rig.put(
          `in_port(${port.no}),eth(),eth_type(0x0800),ipv4(proto=17,frag=no),udp(dst=3784)`,
          `userspace(pid=${special})`,
        );
        await flood(rig, port);
        await rig.process(port, [udp({ to: 3784, from: 1 }), udp({ to: 3784, from: 2 })]);
        const upcalls = await drain(rig);
        const specials = upcalls.filter(({ pid }) => pid === special);
        samePackets(
          specials.map(({ packet }) => packet),
          [udp({ to: 3784, from: 1 }), udp({ to: 3784, from: 2 })],
        );
        assert.ok(upcalls.indexOf(specials[0]!) <= 2, 'and they do not wait behind the others');
      }),
  },
  {
    name: 'an action may name the queue of another port',
    cites: 'dpif.h "Upcall Queuing": the client specifies the PID as part of the action',
    needs: 'port-queues',
    run: (fixture) =>
      listening(fixture, 2, async (rig) => {
        const [a, b] = [rig.ports[0]!, rig.ports[1]!];
        const pid = await rig.dpif.portGetPid(b.no);
        await rig.put(rawFlow(a.no), `userspace(pid=${pid})`);
        await a.far.send([raw(60)]);
        const [upcall] = await rig.upcalls(1);
        assert.equal(upcall!.pid, pid);
      }),
  },
  {
    name: 'the upcalls of a deleted port go with it',
    cites: 'dpif.h, dpif_port_del',
    run: (fixture) =>
      listening(fixture, 2, async (rig) => {
        const [gone, stays] = [rig.ports[0]!, rig.ports[1]!];
        await rig.process(gone, [raw(60)]);
        await rig.process(stays, [raw(61)]);
        await rig.late(stays);
        await rig.dpif.portDel(gone.no);
        samePackets(
          (await rig.upcalls(1)).map(({ packet }) => packet),
          [raw(61)],
        );
        assert.equal(await rig.dpif.recv(0), undefined);
      }),
  },
  {
    name: 'a handler that does not exist receives nothing, and fewer than one handler is EINVAL',
    cites: 'dpif.h, dpif_recv, dpif_handlers_set',
    run: (fixture) =>
      listening(fixture, 1, async (rig) => {
        await rig.process(rig.ports[0]!, [raw(60)]);
        await rig.late(rig.ports[0]!);
        assert.equal(await rig.dpif.recv(1), undefined);
        for (const count of [0, -1, 1.5, Number.NaN]) await rejects('EINVAL', rig.dpif.handlersSet(count));
        assert.equal((await rig.upcalls(1)).length, 1);
      }),
  },
  {
    name: 'several handlers share the misses, and each flow always goes to the same one',
    cites: 'dpif.h "Upcall Queuing": several PIDs for a port, a flow mapped in a stable way to one',
    needs: 'handlers',
    run: (fixture) =>
      listening(fixture, 1, async (rig) => {
        const port = rig.ports[0]!;
        const HANDLERS = 3;
        await rig.dpif.handlersSet(HANDLERS);
        const handlerOf = new Map<string, number>();
        for (let round = 0; round < 3; round++) {
          // One flow each; what differs from packet to packet of a flow must not matter.
          await port.far.send(
            Array.from({ length: 40 }, (_, i) => udp({ from: i + 1, length: 60 + round * 10 })),
          );
          let total = 0;
          await eventually('all misses come up', async () => {
            for (let handler = 0; handler < HANDLERS; handler++) {
              for (
                let up = await rig.dpif.recv(handler);
                up !== undefined;
                up = await rig.dpif.recv(handler)
              ) {
                if (!isOurs(up.packet)) continue;
                total++;
                const source = String((up.packet[34]! << 8) | up.packet[35]!);
                assert.equal(handlerOf.get(source) ?? handler, handler, `flow from port ${source}`);
                handlerOf.set(source, handler);
              }
            }
            return total === 40;
          });
        }
        assert.equal(new Set(handlerOf.values()).size, HANDLERS, 'no handler is idle');
      }),
  },
  {
    name: 'each handler has PIDs of its own, of which the hash picks one',
    cites: 'dpif.h, dpif_port_get_pid hash; "Upcall Queuing": each port has multiple PIDs',
    needs: 'handlers',
    run: (fixture) =>
      listening(fixture, 1, async ({ dpif, ports: [port] }) => {
        await dpif.handlersSet(4);
        for (const portNo of [port!.no, PORT_NONE]) {
          const pids = new Set<number>();
          for (let hash = 0; hash < 64; hash++) pids.add(await dpif.portGetPid(portNo, hash * 0x0100_0193));
          assert.equal(pids.size, 4);
        }
        const pid = await dpif.portGetPid(port!.no, 0xffff_ffff);
        assert.equal(await dpif.portGetPid(port!.no, 0xffff_ffff), pid);
      }),
  },
  {
    name: 'another number of handlers purges; the same number does not',
    cites: 'dpif.h, dpif_handlers_set',
    needs: 'handlers',
    run: (fixture) =>
      listening(fixture, 1, async (rig) => {
        const port = rig.ports[0]!;
        await rig.dpif.handlersSet(2);
        await rig.dpif.handlersSet(2);
        await rig.process(port, [raw(60)]);
        await rig.dpif.handlersSet(2);
        const waiting = [...(await drain(rig, 0)), ...(await drain(rig, 1))];
        assert.equal(waiting.length, 1);
        await rig.process(port, [raw(60)]);
        await rig.late(port);
        await rig.dpif.handlersSet(1);
        assert.deepEqual(await drain(rig, 0), []);
        assert.equal(await rig.dpif.recv(1), undefined);
      }),
  },
  {
    name: 'an upcall to a PID that is none’s is not lost',
    cites: 'dpif.h "Upcall Queuing", minimal behavior: all upcalls to one queue',
    run: (fixture) =>
      listening(fixture, 1, async (rig) => {
        const port = rig.ports[0]!;
        await rig.put(rawFlow(port.no), 'userspace(pid=4294967290)');
        await port.far.send([raw(60)]);
        const [upcall] = await rig.upcalls(1);
        assert.equal(upcall!.type, 'action');
        assert.equal(upcall!.pid, await rig.dpif.portGetPid(port.no));
      }),
  },
];
