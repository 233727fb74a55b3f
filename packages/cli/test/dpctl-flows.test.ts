/** dpctl: flows by UFID, selected dumps, files of flows, and the commands about action lists. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DP, FLOW, Rig } from './rig.js';

let dpctl: Rig['dpctl'];
let text: Rig['text'];
let failure: Rig['failure'];
beforeEach(async () => {
  ({ dpctl, text, failure } = await Rig.create());
});

describe('UFIDs', () => {
  it('follow from the key, and name flows for get-flow and del-flow', async () => {
    await dpctl('add-flow', 'eth(),eth_type(0x0800),in_port(p1),ipv4(frag=no)', '2');
    await dpctl('add-flow', 'in_port(2),eth(),eth_type(0x88cc)', 'drop');
    const dump = await text('dump-flows', '-m');
    const ufids = [...dump.matchAll(/^ufid:([0-9a-f-]{36}), /gm)].map(([, ufid = '']) => ufid);
    expect(new Set(ufids).size).toBe(2);
    const arp = dump
      .split('\n')
      .find((line) => line.includes('0x88cc'))!
      .slice('ufid:'.length, 'ufid:'.length + 36);
    expect(await text('get-flow', DP, `ufid:${arp.toUpperCase()}`)).toBe(
      'recirc_id(0),in_port(2),eth(),eth_type(0x88cc), packets:0, bytes:0, used:never, actions:drop\n',
    );
    await dpctl('del-flow', `ufid:${arp}`);
    expect((await failure('get-flow', `ufid:${arp}`)).ovs).toBe(
      'vs: getting flow (No such file or directory)\n',
    );
    // The same key again, in any spelling, has the same name.
    await dpctl('add-flow', 'recirc_id(0),eth(),in_port(2),eth_type(0x88cc)', '1');
    expect(await text('get-flow', `ufid:${arp}`)).toContain('actions:1\n');
    expect(await failure('get-flow', 'ufid:xyz')).toMatchObject({
      ovs: 'vs: parsing flow ufid (Invalid argument)\n',
      sentence: expect.stringContaining('32 hexadecimal digits'),
    });
  });
});

describe('dump-flows', () => {
  beforeEach(async () => {
    await dpctl('add-flow', FLOW, '2');
    await dpctl('add-flow', 'in_port(p2),eth(),eth_type(0x0806),arp()', '1');
  });

  it('shows the flows that are asked for', async () => {
    expect(await text('dump-flows', 'filter=arp')).toMatch(/^flow-dump.*\n.*0x0806.*\n$/);
    expect(await text('dump-flows', DP, 'filter=in_port=p1', 'type=ovs,tc')).toMatch(
      /^flow-dump.*\n.*0x0800.*\n$/,
    );
    // With pmd= there is one thread, and no title.
    expect(await text('dump-flows', 'pmd=-1')).not.toContain('flow-dump');
    for (const none of ['pmd=3', 'type=offloaded', 'filter=udp6'])
      expect(await text('dump-flows', none)).toBe('');
  });

  it('refuses selections that mean nothing', async () => {
    expect((await failure('dump-flows', 'filter=nw_proto=17')).ovs).toBe(
      'vs: Failed to parse filter (nw_proto=17: prerequisites not met for setting nw_proto)\n',
    );
    expect(await failure('dump-flows', 'type=ovs,none')).toMatchObject({
      ovs: 'vs: Failed to parse type (none) (Invalid argument)\n',
      sentence: expect.stringContaining('unknown type "none"'),
    });
    expect((await failure('dump-flows', 'pmd=x')).sentence).toContain('"pmd=x" names no thread');
  });
});

describe('files of flows', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'dpctl-'));
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  function file(...lines: string[]): string {
    const path = join(directory, 'flows');
    writeFileSync(path, lines.map((line) => `${line}\n`).join(''));
    return path;
  }

  it('are added, changed and deleted line by line', async () => {
    const other = 'in_port(2),eth(),eth_type(0x88cc)';
    await dpctl('add-flows', DP, file('# two flows', `${FLOW} 2,1`, '', `add ${other} drop # the second`));
    expect((await dpctl('dump-flows')).json).toHaveProperty('flows.length', 2);
    await dpctl('mod-flows', file(`${FLOW} 1`, `delete ${other}`));
    expect((await dpctl('dump-flows')).json).toMatchObject({ flows: [{ actions: '1' }] });
    await dpctl('del-flows', DP, file(FLOW));
    expect(await text('dump-flows')).toBe('');
  });

  it('go on after a line that fails, which Open vSwitch tolerates', async () => {
    const lines = [`${FLOW} 2`, 'foo bar', 'in_port(1)', `${FLOW} 3`, 'in_port(2),eth(),eth_type(0x88cc) 1'];
    const failed = await failure('add-flows', DP, file(...lines));
    expect(failed.ovs).toBe(
      'vs: parsing flow key (syntax error at foo) (Invalid argument)\n' +
        'vs: Failed parsing line number 3, skipped!\n' +
        'vs: updating flow table (File exists)\n',
    );
    expect(failed.tolerated).toBe(true);
    expect((await dpctl('dump-flows')).json).toHaveProperty('flows.length', 2);
    const missing = join(directory, 'nosuch');
    expect(await failure('add-flows', missing)).toMatchObject({
      ovs: `vs: Opening file "${missing}" failed (No such file or directory)\n`,
      tolerated: true,
    });
  });
});

describe('action lists', () => {
  const PING = 'in_port(1),eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02)';
  const IP = `${PING},eth_type(0x0800),ipv4(src=10.0.0.2,dst=10.0.0.1,proto=17,tos=0,ttl=64,frag=no),udp(src=1,dst=2)`;
  const TAGGED = `${PING},eth_type(0x8100),vlan(vid=9,pcp=2),encap(eth_type(0x1234))`;

  it.each([
    [
      IP,
      '3,1,set(eth(src=02:00:00:00:00:09)),2,1',
      'no vlan: no mpls: 1,3,set(eth(src=02:00:00:00:00:09)),1,2\n',
    ],
    [IP, '2,push_vlan(vid=5,pcp=1),3,pop_vlan,1', 'no vlan: no mpls: 1,2\nvlan(vid=5,pcp=1): no mpls: 3\n'],
    [IP, 'push_vlan(vid=5,pcp=1),pop_vlan', ''],
    [
      TAGGED,
      'push_vlan(tpid=0x88a8,vid=1,pcp=0),2',
      'vlan(tpid=0x88a8,vid=1,pcp=0): vlan(vid=9,pcp=2): no mpls: 2\n',
    ],
    [TAGGED, 'pop_vlan,drop', 'no vlan: no mpls: drop\n'],
  ])('are sorted by the tags that they see: %s %s', async (flow, actions, lines) => {
    expect(await text('normalize-actions', flow, actions)).toBe(`input flow: ${flow}\n${lines}`);
    expect(await text('parse-actions', actions)).toMatch(/^\S+\n$/);
  });

  it('say what was read before they fail', async () => {
    expect((await failure('normalize-actions', IP, 'foo')).ovs).toBe(
      `input flow: ${IP}\nvs: odp_actions_from_string (Invalid argument)\n`,
    );
    expect((await failure('normalize-actions', 'in_port(1),eth(),eth_type(0x0800)', '1')).ovs).toMatch(
      /\nvs: odp_flow_key_to_flow failed \(reason unknown\) \(No such file or directory\)\n$/,
    );
  });
});

describe('what a datapath does not have', () => {
  it('is a clear error', async () => {
    expect(await failure('ct-get-maxconns', DP)).toMatchObject({
      ovs: 'vs: maxconns could not be retrieved (Operation not supported)\n',
      sentence: '"ct-get-maxconns" does nothing here: the datapath has no connection tracking',
    });
  });
});
