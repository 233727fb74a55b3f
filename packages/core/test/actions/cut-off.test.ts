/** Headers that the packet cuts off, or that nobody parsed: what Open vSwitch does to them, checked on the real one. */

import { hex, unhex } from '@etherloom/testkit';
import { expect, it } from 'vitest';
import { DROP_ACTION_FAILED } from '../../src/drops.js';
import { Bench } from './harness.js';

const ETH = '101112131415000102030405';
const NSH = 'push_nsh(flags=0,ttl=63,mdtype=1,np=3,spi=0x1,si=30,c1=0x0,c2=0x0,c3=0x0,c4=0x0)';

it.each([
  // Less than an IPv6 header is there to be set; the destination ends behind the packet.
  [
    'set(ipv6(dst=2001:db8::2))',
    '08060001080006040001000f101112130102030400141516171805060708',
    '08060001080006040001000f101112130102030400141516171820010db8',
  ],
  ['set(ipv6(tclass=0xe3,hlimit=9))', '86dd60', '86dd6e'],
  // TOS without the checksum field behind it, and addresses with the field but without what follows.
  ['set(ipv4(tos=0x50/0xf0,ttl=9))', '0800450a', '0800455a'],
  ['set(ipv4(src=1.2.3.4))', '080045000027123400004011973d23080229', '080045000027123400004011b86801020304'],
  // One byte of a label stack entry, and one of an ARP address.
  ['set(mpls(label=1048575,tc=7,ttl=255,bos=1))', '884700', '8847ff'],
  ['set(arp(sha=01:02:03:04:05:06))', '08060001080006040001aa', '0806000108000604000101'],
  // No Ethernet header: too short for one; out of an NSH and not parsed again.
  ['set(eth(src=02:00:00:00:00:01))', '25', '25'],
  [`${NSH},pop_nsh(),set(eth(src=02:00:00:00:00:01)),pop_vlan`, '81000001080045', '81000001080045'],
])('%s on ..%s gives ..%s', (actions, before, after) => {
  const [sent] = new Bench().run(unhex(ETH + before), `${actions},1`).sent();
  expect(hex(sent!)).toBe(ETH + after);
});

it('pop_nsh behind a tag reads the NSH at the network layer, where there is none', () => {
  const bench = new Bench().run(unhex(`${ETH}0800`), `${NSH},push_vlan(vid=4,pcp=1),pop_nsh(),1`);
  expect(bench.calls).toEqual([]);
  expect(bench.drops).toEqual([DROP_ACTION_FAILED]);
  expect(bench.leaks()).toEqual({ frames: 0, refs: 0 });
});
