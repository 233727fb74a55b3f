/** The commands of `etherloom`: what each is called, what it takes, and how its answer is shown. */

import type { JsonValue } from '../unixctl/protocol.js';
import { readFdb, readShow } from './answers.js';
import { renderFdb, renderShow, type Screen } from './render.js';

/** Which arguments name a datapath: none, the first, the first when all arguments are given, or all. */
export type DatapathArguments = 'none' | 'new' | 'first' | 'optional' | 'all';

export interface CliOption {
  /** Long name without dashes, as node:util's parseArgs wants it. */
  readonly name: string;
  readonly short?: string;
  readonly help: string;
}

export interface CliCommand {
  readonly name: string;
  /** The control command that does it. */
  readonly method: string;
  /** Arguments as help shows them. */
  readonly usage: string;
  readonly minArgs: number;
  readonly maxArgs: number;
  readonly datapaths: DatapathArguments;
  readonly summary: string;
  readonly options: readonly CliOption[];
  readonly examples: readonly string[];
  /** Makes what people read of the JSON answer; without it the daemon's text is printed as it is. */
  render?(answer: JsonValue, screen: Screen, options: ReadonlySet<string>): string;
}

const STATISTICS: CliOption = { name: 'statistics', short: 's', help: 'print statistics too' };
const MORE: CliOption = {
  name: 'more',
  short: 'm',
  help: 'print every field, also those that match anything',
};
const NAMES: CliOption = { name: 'names', help: 'print ports by name' };

const MANY = Number.POSITIVE_INFINITY;
const FLOW = `'in_port(1),eth(),eth_type(0x0806),arp()'`;

export const COMMANDS: readonly CliCommand[] = [
  {
    name: 'show',
    method: 'dpctl/show',
    usage: '[DATAPATH...]',
    minArgs: 0,
    maxArgs: MANY,
    datapaths: 'all',
    summary: 'datapaths, their ports, and packets dropped, by reason',
    options: [STATISTICS],
    examples: ['etherloom show', 'etherloom show -s br0', 'etherloom show --json'],
    render: (answer, screen, options) => renderShow(readShow(answer), options.has('statistics'), screen),
  },
  {
    name: 'fdb',
    method: 'fdb/show',
    usage: '[DATAPATH]',
    minArgs: 0,
    maxArgs: 1,
    datapaths: 'all',
    summary: 'MAC addresses that the switch learned, and on which port',
    options: [],
    examples: ['etherloom fdb', 'etherloom fdb br0'],
    render: (answer, screen) => renderFdb(readFdb(answer), screen),
  },
  {
    name: 'dump-flows',
    method: 'dpctl/dump-flows',
    usage: '[DATAPATH]',
    minArgs: 0,
    maxArgs: 1,
    datapaths: 'all',
    summary: 'the flow table: what each flow matches, its statistics and its actions',
    options: [MORE, NAMES],
    examples: ['etherloom dump-flows', 'etherloom dump-flows -m br0', 'etherloom dump-flows --names'],
  },
  {
    name: 'add-flow',
    method: 'dpctl/add-flow',
    usage: '[DATAPATH] FLOW ACTIONS',
    minArgs: 2,
    maxArgs: 3,
    datapaths: 'optional',
    summary: 'add a flow',
    options: [],
    examples: [
      `etherloom add-flow ${FLOW} 2,3`,
      `etherloom add-flow br0 'in_port(tap0),eth(),eth_type(0x1234)' drop`,
    ],
  },
  {
    name: 'mod-flow',
    method: 'dpctl/mod-flow',
    usage: '[DATAPATH] FLOW ACTIONS',
    minArgs: 2,
    maxArgs: 3,
    datapaths: 'optional',
    summary: 'change the actions of a flow that is there',
    options: [
      STATISTICS,
      { name: 'clear', help: 'start the statistics of the flow at zero' },
      { name: 'may-create', help: 'add the flow when it is not there' },
    ],
    examples: [`etherloom mod-flow ${FLOW} drop`, `etherloom mod-flow --may-create br0 ${FLOW} 2`],
  },
  {
    name: 'del-flow',
    method: 'dpctl/del-flow',
    usage: '[DATAPATH] FLOW',
    minArgs: 1,
    maxArgs: 2,
    datapaths: 'optional',
    summary: 'delete one flow',
    options: [STATISTICS],
    examples: [`etherloom del-flow ${FLOW}`],
  },
  {
    name: 'del-flows',
    method: 'dpctl/del-flows',
    usage: '[DATAPATH]',
    minArgs: 0,
    maxArgs: 1,
    datapaths: 'all',
    summary: 'delete all flows; those in use come back with the next packet',
    options: [],
    examples: ['etherloom del-flows br0'],
  },
  {
    name: 'add-if',
    method: 'dpctl/add-if',
    usage: 'DATAPATH PORT[,type=TYPE][,port_no=N][,OPTION=VALUE]...',
    minArgs: 2,
    maxArgs: MANY,
    datapaths: 'first',
    summary: 'add ports',
    options: [],
    examples: ['etherloom add-if br0 tap3,type=tap', 'etherloom add-if br0 tap4,type=tap,netns=h4,port_no=4'],
  },
  {
    name: 'del-if',
    method: 'dpctl/del-if',
    usage: 'DATAPATH PORT...',
    minArgs: 2,
    maxArgs: MANY,
    datapaths: 'first',
    summary: 'remove ports, by name or number',
    options: [],
    examples: ['etherloom del-if br0 tap3', 'etherloom del-if br0 3'],
  },
  {
    name: 'dump-dps',
    method: 'dpctl/dump-dps',
    usage: '',
    minArgs: 0,
    maxArgs: 0,
    datapaths: 'none',
    summary: 'the names of all datapaths',
    options: [],
    examples: ['etherloom dump-dps'],
  },
  {
    name: 'add-dp',
    method: 'dpctl/add-dp',
    usage: 'DATAPATH [PORT...]',
    minArgs: 1,
    maxArgs: MANY,
    datapaths: 'new',
    summary: 'make a datapath, with a learning switch on it',
    options: [],
    examples: ['etherloom add-dp br1', 'etherloom add-dp br1 tap5,type=tap tap6,type=tap'],
    render: () => '',
  },
  {
    name: 'del-dp',
    method: 'dpctl/del-dp',
    usage: 'DATAPATH',
    minArgs: 1,
    maxArgs: 1,
    datapaths: 'first',
    summary: 'remove a datapath with its ports',
    options: [],
    examples: ['etherloom del-dp br1'],
  },
  {
    name: 'exit',
    method: 'exit',
    usage: '',
    minArgs: 0,
    maxArgs: 0,
    datapaths: 'none',
    summary: 'stop switchd; the devices that it made disappear',
    options: [],
    examples: ['etherloom exit'],
  },
];
