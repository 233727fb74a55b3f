/**
 * `dpif/show-dp-features`: what a datapath can do, in Open vSwitch's layout. Found out by trying: flows that no
 * packet can match are put and deleted again.
 */

import { type DpctlContext, datapathNames, openNamed } from '@etherloom/cli';
import { type Dpif, FP_CREATE, PORT_NONE, parseName } from '@etherloom/core';
import { parseActions, parseFlowKey } from '@etherloom/odp-codec';
import type { ControlCommand } from './command.js';

/** A recirculation id that no client chooses: they count up from 1. */
const PROBE = 'recirc_id(0xfffffff0),in_port(0),eth()';
const IPV4 = ',eth_type(0x0800),ipv4(proto=17,frag=no),udp()';
const NO_ACTIONS = new Uint8Array();
/** OVS_ACTION_ATTR_DROP with reason 0: the text "drop" is the empty list. */
const EXPLICIT_DROP = Uint8Array.of(8, 0, 24, 0, 0, 0, 0, 0);

const MAX_SAMPLE_NESTING = 10;
/** EtherType 0x88b5 is IEEE 802's first local experimental one. */
const FRAME = Uint8Array.from(
  { length: 60 },
  (_, i) => [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5][i] ?? 0,
);

/** Whether the datapath takes a flow. */
async function takes(dpif: Dpif, match: string, actions: string | Uint8Array = NO_ACTIONS): Promise<boolean> {
  const { key, mask } = parseFlowKey(PROBE + match);
  const list = typeof actions === 'string' ? parseActions(actions) : actions;
  const [put] = await dpif.operate([
    { type: 'flowPut', flags: FP_CREATE, key, mask, actions: list },
    { type: 'flowDel', key },
  ]);
  return put?.error === undefined;
}

/** How far `holds` goes from 1 on, up to `most`. */
async function count(most: number, holds: (n: number) => Promise<boolean>): Promise<number> {
  for (let n = 1; n <= most; n++) if (!(await holds(n))) return n - 1;
  return most;
}

const samples = (depth: number): string =>
  depth === 0 ? '1' : `sample(sample=50.0%,actions(${samples(depth - 1)}))`;
const vlans = (tags: number): string =>
  tags === 0
    ? IPV4
    : `,eth_type(0x${tags === 1 ? '8100' : '88a8'}),vlan(vid=1,pcp=0),encap(${vlans(tags - 1).slice(1)})`;
const labels = (depth: number): string =>
  `,eth_type(0x8847),mpls(${Array.from({ length: depth }, (_, i) => `label=1,tc=0,ttl=64,bos=${i === depth - 1 ? 1 : 0}`).join(',')})`;

type Probe = (dpif: Dpif) => Promise<boolean | number>;

const action =
  (list: string | Uint8Array): Probe =>
  (dpif) =>
    takes(dpif, IPV4, list);
/**
 * An action that a datapath may take without being able to do it, which it finds out with the packet. So it is done to one of no
 * protocol, from no port; the drop is counted there.
 */
const performed =
  (list: string): Probe =>
  async (dpif) => {
    const refused = async (): Promise<number> => (await dpif.portGetDrops(PORT_NONE)).action_unsupported ?? 0;
    if (!(await takes(dpif, IPV4, list))) return false;
    const before = await refused();
    const [done] = await dpif.operate([{ type: 'execute', packet: FRAME, actions: parseActions(list) }]);
    return done?.error === undefined && (await refused()) === before;
  };
const match =
  (text: string): Probe =>
  (dpif) =>
    takes(dpif, text);

/** In Open vSwitch's order. */
const FEATURES: readonly (readonly [string, Probe])[] = [
  ['Masked set action', action('set(eth(dst=02:00:00:00:00:00/ff:00:00:00:00:00))')],
  ['Tunnel push pop', performed('tnl_pop(1)')],
  // Between client and datapath flows are known by their keys.
  ['Ufid', async () => false],
  ['Truncate action', action('trunc(100)')],
  ['Clone action', action('clone(1)')],
  ['Sample nesting', (dpif) => count(MAX_SAMPLE_NESTING, (n) => takes(dpif, IPV4, samples(n)))],
  ['Conntrack eventmask', performed('ct(commit)')],
  ['Conntrack clear', performed('ct_clear')],
  ['Max dp_hash algorithm', async (dpif) => Number(await takes(dpif, IPV4, 'hash(sym_l4(0))'))],
  ['Check pkt length action', action('check_pkt_len(size=200,gt(1),le(2))')],
  ['Conntrack timeout policy', performed('ct(commit,timeout=probe)')],
  ['Explicit Drop action', action(EXPLICIT_DROP)],
  ['Optimized Balance TCP mode', performed('lb_output(1)')],
  ['Conntrack all-zero IP SNAT', performed('ct(commit,nat(src=0.0.0.0))')],
  ['MPLS Label add', action('add_mpls(label=1,tc=0,ttl=64,bos=1,eth_type=0x8847)')],
  ['Max VLAN headers', (dpif) => count(2, (n) => takes(dpif, vlans(n)))],
  ['Max MPLS depth', (dpif) => count(3, (n) => takes(dpif, labels(n)))],
  ['Recirc', match(IPV4)],
  ['CT state', match(`,ct_state(+trk)${IPV4}`)],
  ['CT zone', match(`,ct_zone(1)${IPV4}`)],
  ['CT mark', match(`,ct_mark(1)${IPV4}`)],
  ['CT label', match(`,ct_label(1)${IPV4}`)],
  ['CT state NAT', match(`,ct_state(+trk+snat)${IPV4}`)],
  [
    'CT orig tuple',
    match(`,ct_state(+trk),ct_tuple4(src=1.1.1.1,dst=1.1.1.2,proto=6,tp_src=1,tp_dst=2)${IPV4}`),
  ],
  [
    'CT orig tuple for IPv6',
    match(
      ',ct_state(+trk),ct_tuple6(src=::1,dst=::2,proto=6,tp_src=1,tp_dst=2),eth_type(0x86dd),ipv6(proto=17,frag=no),udp()',
    ),
  ],
  [
    'IPv6 ND Extension',
    match(
      ',eth_type(0x86dd),ipv6(proto=58,frag=no),icmpv6(type=135,code=0),nd(target=::1),nd_ext(nd_reserved=0x1,nd_options_type=1)',
    ),
  ],
];

export function featureCommands(context: DpctlContext): ControlCommand[] {
  return [
    {
      name: 'dpif/show-dp-features',
      usage: 'bridge',
      minArgs: 1,
      maxArgs: 1,
      async run([name]) {
        const found = (await datapathNames(context.dpifs)).find(
          (full) => full === name || parseName(full).name === name,
        );
        if (found === undefined) throw new Error('no such bridge');
        const dpif = await openNamed(context, found);
        try {
          const features: Record<string, boolean | number> = {};
          for (const [feature, probe] of FEATURES) features[feature] = await probe(dpif);
          const lines = Object.entries(features).map(
            ([feature, has]) => `${feature}: ${typeof has === 'number' ? has : has ? 'Yes' : 'No'}\n`,
          );
          return { text: lines.join(''), json: features };
        } finally {
          await dpif.close();
        }
      },
    },
  ];
}
