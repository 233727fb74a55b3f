/** What compiles, what does not and why, and what a caller learns about a list without running it. */

import { ACTION_ATTR, KEY_ATTR, NlWriter, parseActions, USERSPACE_ATTR } from '@etherloom/odp-codec';
import { hex } from '@etherloom/testkit';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileActions } from '../../src/actions/compile.js';
import { FLAG_LAST, OP_OUTPUT } from '../../src/actions/execute.hot.js';
import { MAX_ACTION_NESTING } from '../../src/actions/nesting.hot.js';
import { isDpifError } from '../../src/errors.js';
import { actionList } from './arbitraries.js';

const compile = (text: string) => compileActions(parseActions(text));

function attribute(type: number, payload: readonly number[] = []): Uint8Array {
  const out = new NlWriter();
  out.put(type, Uint8Array.from(payload));
  return out.finish();
}

describe('a program says of its list', () => {
  it('the ports, when it consists of outputs', () => {
    expect(compile('1,7,4294967295').outputsOnly).toEqual(Int32Array.of(1, 7, -1));
    expect(compileActions(new Uint8Array(0)).outputsOnly).toEqual(new Int32Array(0));
    expect(compile('1,clone(2)').outputsOnly).toBeUndefined();
    expect(compile('set(skb_mark(1)),2').outputsOnly).toBeUndefined();
  });

  it.each([
    ['1,recirc(2)', false],
    ['set(skb_mark(1)),trunc(20),1', false],
    ['clone(set(eth(src=02:00:00:00:00:01)),1),2', true],
    ['ct(commit),1', true],
  ])('whether %s changes bytes of the packet: %s', (text, modifies) => {
    expect(compile(text).modifies).toBe(modifies);
  });

  it.each([
    ['1,push_vlan(vid=1,pcp=0),set(eth(src=02:00:00:00:00:01)),pop_vlan,recirc(1)', false],
    [
      'set(ipv4(src=10.0.0.1)),set(tcp(dst=5)),userspace(pid=1),clone(2),sample(sample=50%,actions(3))',
      false,
    ],
    ['check_pkt_len(size=100,gt(1),le(2))', false],
    ['1,trunc(100),2', true],
    ['clone(trunc(100),2)', true],
    ['push_mpls(label=1,tc=0,ttl=64,bos=1,eth_type=0x8847),1', true],
    ['add_mpls(label=1,tc=0,ttl=64,bos=1,eth_type=0x8847),1', true],
    ['pop_mpls(eth_type=0x800),1', true],
    ['push_nsh(flags=0,ttl=63,mdtype=1,np=3,spi=0x1,si=255,c1=0x1,c2=0x2,c3=0x3,c4=0x4),1', true],
    ['pop_nsh(),1', true],
    ['ct(commit),1', true],
  ])('whether %s needs resolved packets: %s', (text, needsResolved) => {
    expect(compile(text).needsResolved).toBe(needsResolved);
  });

  it('what an upcall needs, with bytes of its own', () => {
    const out = new NlWriter();
    const first = out.begin(ACTION_ATTR.USERSPACE);
    out.u32(USERSPACE_ATTR.PID, 9);
    out.put(USERSPACE_ATTR.USERDATA, Uint8Array.of(10, 11));
    out.u32(USERSPACE_ATTR.EGRESS_TUN_PORT, 4);
    out.flag(USERSPACE_ATTR.ACTIONS);
    out.end(first);
    const second = out.begin(ACTION_ATTR.USERSPACE);
    out.u32(USERSPACE_ATTR.PID, 1);
    out.end(second);
    const bytes = out.finish();
    const { userspace, actions } = compileActions(bytes);
    const copy = hex(bytes);
    bytes.fill(0);
    expect(hex(actions)).toBe(copy);
    expect(userspace.map(({ attribute: _, ...rest }) => rest)).toEqual([
      { pid: 9, userdata: Uint8Array.of(10, 11), egressTunnelPort: 4, withActions: true },
      { pid: 1, withActions: false },
    ]);
    expect(userspace.map((action) => hex(action.attribute)).join('')).toBe(copy);
  });

  it("which actions are the host's: a sample with psample in it is, one without is not", () => {
    const types = (text: string) => compile(text).extensions.map(({ type }) => type);
    expect(types('sample(sample=50%,actions(psample(group=1))),meter(3)')).toEqual([
      ACTION_ATTR.SAMPLE,
      ACTION_ATTR.METER,
    ]);
    expect(types('sample(sample=50%,actions(1))')).toEqual([]);
  });
});

describe('a list is refused', () => {
  const none: number[] = [];
  it.each([
    ['an unknown action', attribute(77), 'EINVAL', 'action 77 is unknown'],
    [
      'a wrong length',
      attribute(ACTION_ATTR.OUTPUT, [1, 0]),
      'EINVAL',
      'action output has 2 bytes of payload; it must have 4',
    ],
    [
      'bytes behind the last action',
      Uint8Array.of(1, 2, 3),
      'EINVAL',
      'action list ends in 3 bytes that are no action',
    ],
    ['a set of nothing', attribute(ACTION_ATTR.SET), 'EINVAL', 'action set holds no key attribute'],
    [
      'a key that nothing can set',
      attribute(ACTION_ATTR.SET, [6, 0, KEY_ATTR.VLAN, 0, 0, 5, 0, 0]),
      'EINVAL',
      `action set cannot be applied to key attribute ${KEY_ATTR.VLAN}`,
    ],
    [
      'a mask for what has none',
      attribute(ACTION_ATTR.SET_MASKED, [8, 0, KEY_ATTR.ICMP, 0, 0, 5, 0, 0]),
      'EINVAL',
      `action set_masked cannot be applied to key attribute ${KEY_ATTR.ICMP}`,
    ],
    [
      'a key of a wrong length',
      attribute(ACTION_ATTR.SET, [6, 0, KEY_ATTR.TCP, 0, 0, 5, 0, 0]),
      'EINVAL',
      'action set of tcp has 2 bytes of key; it must have 4',
    ],
    [
      'a hash that nobody knows',
      attribute(ACTION_ATTR.HASH, [9, 0, 0, 0, 0, 0, 0, 0]),
      'EINVAL',
      'action hash has unknown algorithm 9',
    ],
    ['half a check_pkt_len', attribute(ACTION_ATTR.CHECK_PKT_LEN, none), 'EINVAL', /must have a size/],
    ['a kernel action', attribute(ACTION_ATTR.DEC_TTL, none), 'EOPNOTSUPP', /dec_ttl is not supported/],
  ])('for %s', (_, bytes, code, message) => {
    expect(() => compileActions(bytes)).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) }),
    );
  });

  it("when it nests deeper than the executor's stack", () => {
    const nest = (depth: number): Uint8Array => {
      let list = attribute(ACTION_ATTR.OUTPUT, [1, 0, 0, 0]);
      for (let i = 0; i < depth; i++) list = attribute(ACTION_ATTR.CLONE, [...list]);
      return list;
    };
    expect(compileActions(nest(MAX_ACTION_NESTING)).code).toContain(OP_OUTPUT | FLAG_LAST);
    expect(() => compileActions(nest(MAX_ACTION_NESTING + 1))).toThrow(/nested deeper than 32 levels/);
  });

  it('with a DpifError and nothing else, however it is damaged', () => {
    const damaged = fc.tuple(
      actionList,
      fc.array(fc.tuple(fc.nat(300), fc.nat(255)), { maxLength: 3 }),
      fc.nat(8),
    );
    fc.assert(
      fc.property(damaged, ([text, changes, cut]) => {
        const bytes = parseActions(text);
        for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
        try {
          compileActions(bytes.subarray(0, bytes.length - Math.min(cut, bytes.length)));
        } catch (error) {
          if (!isDpifError(error)) throw error;
        }
      }),
      { numRuns: 800 },
    );
  });
});
