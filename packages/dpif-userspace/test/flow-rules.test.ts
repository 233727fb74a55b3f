/** Keys, masks and actions that are refused: the sentence names the attribute, and nothing is half installed. */

import { FP_CREATE, FP_MODIFY } from '@etherloom/core';
import { ACTION_ATTR, KEY_ATTR, NlWriter, parseActions, parseFlowKey } from '@etherloom/odp-codec';
import { ethernet, ipv4, tcp, udp } from '@etherloom/testkit';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Bench, bench, eventually } from './bench.js';

let rig: Bench;
beforeEach(async () => {
  rig = await bench();
  await rig.port('a', 1);
  await rig.port('b', 2);
});
afterEach(() => rig.close());

const eth = 'in_port(1),eth(),';
const KEYS = {
  ip: `${eth}eth_type(0x0800),ipv4(frag=no)`,
  tcp: `${eth}eth_type(0x0800),ipv4(proto=6,frag=no),tcp()`,
  tcpLater: `${eth}eth_type(0x0800),ipv4(proto=6,frag=later)`,
  udp: `${eth}eth_type(0x0800),ipv4(proto=17,frag=no),udp()`,
  udpAnyProto: `${eth}eth_type(0x0800),ipv4(proto=17/0,frag=no),udp()`,
  udp6: `${eth}eth_type(0x86dd),ipv6(proto=17,frag=no),udp()`,
  arp: `${eth}eth_type(0x0806),arp()`,
  mpls: `${eth}eth_type(0x8847),mpls(label=1,tc=0,ttl=9,bos=1)`,
  tagged: `${eth}eth_type(0x8100),vlan(vid=5,pcp=0),encap(eth_type(0x0800),ipv4(proto=6,frag=no),tcp())`,
  solicit: `${eth}eth_type(0x86dd),ipv6(proto=58,frag=no),icmpv6(type=135,code=0),nd()`,
  echo: `${eth}eth_type(0x86dd),ipv6(proto=58,frag=no),icmpv6(type=128,code=0)`,
} as const;

const refusal = async (key: string, actions: Uint8Array): Promise<string> => {
  const put = rig.dpif.flowPut({ ...parseFlowKey(key), flags: FP_CREATE, actions });
  const error: unknown = await put.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toMatchObject({ code: 'EINVAL' });
  return error instanceof Error ? error.message : '';
};

/** A list of one action, of raw bytes. */
function action(type: number, payload: readonly number[]): Uint8Array {
  const writer = new NlWriter();
  writer.put(type, Uint8Array.from(payload));
  return writer.finish();
}

describe('actions that do not fit their flow', () => {
  it.each([
    ['set(tcp(src=1)),2', 'udp', 'set(tcp)'],
    ['set(udp(src=1)),2', 'tcp', 'set(udp)'],
    ['set(udp(src=1)),2', 'arp', 'set(udp)'],
    ['set(tcp(src=1)),2', 'tcpLater', 'later fragments'],
    ['set(udp(src=1)),2', 'udpAnyProto', 'set(udp)'],
    ['set(sctp(src=1)),2', 'ip', 'set(sctp)'],
    ['set(ipv4(ttl=1)),2', 'udp6', 'set(ipv4)'],
    ['set(ipv6(hlimit=1)),2', 'udp', 'set(ipv6)'],
    ['set(ipv4(src=1.1.1.1,dst=2.2.2.2,proto=17,tos=0,ttl=9,frag=no)),2', 'tcp', 'proto 17, its flow 6'],
    ['set(ipv4(src=1.1.1.1,dst=2.2.2.2,proto=6,tos=0,ttl=9,frag=later)),2', 'tcp', 'frag 2, its flow 0'],
    ['set(arp(sip=1.1.1.1)),2', 'ip', 'set(arp)'],
    ['set(mpls(label=1,tc=0,ttl=1,bos=1)),2', 'ip', 'set(mpls)'],
    ['set(nd(target=::1)),2', 'echo', 'set(nd)'],
    ['pop_mpls(eth_type=0x800),2', 'ip', 'pop_mpls'],
    ['pop_mpls(eth_type=0x800),set(ipv4(ttl=1)),2', 'mpls', 'set(ipv4)'],
    ['push_mpls(label=1,tc=0,ttl=9,bos=1,eth_type=0x8847),set(tcp(src=1)),2', 'tcp', 'set(tcp)'],
    ['push_mpls(label=1,tc=0,ttl=9,bos=1,eth_type=0x0800),2', 'tcp', 'push_mpls'],
    ['pop_nsh(),2', 'ip', 'pop_nsh'],
    ['pop_eth,set(eth(src=02:00:00:00:00:01)),2', 'ip', 'set(eth)'],
    ['pop_eth,push_vlan(vid=1,pcp=0),2', 'ip', 'push_vlan'],
    ['push_eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),2', 'ip', 'push_eth'],
    ['clone(set(tcp(src=1))),2', 'udp', 'set(tcp)'],
    ['sample(sample=50.0%,actions(set(tcp(src=1)))),2', 'udp', 'set(tcp)'],
    ['check_pkt_len(size=100,gt(set(tcp(src=1))),le(2))', 'udp', 'set(tcp)'],
    ['65535', 'ip', 'output to port 65535'],
  ] as const)('%s in a flow of %s', async (text, flow, named) => {
    const actions = parseActions(text);
    expect(await refusal(KEYS[flow], actions)).toContain(named);
    expect((await rig.dpif.getDpStats()).flows).toBe(0);
    // Nor does a flow change that is there.
    await rig.put(KEYS[flow], '2');
    const { key, mask } = parseFlowKey(KEYS[flow]);
    await expect(rig.dpif.flowPut({ key, mask, flags: FP_MODIFY, actions })).rejects.toMatchObject({
      code: 'EINVAL',
    });
    expect((await rig.dpif.flowGet(key)).actions).toEqual(parseActions('2'));
  });

  it.each([
    ['a userspace action without a pid', action(ACTION_ATTR.USERSPACE, []), 'pid'],
    ['a userspace action with pid 0', action(ACTION_ATTR.USERSPACE, [8, 0, 1, 0, 0, 0, 0, 0]), 'pid'],
    ['a tag of another type', action(ACTION_ATTR.PUSH_VLAN, [0x91, 0, 0x10, 1]), 'tpid 0x9100'],
    ['a tag without cfi', action(ACTION_ATTR.PUSH_VLAN, [0x81, 0, 0, 1]), 'cfi'],
    ['a sample without probability', action(ACTION_ATTR.SAMPLE, [4, 0, 2, 0]), 'probability'],
    ['a sample without actions', action(ACTION_ATTR.SAMPLE, [8, 0, 1, 0, 1, 0, 0, 0]), 'actions'],
    ['a truncation below an Ethernet header', action(ACTION_ATTR.TRUNC, [13, 0, 0, 0]), 'trunc'],
    [
      'bits that the mask leaves out',
      action(ACTION_ATTR.SET_MASKED, [12, 0, KEY_ATTR.TCP, 0, 1, 1, 0, 0, 0, 0xff, 0, 0]),
      'mask',
    ],
    [
      'a list that no attribute holds',
      new Uint8Array(65_536).map((_, i) => [8, 0, 1, 0, 2, 0, 0, 0][i % 8]!),
      '65536 bytes',
    ],
  ] as const)('%s', async (_what, actions, named) => {
    expect(await refusal(KEYS.tcp, actions)).toContain(named);
  });

  it.each([
    ['set(tcp(src=1)),set(ipv4(ttl=1)),set(eth(src=02:00:00:00:00:01)),2', 'tcp'],
    ['set(ipv4(ttl=1)),2', 'tcpLater'],
    ['set(tcp(src=1)),pop_vlan,set(ipv4(ttl=1)),2', 'tagged'],
    ['push_vlan(vid=1,pcp=0),push_vlan(tpid=0x88a8,vid=1,pcp=0),set(udp(src=1)),2', 'udp6'],
    ['set(arp(sip=1.1.1.1)),2', 'arp'],
    [
      'push_mpls(label=1,tc=0,ttl=9,bos=1,eth_type=0x8847),set(mpls(label=1,tc=0,ttl=1,bos=1)),pop_mpls(eth_type=0x800),recirc(0x1)',
      'tcp',
    ],
    ['set(nd(target=::1)),2', 'solicit'],
    ['pop_eth,push_eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),2', 'ip'],
    ['clone(pop_eth),set(eth(src=02:00:00:00:00:01)),2', 'ip'],
    [
      'set(skb_mark(0x1)),set(skb_priority(1)),set(tunnel(tun_id=0x1,src=1.1.1.1,dst=2.2.2.2,ttl=64,flags(key))),2',
      'arp',
    ],
    ['', 'ip'],
  ] as const)('%s fits a flow of %s', async (text, flow) => {
    await rig.put(KEYS[flow], text);
  });

  it('are refused for a client’s packet too, which is executed not at all', async () => {
    const packet = ethernet({}, ipv4({ src: '10.0.0.1', dst: '10.0.0.2' }, udp({ src: 1, dst: 2 })));
    const actions = parseActions('2,set(tcp(src=9)),2');
    for (const needsHelp of [false, true]) {
      const refused = rig.dpif.execute({ packet, actions, needsHelp });
      await expect(refused).rejects.toMatchObject({
        code: 'EINVAL',
        message: expect.stringContaining('tcp'),
      });
      expect(rig.device('b').takeTransmitted()).toEqual([]);
    }
    const other = ethernet({}, ipv4({ src: '10.0.0.1', dst: '10.0.0.2' }, tcp({ src: 1, dst: 2 })));
    await rig.dpif.execute({ packet: other, actions });
    await rig.dpif.execute({ packet: other, actions, needsHelp: true });
    expect(rig.device('b').takeTransmitted().length).toBe(4);
    // However long the list: that is what help is for.
    const long = new NlWriter();
    for (let i = 0; i < 9000; i++) long.append(parseActions('2'));
    long.append(parseActions('set(tcp(src=9))'));
    await expect(rig.dpif.execute({ packet, actions: long.finish() })).rejects.toMatchObject({
      code: 'EINVAL',
    });
    expect(rig.device('b').takeTransmitted()).toEqual([]);
  });

  it('are taken when the rules are those of Open vSwitch’s user-space datapath', async () => {
    const lax = await bench({ actionRules: 'openvswitch' });
    await lax.port('a', 1);
    await lax.put(KEYS.arp, 'set(udp(dst=99)),2');
    await lax.put(KEYS.udp, 'userspace(pid=0),70000');
    const arp = { packet: new Uint8Array(60), actions: parseActions('set(tcp(src=9))') };
    for (const needsHelp of [false, true]) await lax.dpif.execute({ ...arp, needsHelp });
    await expect(lax.put(KEYS.tcp, 'dec_ttl(le_1(drop))')).rejects.toThrow();
    await lax.close();
  });
});

describe('actions for what does not exist here', () => {
  it('let packets pass a meter, and lose no more than the copy for a bond or from a tunnel', async () => {
    const lax = await bench({ actionRules: 'openvswitch' });
    await lax.port('a', 1);
    await lax.port('b', 2);
    const packet = ethernet({}, ipv4({ src: '10.0.0.1', dst: '10.0.0.2' }, udp({ src: 1, dst: 2 })));
    const sent = async (actions: string): Promise<number> => {
      await lax.dpif.flowFlush();
      await lax.put('in_port(1),eth(),eth_type(0x0800),ipv4()', actions);
      lax.device('a').inject(packet);
      hits++;
      await eventually(async () => (await lax.dpif.getDpStats()).hit === hits);
      return lax.device('b').takeTransmitted().length;
    };
    let hits = 0;
    const dropped = async (): Promise<number> => (await lax.dpif.portGetDrops(1)).action_unsupported ?? 0;
    expect(await sent('meter(1),2')).toBe(1);
    expect(await dropped()).toBe(0);
    expect(await sent('2,lb_output(1),2')).toBe(2);
    expect(await sent('tnl_pop(4),2')).toBe(1);
    expect(await dropped()).toBe(2);
    // What would go on without its tracking, or its tunnel, must not.
    expect(await sent('ct(commit),2')).toBe(0);
    expect(await dropped()).toBe(3);
    await lax.close();
  });
});

describe('keys and masks that do not fit', () => {
  it.each([
    [`${eth}eth_type(0x0800)`, 'lacks ipv4'],
    [`${eth}eth_type(0x86dd)`, 'lacks ipv6'],
    [`${eth}eth_type(0x0806)`, 'lacks arp'],
    [`${eth}eth_type(0x8847)`, 'lacks mpls'],
    [`${eth}eth_type(0x0800),ipv4(proto=6)`, 'lacks tcp'],
    [`${eth}eth_type(0x0800),ipv4(proto=17)`, 'lacks udp'],
    [`${eth}eth_type(0x86dd),ipv6(proto=58)`, 'lacks icmpv6'],
    [`${eth}eth_type(0x86dd),ipv6(proto=58),icmpv6(type=135,code=0)`, 'lacks nd'],
    [`${eth}eth_type(0x0800),ipv4(proto=17),tcp()`, 'lacks udp'],
    [`${eth}eth_type(0x0800),ipv4(proto=47),tcp()`, 'holds tcp'],
    [`${eth}eth_type(0x88b5),ipv4()`, 'holds ipv4'],
    [`${eth}eth_type(0x8100),vlan(vid=1,pcp=0),encap(eth_type(0x0800))`, 'lacks encap/ipv4'],
    [`${eth}eth_type(0x8847),mpls(label=1,tc=0,ttl=9,bos=0)`, 'mpls'],
    ['in_port(1),eth_type(0x8100),vlan(vid=1,pcp=0),encap(eth_type(0x88b5))', 'no eth'],
  ])('%s', async (text, named) => {
    const { key } = parseFlowKey(text);
    await expect(
      rig.dpif.flowPut({ key, flags: FP_CREATE, actions: parseActions('2') }),
    ).rejects.toMatchObject({
      code: 'EINVAL',
      message: expect.stringContaining(named),
    });
    await expect(rig.dpif.flowDel(key)).rejects.toMatchObject({ code: 'EINVAL' });
  });

  it('an unknown attribute, and one that is there twice', async () => {
    const { key } = parseFlowKey(KEYS.arp);
    const put = (bytes: Uint8Array): Promise<unknown> =>
      rig.dpif.flowPut({ key: bytes, flags: FP_CREATE, actions: parseActions('2') });
    await expect(put(Uint8Array.of(...key, 8, 0, 77, 0, 1, 1, 1, 1))).rejects.toThrow('attribute 77');
    await expect(put(Uint8Array.of(...key, ...key.subarray(0, 8)))).rejects.toThrow(/two \w+ attributes/);
    await expect(put(Uint8Array.of(...key, 7, 0, 2, 0, 1, 1, 1, 0))).rejects.toThrow('skb_priority');
  });

  it.each([
    ['eth_type not exact for ipv4', `${eth}eth_type(0x0800/0xff00),ipv4(src=1.1.1.1)`, 'eth_type'],
    ['proto not exact for udp', `${eth}eth_type(0x0800),ipv4(proto=17/0xf0,frag=no),udp(src=1)`, 'udp'],
    [
      'icmpv6 type not exact for nd',
      `${eth}eth_type(0x86dd),ipv6(proto=58),icmpv6(type=135/0xf0,code=0),nd(target=::1)`,
      'nd',
    ],
    ['in_port not exact', 'in_port(1/0xff),eth(),eth_type(0x88b5)', 'in_port'],
  ])('a mask with %s', async (_what, text, named) => {
    await expect(rig.put(text, '2')).rejects.toMatchObject({
      code: 'EINVAL',
      message: expect.stringContaining(named),
    });
  });

  it('a mask with an attribute that its key does not have', async () => {
    const { key } = parseFlowKey(KEYS.udp);
    const { mask } = parseFlowKey(KEYS.tcp);
    const put = rig.dpif.flowPut({ key, mask, flags: FP_CREATE, actions: parseActions('2') });
    await expect(put).rejects.toMatchObject({ code: 'EINVAL', message: expect.stringContaining('tcp') });
    expect((await rig.dpif.getDpStats()).flows).toBe(0);
  });

  it('more tags than the VLAN limit', async () => {
    const two = `${eth}eth_type(0x88a8),vlan(vid=1,pcp=0),encap(eth_type(0x8100),vlan(vid=2,pcp=0),encap(eth_type(0x88b5)))`;
    await rig.put(two, '2');
    const one = await bench({ vlanLimit: 1 });
    await expect(one.put(two, '2')).rejects.toMatchObject({ code: 'EINVAL' });
    await one.put(`${eth}eth_type(0x88a8),vlan(vid=1,pcp=0),encap(eth_type(0x8100))`, '2');
    await one.close();
  });
});

describe('bounds', () => {
  it('refused puts are counted', async () => {
    const small = await bench({ limits: { maxFlows: 2, maxMasks: 1 } });
    await small.put(`${eth}eth_type(0x88b5)`, '2');
    await expect(
      small.put('in_port(1),eth(src=02:00:00:00:00:01),eth_type(0x88b6)', '2'),
    ).rejects.toMatchObject({
      code: 'ENOSPC',
    });
    await small.put(`${eth}eth_type(0x88b6)`, '2');
    await expect(small.put(`${eth}eth_type(0x88b7)`, '2')).rejects.toMatchObject({ code: 'EFBIG' });
    expect((await small.dpif.getDpStats()).refused).toBe(2);
    await small.close();
  });
});
