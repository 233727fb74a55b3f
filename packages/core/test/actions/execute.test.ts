/** Who gets the packet, who owns its frame, and what is counted: readable examples of the executor's contract. */

import { encodeActions, parseActions, W_CT_MARK, W_DP_HASH, W_SKB_MARK } from '@etherloom/odp-codec';
import { ethernet, hex, icmp, ipv4, pattern, raw, udp, unhex } from '@etherloom/testkit';
import { describe, expect, it } from 'vitest';
import { compileActions } from '../../src/actions/compile.js';
import { EXTENSION_CONTINUE, EXTENSION_DELIVERED, EXTENSION_TAKEN } from '../../src/actions/program.js';
import {
  DROP_ACTION_FAILED,
  DROP_ACTION_UNSUPPORTED,
  DROP_EXPLICIT,
  DROP_FLOW,
  DROP_NO_FRAME,
  DROP_NO_HEADROOM,
} from '../../src/drops.js';
import { FRAME_HEADROOM } from '../../src/packet/arena.js';
import { Bench } from './harness.js';

const NO_LEAKS = { frames: 0, refs: 0 };
const plain = ethernet({}, raw(0x1234, pattern(50)));

describe('the frame', () => {
  it('goes with the last action of the list, and only with that', () => {
    const bench = new Bench().run(plain, '1,clone(2,3),4');
    expect(bench.calls.map(({ operand, last }) => [operand, last])).toEqual([
      [1, false],
      [2, false],
      [3, true],
      [4, true],
    ]);
    expect(bench.leaks()).toEqual(NO_LEAKS);
  });

  it('goes with the last action of a nested list at the end, which needs no copy', () => {
    const bench = new Bench({ frames: 1, largeFrames: 0 }).run(
      plain,
      'clone(push_vlan(vid=1,pcp=0),clone(1))',
    );
    expect(bench.calls.map(({ operand, last }) => [operand, last])).toEqual([[1, true]]);
    expect(bench.leaks()).toEqual(NO_LEAKS);
  });

  it('is copied before a change when somebody else has it, and not otherwise', () => {
    const bench = new Bench({ keeps: (call) => call === 1 });
    bench.run(plain, '1,push_vlan(vid=1,pcp=0),2,set(eth(src=0a:00:00:00:00:00)),3');
    const [first, second, third] = bench.calls.map((call) => hex(call.bytes));
    expect(first).toBe(hex(plain));
    expect(second!.slice(24, 32)).toBe('81000001');
    expect(third!.slice(12, 24)).toBe('0a0000000000');
    expect(bench.releaseKept()).toBe(0);
    expect(bench.leaks()).toEqual(NO_LEAKS);
  });

  it('stays with a caller that keeps the packet', () => {
    const bench = new Bench();
    bench.load(plain);
    bench.executor.run(compileActions(parseActions('push_vlan(vid=5,pcp=0)')), true);
    const { packet } = bench.executor;
    expect(packet.length).toBe(plain.length + 4);
    expect(bench.drops).toEqual([]);
    bench.pool.release(packet.data);
    expect(bench.leaks()).toEqual(NO_LEAKS);
  });

  it('moves to another one when its headroom is used up', () => {
    const pushes = FRAME_HEADROOM / 4 + 3;
    const bench = new Bench().run(plain, `${'push_vlan(vid=7,pcp=0),'.repeat(pushes)}1`);
    const [sent] = bench.sent();
    expect(sent!.length).toBe(plain.length + pushes * 4);
    expect(hex(sent!)).toBe(hex(plain.subarray(0, 12)) + '81000007'.repeat(pushes) + hex(plain.subarray(12)));
    expect(bench.leaks()).toEqual(NO_LEAKS);
  });

  it('may grow to the longest packet, and not beyond', () => {
    const bench = new Bench().run(new Uint8Array(65_533), 'push_vlan(vid=1,pcp=0),1');
    expect(bench.calls).toEqual([]);
    expect(bench.drops).toEqual([DROP_NO_HEADROOM]);
    expect(bench.leaks()).toEqual(NO_LEAKS);
  });
});

describe('a drop', () => {
  const dropped = (bench: Bench): number[] => {
    expect(bench.leaks()).toEqual(NO_LEAKS);
    return bench.drops;
  };

  it('is counted for a list that hands the packet to nobody', () => {
    expect(dropped(new Bench().run(plain, 'set(skb_mark(1))'))).toEqual([DROP_FLOW]);
    expect(dropped(new Bench().run(plain, compileActions(new Uint8Array(0))))).toEqual([DROP_FLOW]);
    expect(dropped(new Bench().run(plain, 'sample(sample=0%,actions(1))'))).toEqual([DROP_FLOW]);
  });

  it('is counted once for a drop action, and not at all when the packet went out before', () => {
    const drop = compileActions(
      encodeActions([
        { type: 'drop', reason: 3 },
        { type: 'output', port: 1 },
      ]),
    );
    const bench = new Bench().run(plain, drop);
    expect(dropped(bench)).toEqual([DROP_EXPLICIT]);
    expect(bench.calls).toEqual([]);
    const late = compileActions(
      encodeActions([
        { type: 'output', port: 1 },
        { type: 'drop', reason: 3 },
      ]),
    );
    expect(dropped(new Bench().run(plain, late))).toEqual([]);
  });

  it('is counted for a copy that finds no frame; the packet goes on', () => {
    const bench = new Bench({ frames: 1, largeFrames: 0 }).run(plain, 'clone(pop_vlan,1),2');
    expect(dropped(bench)).toEqual([DROP_NO_FRAME]);
    expect(bench.sent(2)).toEqual([plain]);
  });

  it('is counted for an action that the packet does not allow', () => {
    const pushEth = encodeActions([
      { type: 'push_eth', src: '02:00:00:00:00:01', dst: '02:00:00:00:00:02' },
      { type: 'output', port: 1 },
    ]);
    const bench = new Bench().run(plain, compileActions(pushEth));
    expect(dropped(bench)).toEqual([DROP_ACTION_FAILED]);
    expect(bench.calls).toEqual([]);
  });
});

describe('an extension', () => {
  const run = (verdict: number, actions: string): Bench => {
    const bench = new Bench({
      extension: (packet) => {
        if (verdict === EXTENSION_TAKEN) bench.pool.release(packet.data);
        return verdict;
      },
    });
    return bench.run(plain, actions);
  };

  it.each([
    ['lets the packet pass', EXTENSION_CONTINUE, 'meter(1),2', [2], []],
    ['lets it pass to nobody', EXTENSION_CONTINUE, 'meter(1)', [], [DROP_FLOW]],
    ['has sent a copy', EXTENSION_DELIVERED, 'lb_output(1)', [], []],
    ['has taken it', EXTENSION_TAKEN, 'tnl_pop(4),2', [], []],
    ['drops it', DROP_ACTION_FAILED, 'meter(1),2', [], [DROP_ACTION_FAILED]],
    ['is not there', DROP_ACTION_UNSUPPORTED, 'clone(ct(commit),3),2', [2], [DROP_ACTION_UNSUPPORTED]],
  ])('%s', (_, verdict, actions, ports, drops) => {
    const bench = run(verdict, actions);
    expect(bench.calls.filter(({ what }) => what === 'output').map(({ operand }) => operand)).toEqual(ports);
    expect(bench.drops).toEqual(drops);
    expect(bench.leaks()).toEqual(NO_LEAKS);
  });
});

describe('truncation', () => {
  const cuts = (actions: string): number[][] =>
    new Bench().run(plain, actions).calls.map(({ operand, cut }) => [operand, cut]);

  it('cuts the next output only, and never into the Ethernet header', () => {
    expect(cuts('trunc(20),1,2')).toEqual([
      [1, 44],
      [2, 0],
    ]);
    expect(cuts('trunc(0),1')).toEqual([[1, 50]]);
    expect(cuts('trunc(64),1')).toEqual([[1, 0]]);
  });

  it('goes with a clone, and stays in front of a sample', () => {
    expect(cuts('trunc(20),clone(1),2')).toEqual([
      [1, 44],
      [2, 0],
    ]);
    expect(cuts('trunc(20),sample(sample=100%,actions(1)),2')).toEqual([
      [1, 0],
      [2, 44],
    ]);
  });

  it('counts for check_pkt_len', () => {
    expect(cuts('trunc(20),check_pkt_len(size=20,gt(1),le(2))')).toEqual([[2, 0]]);
    expect(cuts('check_pkt_len(size=63,gt(1),le(2))')).toEqual([[1, 0]]);
  });
});

describe('metadata', () => {
  it('that a nested list sets is its own', () => {
    const bench = new Bench().run(
      plain,
      'set(skb_mark(5)),clone(set(skb_mark(6)),1,clone(set(skb_mark(7)),2),3),4',
    );
    expect(bench.calls.map(({ operand, metadata }) => [operand, metadata[W_SKB_MARK]])).toEqual([
      [1, 6],
      [2, 7],
      [3, 6],
      [4, 5],
    ]);
  });

  it('of connection tracking is gone after ct_clear', () => {
    const bench = new Bench();
    bench.load(plain);
    bench.executor.packet.metadata[W_CT_MARK] = 9;
    bench.executor.run(compileActions(encodeActions([{ type: 'ct_clear' }, { type: 'output', port: 1 }])));
    expect(bench.calls[0]!.metadata[W_CT_MARK]).toBe(0);
  });

  it('does not keep tunnel options of the packet before', () => {
    const bench = new Bench();
    bench.run(
      plain,
      'set(tunnel(dst=2.2.2.2,ttl=64,geneve({class=0xffff,type=0x80,len=4,0xa}),flags(key))),1',
    );
    const withOptions = bench.calls[0]!.metadata;
    bench.run(plain, '1');
    expect(withOptions.some((word, at) => at >= 77 && word !== 0)).toBe(true);
    expect(bench.calls[0]!.metadata.slice(59).every((word) => word === 0)).toBe(true);
  });

  it('gets the same symmetric hash in both directions, and never 0', () => {
    const hashOf = (frame: Uint8Array, algorithm: 'l4' | 'sym_l4'): number =>
      new Bench().run(frame, `hash(${algorithm}(7)),1`).calls[0]!.metadata[W_DP_HASH]!;
    const there = ethernet({}, ipv4({ src: '10.0.0.1', dst: '10.0.0.2' }, udp({ src: 1, dst: 2 })));
    const back = ethernet({}, ipv4({ src: '10.0.0.2', dst: '10.0.0.1' }, udp({ src: 2, dst: 1 })));
    const ping = ethernet({}, ipv4({ src: '10.0.0.1', dst: '10.0.0.2' }, icmp({ type: 8 })));
    const pong = ethernet({}, ipv4({ src: '10.0.0.2', dst: '10.0.0.1' }, icmp({ type: 0 })));
    expect(hashOf(there, 'sym_l4')).toBe(hashOf(back, 'sym_l4'));
    expect(hashOf(ping, 'sym_l4')).toBe(hashOf(pong, 'sym_l4'));
    expect(hashOf(there, 'l4')).not.toBe(hashOf(back, 'l4'));
    expect(hashOf(plain, 'l4')).not.toBe(0);
  });
});

describe('sample', () => {
  it('takes about as many packets as it says', () => {
    const bench = new Bench({ seed: 12_345 });
    const program = compileActions(
      encodeActions([{ type: 'sample', probability: 0x4000_0000, actions: [{ type: 'output', port: 1 }] }]),
    );
    let taken = 0;
    for (let i = 0; i < 4000; i++) taken += bench.run(plain, program).sent().length;
    // 1000 expected; 5 standard deviations are 137.
    expect(Math.abs(taken - 1000)).toBeLessThan(137);
  });
});

describe('an IPv4 fragment other than the first', () => {
  // Byte 12 is 0x50, a fine TCP data offset: the payload could be taken for any of the headers.
  const payload = pattern(64, 0x44);
  const laterOf = (proto: number) =>
    ethernet({}, ipv4({ src: '10.0.0.1', dst: '10.0.0.2', proto, fragmentOffset: 1480 }, payload));

  it.each([
    [6, 'set(tcp(src=9,dst=10)),1'],
    [17, 'set(udp(src=9,dst=10)),1'],
    [132, 'set(sctp(src=9,dst=10)),1'],
    [1, 'set(icmp(type=3,code=1)),1'],
    [6, 'set(tcp(src=9/0xff)),1'],
  ])('of protocol %i is not touched by %s', (proto, actions) => {
    const later = laterOf(proto);
    const bench = new Bench();
    expect(hex(bench.run(later, actions).sent()[0]!)).toBe(hex(later));
    // Only who asks for the letter of Open vSwitch gets the payload rewritten.
    bench.executor.packet.protectFragments = false;
    expect(hex(bench.run(later, actions).sent()[0]!)).not.toBe(hex(later));
  });

  it('keeps its payload when an address changes', () => {
    const later = laterOf(17);
    const [sent] = new Bench().run(later, 'set(ipv4(src=10.9.9.9)),1').sent();
    expect(hex(sent!.subarray(34))).toBe(hex(payload));
    expect(hex(sent!.subarray(26, 30))).toBe('0a090909');
  });
});

it('refuses an NSH that takes up all of the packet', () => {
  const empty = unhex('0fc2 02 03 000001ff');
  const bench = new Bench().run(empty, 'pop_nsh(),1', 0x1_894f);
  expect(bench.drops).toEqual([DROP_ACTION_FAILED]);
  expect(bench.leaks()).toEqual(NO_LEAKS);
});
