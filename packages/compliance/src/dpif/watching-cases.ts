/** Cases about watching a datapath at work: traces and captures, additions to dpif.h. */

import assert from 'node:assert/strict';
import type { CapturedPacket, PacketCapture, TraceEvent, TracePass, TraceStep } from '@etherloom/core';
import type { DpifCase } from './fixture.js';
import { actionsText, flow, isOurs, keyText, raw, rawFlow, udp, udpFlow } from './packets.js';
import { Rig } from './rig.js';

const TRACE = 'Dpif.trace, an addition to dpif.h';
const CAPTURE = 'Dpif.capture, an addition to dpif.h';

const metadata = (portNo: number): Uint8Array => flow(`in_port(${portNo})`).key;

/** Everything that became of the packet, in order. */
function events(pass: TracePass): TraceEvent[] {
  const of = (steps: readonly TraceStep[]): TraceEvent[] =>
    steps.flatMap((step) => [...step.events, ...of(step.nested)]);
  return [...of(pass.steps), ...pass.events];
}

/** Packets of ours out of a capture, when there are `count`. */
async function ours(capture: PacketCapture, count: number): Promise<CapturedPacket[]> {
  const packets: CapturedPacket[] = [];
  while (packets.length < count) {
    packets.push(...(await capture.next(64)).filter(({ bytes }) => isOurs(bytes)));
  }
  return packets;
}

export const watchingCases: readonly DpifCase[] = [
  {
    name: 'a trace names the flow and foretells what leaves, and does nothing',
    cites: TRACE,
    needs: 'traces',
    run: (fixture) =>
      Rig.with(fixture, 2, async (rig) => {
        const [from, to] = [rig.ports[0]!, rig.ports[1]!];
        await rig.put(rawFlow(from.no), `${from.no}`);
        await rig.put(udpFlow(from.no), `set(ipv4(ttl=9)),${to.no}`);
        const request = { packet: udp(), metadata: metadata(from.no) };
        const { pass } = await rig.dpif.trace(request);
        assert.ok(pass.flow !== undefined, 'the trace finds the flow');
        assert.equal(actionsText(pass.flow.actions), `set(ipv4(ttl=9)),${to.no}`);
        assert.ok(keyText(pass.key).includes('ttl=64'), keyText(pass.key));
        const [left, ...others] = events(pass);
        assert.ok(left?.type === 'output' && others.length === 0, JSON.stringify(events(pass)));
        assert.equal(left.port, to.no);
        assert.equal((await rig.late(to)).length, 0, 'packets sent by a trace');
        assert.equal((await rig.seen(udpFlow(from.no), 0)).packets, 0);
        await from.far.send([request.packet]);
        const [sent] = await rig.arrive(to, 1);
        assert.equal(Buffer.compare(sent!, left.packet), 0, 'what the trace foretold is what left');
      }),
  },
  {
    name: 'a trace tells of the upcall that a packet without a flow would be, or that nobody takes it',
    cites: TRACE,
    needs: 'traces',
    run: (fixture) =>
      Rig.with(fixture, 1, async (rig) => {
        const port = rig.ports[0]!;
        const trace = async (): Promise<TraceEvent[]> => {
          const { pass } = await rig.dpif.trace({ packet: raw(60), metadata: metadata(port.no) });
          assert.equal(pass.flow, undefined);
          return events(pass);
        };
        assert.deepEqual(
          (await trace()).map(({ type }) => type),
          ['drop'],
        );
        await rig.dpif.recvSet(true);
        const [upcall] = await trace();
        assert.ok(upcall?.type === 'upcall' && upcall.reason === 'miss', JSON.stringify(upcall));
        assert.equal(upcall.pid, await rig.dpif.portGetPid(port.no));
        await rig.process(port, [raw(60, 1)]);
        const [real] = await rig.upcalls(1);
        assert.equal(real!.packet[20], raw(60, 1)[20], 'the upcall of the packet, not of the trace');
      }),
  },
  {
    name: 'a capture sees packets of a port as they came and as they left',
    cites: CAPTURE,
    needs: 'captures',
    run: (fixture) =>
      Rig.with(fixture, 2, async (rig) => {
        const [from, to] = [rig.ports[0]!, rig.ports[1]!];
        await rig.put(rawFlow(from.no), `push_vlan(vid=5,pcp=0),${to.no}`);
        const all = await rig.dpif.capture();
        const out = await rig.dpif.capture({ port: to.no, direction: 'out', snaplen: 20 });
        const before = Date.now() / 1000;
        await from.far.send([raw(60)]);
        await rig.arrive(to, 1);
        const seen = await ours(all, 2);
        const brief = seen.map(({ port, direction, length }) => `${direction} ${port} ${length}`).sort();
        assert.deepEqual(brief, [`in ${from.no} 60`, `out ${to.no} 64`]);
        for (const { seconds } of seen) assert.ok(Math.abs(seconds - before) < 60, `time ${seconds}`);
        const came = seen.find(({ direction }) => direction === 'in');
        assert.equal(Buffer.compare(came!.bytes, raw(60)), 0);
        const [left] = await ours(out, 1);
        assert.deepEqual([left!.length, left!.bytes.length], [64, 20]);
        assert.deepEqual([...left!.bytes.subarray(12, 16)], [0x81, 0, 0, 5]);
        assert.deepEqual(await all.stop(), { missed: 0 });
      }),
  },
  {
    name: 'a capture ends when it is stopped and with its handle, and takes only what its filter matches',
    cites: CAPTURE,
    needs: 'captures',
    run: (fixture) =>
      Rig.with(fixture, 1, async (rig) => {
        const port = rig.ports[0]!;
        await rig.put(rawFlow(port.no), 'drop');
        await rig.put(udpFlow(port.no), 'drop');
        const other = await fixture.dpifs.open(rig.dpif.baseName, rig.dpif.type);
        const ending = await other.capture({ port: port.no, filter: flow('eth(),eth_type(0x88b6)') });
        const waiting = ending.next(1);
        const { key, mask } = flow(udpFlow(port.no));
        const capture = await rig.dpif.capture({ direction: 'in', filter: { key, mask } });
        await port.far.send([raw(60), udp(), raw(61)]);
        await rig.seen(rawFlow(port.no), 2);
        const [packet] = await ours(capture, 1);
        assert.equal(Buffer.compare(packet!.bytes, udp()), 0);
        await other.close();
        assert.deepEqual(await waiting, []);
        await capture.stop();
        assert.deepEqual(await capture.next(1), []);
      }),
  },
];
