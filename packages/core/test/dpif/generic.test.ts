/** The generic layer over a provider that has only what it must, and does nothing but tell what it was asked. */

import {
  ACTION_ATTR,
  formatActions,
  formatFlowKey,
  NlWriter,
  parseActions,
  parseFlowKey,
} from '@etherloom/odp-codec';
import { describe, expect, it } from 'vitest';
import { type Dpif, type DpifOp, FP_CREATE, type OpResult, PORT_NONE } from '../../src/dpif/dpif.js';
import type { DpifBackend } from '../../src/dpif/provider.js';
import { DpifRegistry } from '../../src/dpif/registry.js';
import { flowStatsExtract, flowStatsFormat, upcallTypeName } from '../../src/dpif/stats.js';
import { DpifError } from '../../src/errors.js';

const code = (code: string) => expect.objectContaining({ code });

/** Performs no operation; `answer` says what became of it. */
class Listener implements DpifBackend {
  readonly batches: DpifOp[][] = [];
  answer: (op: DpifOp) => OpResult = () => ({});

  close = async () => undefined;
  destroy = async () => undefined;
  getDpStats = async () => ({ hit: 0, missed: 0, lost: 0, flows: 0 });
  getNetflowIds = async () => ({ engineType: 0, engineId: 0 });
  now = async () => 1;
  portAdd = async () => 1;
  portDel = async () => undefined;
  portQueryByName = async (name: string) => ({ portNo: 1, name, type: 'x' });
  async portQueryByNumber(portNo: number) {
    if (portNo > 1) throw new DpifError('ENODEV', `there is no port ${portNo}`);
    return { portNo, name: 'p', type: 'x' };
  }
  async *portDump() {}
  portPoll = async () => undefined;
  portPollWait = async () => undefined;
  flowFlush = async () => undefined;
  flowDump(): never {
    throw new Error('not asked here');
  }
  async operate(ops: readonly DpifOp[]) {
    this.batches.push([...ops]);
    return ops.map(this.answer);
  }
  recvSet = async () => undefined;
  handlersSet = async () => undefined;
  recv = async () => undefined;
  recvBatch = async () => [];
}

async function open(): Promise<{ dpif: Dpif; backend: Listener; registry: DpifRegistry }> {
  const backend = new Listener();
  const registry = new DpifRegistry();
  registry.register({ type: 'minimal', open: async () => backend });
  return { dpif: await registry.open('dp', 'minimal'), backend, registry };
}

const PACKET = new Uint8Array(60);
const execute = (text: string, more: object = {}): DpifOp => ({
  type: 'execute',
  packet: PACKET,
  actions: parseActions(text),
  ...more,
});
/** What the provider was asked to execute, as text: actions, packet length, metadata. */
const told = ({ batches }: Listener): string[] =>
  batches
    .flat()
    .map((op) => (op.type === 'execute' ? `${formatActions(op.actions)} ${op.packet.length}` : op.type));

describe('a provider without the optional slots', () => {
  it('gets the defaults of dpif.c', async () => {
    const { dpif, registry } = await open();
    expect(await registry.names('minimal')).toEqual([]);
    expect(registry.portOpenType('minimal', 'internal')).toBe('internal');
    expect(await dpif.portGetPid(1, 99)).toBe(0);
    expect(await dpif.portGetPid(PORT_NONE)).toBe(0);
    await expect(dpif.portGetPid(7)).rejects.toEqual(code('ENODEV'));
    await expect(dpif.queueToPriority(1)).rejects.toEqual(code('EOPNOTSUPP'));
    await expect(dpif.portGetDrops(1)).rejects.toEqual(code('EOPNOTSUPP'));
    await dpif.recvPurge();
    await dpif.run();
    const abort = new AbortController();
    const waiting = dpif.wait(abort.signal);
    abort.abort();
    await waiting;
    await dpif.wait(abort.signal);
  });
});

describe('operate', () => {
  it('asks the provider once for what needs no help, in order', async () => {
    const { dpif, backend } = await open();
    const { key } = parseFlowKey('in_port(1),eth()');
    const ops: DpifOp[] = [
      { type: 'flowPut', flags: FP_CREATE, key, actions: parseActions('1') },
      execute('2'),
      { type: 'flowDel', key },
    ];
    expect(await dpif.operate(ops)).toEqual([{}, {}, {}]);
    expect(backend.batches).toEqual([ops]);
  });

  it('answers by itself what the provider need not see', async () => {
    const { dpif, backend } = await open();
    const { key } = parseFlowKey('in_port(1),eth()');
    const broken: unknown = { type: 'flowPut', flags: FP_CREATE, key };
    const results = await dpif.operate([
      execute('1', { packet: new Uint8Array(13) }),
      { type: 'flowGet', key },
      execute('', {}),
      execute('', { packet: new Uint8Array(65_536) }),
      // As a caller without types would.
      broken as DpifOp,
      execute('3'),
    ]);
    expect(results.map(({ error }) => error?.code)).toEqual([
      'EINVAL',
      undefined,
      undefined,
      'EINVAL',
      'EINVAL',
      undefined,
    ]);
    expect(told(backend)).toEqual(['flowGet', '3 60']);
  });

  it('executes with help at its place among the others', async () => {
    const { dpif, backend } = await open();
    const ops = [
      execute('1'),
      execute('2,push_vlan(vid=5,pcp=0),3', { needsHelp: true }),
      execute('4'),
      execute('5'),
    ];
    expect(await dpif.operate(ops)).toEqual([{}, {}, {}, {}]);
    expect(backend.batches.map((batch) => batch.length)).toEqual([1, 2, 2]);
    expect(told(backend)).toEqual(['1 60', '2 60', '3 64', '4 60', '5 60']);
  });
});

describe('execution with help', () => {
  it('passes the packet through for output, userspace and recirc only, with its metadata as they are then', async () => {
    const { dpif, backend } = await open();
    await dpif.execute({
      packet: PACKET,
      actions: parseActions(
        '1,set(skb_mark(0x7)),clone(push_vlan(vid=5,pcp=0),2),trunc(20),userspace(pid=9,userdata(0102030405060708)),set(eth(src=02:00:00:00:00:01)),recirc(0x3),pop_vlan',
      ),
      metadata: parseFlowKey('recirc_id(0x4),skb_priority(0x2),in_port(6)').key,
      needsHelp: true,
    });
    const steps = backend.batches.flat();
    expect(told(backend)).toEqual([
      '1 60',
      '2 64',
      'userspace(pid=9,userdata(0102030405060708)) 20',
      'recirc(0x3) 60',
    ]);
    const metadata = steps.map((op) => (op.type === 'execute' ? formatFlowKey(op.metadata!) : ''));
    expect(metadata[0]).toBe('recirc_id(0x4),skb_priority(0x2),skb_mark(0),in_port(6)');
    expect(metadata[3]).toBe('recirc_id(0x4),skb_priority(0x2),skb_mark(0x7),in_port(6)');
    const [first, , , last] = steps;
    expect(first?.type === 'execute' && first.packet).toEqual(PACKET);
    expect(last?.type === 'execute' && [...last.packet.subarray(6, 12)]).toEqual([2, 0, 0, 0, 0, 1]);
    expect(PACKET.every((byte) => byte === 0)).toBe(true);
  });

  it('keeps the last error, and goes on after each', async () => {
    const { dpif, backend } = await open();
    backend.answer = (op) =>
      op.type === 'execute' && formatActions(op.actions) !== '3'
        ? {
            error: new DpifError(
              formatActions(op.actions) === '1' ? 'EBUSY' : 'ENODEV',
              'the listener says so',
            ),
          }
        : {};
    const [result] = await dpif.operate([execute('1,2,3', { needsHelp: true })]);
    expect(result?.error?.code).toBe('ENODEV');
    expect(told(backend)).toEqual(['1 60', '2 60', '3 60']);
  });

  it('splits a list that no attribute holds, and none that one does', async () => {
    const { dpif, backend } = await open();
    // 8 bytes each: 65,528 bytes fit, 65,536 do not.
    const outputs = (count: number): Uint8Array => {
      const writer = new NlWriter();
      for (let port = 1; port <= count; port++) writer.u32(ACTION_ATTR.OUTPUT, port);
      return writer.finish();
    };
    await dpif.execute({ packet: PACKET, actions: outputs(8191) });
    expect(backend.batches.splice(0).flat().length).toBe(1);
    await dpif.execute({ packet: PACKET, actions: outputs(8192) });
    const steps = backend.batches.flat();
    expect(steps.length).toBe(8192);
    expect(steps.every((op) => op.type === 'execute' && op.actions.length === 8)).toBe(true);
  });

  it('refuses, as a whole, what is malformed or goes on as the datapath leaves the packet', async () => {
    const { dpif, backend } = await open();
    const bad = { packet: PACKET, needsHelp: true };
    await expect(dpif.execute({ ...bad, actions: Uint8Array.of(8, 0, 1, 0, 1, 0, 0) })).rejects.toEqual(
      code('EINVAL'),
    );
    await expect(dpif.execute({ ...bad, actions: parseActions('1,ct(commit),2') })).rejects.toMatchObject({
      code: 'EOPNOTSUPP',
      message: expect.stringContaining('action ct '),
    });
    expect(backend.batches).toEqual([]);
    await dpif.execute({ ...bad, actions: parseActions('drop') });
    expect(backend.batches).toEqual([]);
  });

  it('takes a packet of every length, and gives all of its memory back', async () => {
    const { dpif, backend } = await open();
    // A copy of the packet at every level, all of them alive at once.
    const deep = `${'clone(push_vlan(vid=1,pcp=0),'.repeat(30)}1${',pop_vlan)'.repeat(30)},2`;
    for (let round = 0; round < 40; round++) {
      const packet = new Uint8Array(round % 2 === 0 ? 65_415 : 14);
      await dpif.execute({ packet, actions: parseActions(deep), needsHelp: true });
      expect(told(backend)).toEqual([`1 ${packet.length + 120}`, `2 ${packet.length}`]);
      backend.batches.length = 0;
    }
    const longest = { packet: new Uint8Array(65_535), needsHelp: true };
    await expect(
      dpif.execute({ ...longest, actions: parseActions('push_vlan(vid=1,pcp=0),1') }),
    ).rejects.toEqual(code('EMSGSIZE'));
  });
});

describe('statistics and names', () => {
  it('extracts what one packet adds', () => {
    const packet = new Uint8Array(75);
    const ip = 'in_port(1),eth(),eth_type(0x0800)';
    const tcp = parseFlowKey(`${ip},ipv4(proto=6,frag=no),tcp(src=1,dst=2),tcp_flags(0x12)`).key;
    expect(flowStatsExtract(tcp, packet, 5)).toEqual({ packets: 1, bytes: 75, used: 5, tcpFlags: 0x12 });
    const udp = parseFlowKey(`${ip},ipv4(proto=17,frag=no),udp(src=1,dst=2)`).key;
    expect(flowStatsExtract(udp, packet, 5).tcpFlags).toBe(0);
    expect(() => flowStatsExtract(tcp.subarray(0, 9), packet, 5)).toThrow(code('EINVAL'));
  });

  it('prints statistics as dpif_flow_stats_format does', () => {
    const stats = { packets: 3, bytes: 180, used: 0, tcpFlags: 0 };
    expect(flowStatsFormat(stats, 77)).toBe('packets:3, bytes:180, used:never');
    expect(flowStatsFormat({ ...stats, used: 1000, tcpFlags: 0xfff }, 2500)).toBe(
      'packets:3, bytes:180, used:1.500s, flags:SFPRU.ECN[200][400][800]',
    );
  });

  it('names upcalls', () => {
    expect([0, 1, 2].map(upcallTypeName)).toEqual(['miss', 'action', '<unknown>']);
  });
});
