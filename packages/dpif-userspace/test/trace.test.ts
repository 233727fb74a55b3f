/** Traces: they say what the datapath then does, and leave nothing behind. */

import type { Trace, TraceEvent, TracePass, TraceStep } from '@etherloom/core';
import { composePacket, FP_CREATE, MAX_PACKET } from '@etherloom/core';
import {
  ACTION_ATTR,
  formatActions,
  formatFlowKey,
  KEY_WORDS,
  keyToFlow,
  NlWriter,
  parseActions,
  parseFlowKey,
  parseFlowKeyExact,
} from '@etherloom/odp-codec';
import { hex } from '@etherloom/testkit';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { type Bench, bench, eventually } from './bench.js';

let rig: Bench;
afterEach(() => rig.close());

const METADATA = parseFlowKeyExact('in_port(1)');
const UDP =
  'in_port(1),eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),eth_type(0x0800),' +
  'ipv4(src=10.0.0.1,dst=10.0.0.2,proto=17,tos=0,ttl=64,frag=no),udp(src=1000,dst=2000)';
const TAGGED = 'in_port(1),eth(),eth_type(0x8100),vlan(vid=9,pcp=0),encap(eth_type(0x0800),ipv4(frag=no))';
const IPV4 = 'in_port(1),eth(),eth_type(0x0800),ipv4(frag=no)';

function rowOf(text: string): Int32Array {
  const words = new Int32Array(KEY_WORDS);
  keyToFlow(parseFlowKeyExact(text), words, 0, 2);
  return words;
}

const packetOf = (text: string): Uint8Array => composePacket(rowOf(text));

async function ports(options: Parameters<typeof bench>[0] = {}): Promise<void> {
  rig = await bench({ arena: { frames: 256, largeFrames: 8 }, ...options });
  for (const portNo of [1, 2, 3]) await rig.port(`p${portNo}`, portNo);
}

const trace = (packet = packetOf(UDP), metadata = METADATA): Promise<Trace> =>
  rig.dpif.trace({ packet, metadata });

/** A trace in short: actions and what came of each. */
function story({ steps, events }: TracePass): unknown[] {
  const event = (one: TraceEvent): unknown => {
    if (one.type === 'recirculation') return { recirculated: story(one.pass) };
    if (one.type === 'output') return `to ${one.port}`;
    return one.type === 'drop' ? `drop ${one.reason}` : `${one.reason} to ${one.pid}`;
  };
  const step = ({ action, after, events: own, nested }: TraceStep): unknown[] => [
    `${formatActions(action)}${after === undefined ? '' : ' changes'}`,
    ...own.map(event),
    ...(nested.length === 0 ? [] : [nested.flatMap(step)]),
  ];
  return [...steps.flatMap(step), ...events.map(event)];
}

it('names the flow, each action with what it changes, and where the packet goes, and disturbs nothing', async () => {
  await ports();
  await rig.put('in_port(1),eth(),eth_type(0x0806),arp()', '3');
  await rig.put(IPV4, 'set(ipv4(ttl=63)),2,push_vlan(vid=5,pcp=0),3,9');
  const before = await rig.dpif.getDpStats();
  const { pass, truncated } = await trace();
  expect(truncated).toBe(false);
  expect(pass).toMatchObject({ masks: 2, visited: 2 });
  expect(formatFlowKey(pass.flow!.key, pass.flow!.mask)).toContain(IPV4);
  expect(formatFlowKey(pass.key)).toContain('udp(src=1000,dst=2000)');
  expect(story(pass)).toEqual([
    'set(ipv4(ttl=63)) changes',
    '2',
    'to 2',
    'push_vlan(vid=5,pcp=0) changes',
    '3',
    'to 3',
    '9',
    'drop no_port',
  ]);
  const [set, , push] = pass.steps;
  expect(formatFlowKey(set!.key)).toContain('ttl=64');
  expect(formatFlowKey(set!.after!.key)).toContain('ttl=63');
  expect(push!.after!.length).toBe(push!.length + 4);

  expect(await rig.dpif.getDpStats()).toEqual(before);
  for await (const flow of rig.dpif.flowDump()) expect(flow.stats).toMatchObject({ packets: 0, used: 0 });
  for (const portNo of [0, 1, 2, 3]) expect(await rig.dpif.portGetDrops(portNo)).toEqual({});
  for (const name of ['p1', 'p2', 'p3']) expect(rig.device(name).takeTransmitted()).toEqual([]);
});

it('follows nested lists and recirculations, down to the one that is too many', async () => {
  await ports();
  await rig.put(IPV4, 'clone(set(ipv4(ttl=1)),2),check_pkt_len(size=100,gt(3),le(2)),recirc(7)');
  await rig.put(`recirc_id(7),${IPV4}`, '3,recirc(7)');
  const { pass } = await trace();
  const again = (depth: number): unknown[] => [
    '3',
    'to 3',
    'recirc(0x7)',
    depth === 8 ? 'drop recirc_depth' : { recirculated: again(depth + 1) },
  ];
  expect(story(pass)).toEqual([
    'clone(set(ipv4(ttl=1)),2)',
    ['set(ipv4(ttl=1)) changes', '2', 'to 2'],
    'check_pkt_len(size=100,gt(3),le(2))',
    ['3', 'to 3'],
    'recirc(0x7)',
    { recirculated: again(1) },
  ]);
});

it('says which upcalls there would be, and to which PID', async () => {
  await ports();
  expect(story((await trace()).pass)).toEqual(['drop no_handler']);
  await rig.dpif.recvSet(true);
  const pid = await rig.dpif.portGetPid(1);
  const miss = await trace();
  expect(story(miss.pass)).toEqual([`miss to ${pid}`]);
  expect(miss.pass).toMatchObject({ masks: 0, visited: 0 });
  const special = await rig.dpif.portGetPid(0xffff_ffff);
  await rig.put(IPV4, `userspace(pid=${special},userdata(0102)),trunc(20),userspace(pid=99)`);
  const { pass } = await trace();
  const [first, , second] = pass.steps;
  const [up] = first!.events;
  expect(up?.type === 'upcall' && hex(up.userdata ?? new Uint8Array())).toMatch(/^0102(00)*$/);
  expect(first!.events).toMatchObject([{ type: 'upcall', reason: 'action', pid: special }]);
  // Nobody has that PID: the queue of the port takes it.
  expect(second!.events).toMatchObject([{ type: 'upcall', pid, packet: { length: 20 } }]);
  expect(await rig.dpif.recv(0)).toBeUndefined();
});

it('tells why nothing came of a packet', async () => {
  await ports();
  for (const [actions, reason] of [
    ['', 'drop flow_drop'],
    ['set(ipv4(ttl=1))', 'drop flow_drop'],
    ['drop,2', 'drop explicit_drop'],
    ['pop_eth,2', 'drop tx_not_ethernet'],
    ['ct(commit),2', 'drop action_unsupported'],
  ] as const) {
    await rig.dpif.flowFlush();
    await rig.dpif.flowPut({
      ...parseFlowKey(IPV4),
      flags: FP_CREATE,
      actions: actions === '' ? new Uint8Array(0) : parseActions(actions),
    });
    expect(story((await trace()).pass)).toContain(reason);
  }
});

describe('a trace and the datapath', () => {
  const ACTIONS = [
    '2',
    '3',
    '9',
    'set(eth(dst=02:00:00:00:00:07))',
    'set(ipv4(src=10.9.9.9,ttl=7))',
    'set(udp(dst=53))',
    'push_vlan(vid=5,pcp=3)',
    'pop_vlan',
    'push_mpls(label=9,tc=0,ttl=9,bos=1,eth_type=0x8847)',
    'trunc(40)',
    'hash(l4(1))',
    'clone(set(ipv4(tos=4)),2,push_vlan(vid=6,pcp=0),3)',
    'clone(drop)',
    'check_pkt_len(size=60,gt(3,set(ipv4(ttl=2)),3),le(2))',
    'sample(sample=100.0%,actions(2,pop_vlan))',
    'meter(1)',
    'recirc(1)',
    'recirc(2)',
  ];
  const list = fc.array(fc.constantFrom(...ACTIONS), { maxLength: 7 }).map((all) => all.join() || 'drop');

  it('agree on every packet that leaves and on every drop', async () => {
    await ports({ actionRules: 'openvswitch' });
    const packets = [UDP, `${UDP.replace('eth_type', 'eth_type(0x8100),vlan(vid=9,pcp=0),encap(eth_type')})`];
    await fc.assert(
      fc.asyncProperty(list, list, fc.constantFrom(...packets), async (first, second, text) => {
        const packet = packetOf(text);
        await rig.dpif.flowFlush();
        for (const flow of [IPV4, TAGGED]) await rig.put(flow, first);
        // Only once more: the number of passes would explode.
        const again = second.replaceAll(/recirc\(\d\)/g, '2');
        for (const flow of [IPV4, TAGGED]) await rig.put(`recirc_id(1),${flow}`, again);
        const { pass } = await trace(packet);
        const foretold = new Map<number, string[]>();
        const dropped = new Map<string, number>();
        const look = (one: TracePass): void => {
          const event = (happened: TraceEvent): void => {
            if (happened.type === 'recirculation') look(happened.pass);
            if (happened.type === 'drop')
              dropped.set(happened.reason, (dropped.get(happened.reason) ?? 0) + 1);
            if (happened.type !== 'output') return;
            foretold.set(happened.port, [...(foretold.get(happened.port) ?? []), hex(happened.packet)]);
          };
          const step = ({ events, nested }: TraceStep): void => {
            events.forEach(event);
            nested.forEach(step);
          };
          one.steps.forEach(step);
          one.events.forEach(event);
        };
        look(pass);
        const drops = await rig.dpif.portGetDrops(1);
        const { hit, missed } = await rig.dpif.getDpStats();
        rig.device('p1').inject(packet);
        await eventually(async () => {
          const now = await rig.dpif.getDpStats();
          return now.hit + now.missed > hit + missed;
        });
        for (const portNo of [2, 3]) {
          const sent = rig.device(`p${portNo}`).takeTransmitted().map(hex);
          expect(sent).toEqual(foretold.get(portNo) ?? []);
        }
        const after = await rig.dpif.portGetDrops(1);
        for (const reason of new Set([...Object.keys(after), ...dropped.keys()])) {
          expect([reason, (after[reason] ?? 0) - (drops[reason] ?? 0)]).toEqual([
            reason,
            dropped.get(reason) ?? 0,
          ]);
        }
      }),
      { numRuns: 150 },
    );
  });
});

describe('bounds', () => {
  it('lists that do more than a trace holds are cut, and the next trace is whole', async () => {
    await ports();
    const many = new NlWriter();
    for (let i = 0; i < 5000; i++) many.u32(ACTION_ATTR.OUTPUT, 2);
    await rig.dpif.flowPut({ ...parseFlowKey(IPV4), flags: FP_CREATE, actions: many.finish() });
    const cut = await trace();
    expect(cut.truncated).toBe(true);
    expect(cut.pass.steps.length).toBeGreaterThan(100);
    const long = await trace(composePacket(rowOf(UDP), { length: MAX_PACKET }));
    expect(long).toMatchObject({ truncated: true });
    await rig.dpif.flowFlush();
    await rig.put(IPV4, '2');
    expect((await trace()).truncated).toBe(false);
    expect(parseActions('2')).toEqual((await trace()).pass.flow!.actions);
  });

  it('packets that are none are EINVAL', async () => {
    await ports();
    for (const size of [0, 13, MAX_PACKET + 1]) {
      await expect(trace(new Uint8Array(size))).rejects.toMatchObject({ code: 'EINVAL' });
    }
  });
});

it('a datapath on threads answers the same', async () => {
  await ports({ pmdThreads: 1 });
  await rig.put(IPV4, 'set(ipv4(ttl=63)),2');
  expect(story((await trace()).pass)).toEqual(['set(ipv4(ttl=63)) changes', '2', 'to 2']);
  expect(await rig.dpif.getDpStats()).toMatchObject({ hit: 0, missed: 0 });
});
