/** The commands that are dpctl's: the same functions as in the daemon, over whatever datapaths the session has. */

import type { DpctlCommand, DpctlResult, DpctlWords } from '../dpctl/index.js';
import { DPCTL_COMMANDS, DpctlError, datapathNames, runWords, splitOptions } from '../dpctl/index.js';
import { openNamed } from '../dpctl/open.js';
import { viewDatapaths } from '../dpctl/show.js';
import { type Call, type CliCommand, type CliOption, print } from './command.js';
import { renderShow } from './render.js';
import { TRACE_OPTIONS, tracePacketOf } from './trace.js';

const STATISTICS: CliOption = { name: 'statistics', short: 's', help: 'print statistics too' };
const MORE: CliOption = {
  name: 'more',
  short: 'm',
  help: 'print every field, also those that match anything',
};
const NAMES: CliOption = { name: 'names', help: 'print ports by name' };
const CLEAR: CliOption = { name: 'clear', help: 'start the statistics of the flow at zero' };
const MAY_CREATE: CliOption = { name: 'may-create', help: 'add the flow when it is not there' };
const FLOW = `'in_port(1),eth(),eth_type(0x0806),arp()'`;
const FILE = 'a file, one to a line, "-" for standard input';

type Details = Pick<CliCommand, 'summary' | 'datapaths'> &
  Partial<Pick<CliCommand, 'usage' | 'minArgs' | 'maxArgs' | 'options' | 'examples' | 'files' | 'run'>>;

/** What help says of each, and in what it differs from dpctl. Others of dpctl's refuse to work, and are not listed. */
const DETAILS: Readonly<Record<string, Details>> = {
  show: {
    summary: 'datapaths, their ports, and packets dropped, by reason',
    usage: '[DATAPATH...]',
    datapaths: 'all',
    options: [STATISTICS],
    examples: ['etherloom show', 'etherloom show -s br0', 'etherloom show --json'],
    run: show,
  },
  'dump-flows': {
    summary: 'the flow table: what each flow matches, its statistics and its actions',
    usage: '[DATAPATH] [filter=FLOW] [type=TYPE] [pmd=CORE]',
    datapaths: 'known',
    options: [MORE, NAMES],
    examples: [
      'etherloom dump-flows',
      'etherloom dump-flows -m br0',
      "etherloom dump-flows 'filter=udp,nw_src=10.0.0.1'",
    ],
  },
  'add-flow': {
    summary: 'add a flow',
    usage: '[DATAPATH] FLOW ACTIONS',
    datapaths: 'full',
    examples: [
      `etherloom add-flow ${FLOW} 2,3`,
      `etherloom add-flow br0 'in_port(tap0),eth(),eth_type(0x1234)' drop`,
    ],
  },
  'mod-flow': {
    summary: 'change the actions of a flow that is there',
    usage: '[DATAPATH] FLOW ACTIONS',
    datapaths: 'full',
    options: [STATISTICS, CLEAR, MAY_CREATE],
    examples: [`etherloom mod-flow ${FLOW} drop`, `etherloom mod-flow --may-create br0 ${FLOW} 2`],
  },
  'get-flow': {
    summary: 'one flow, by the UFID that "dump-flows -m" prints',
    usage: '[DATAPATH] ufid:UFID',
    datapaths: 'full',
    options: [MORE, NAMES],
    examples: ['etherloom get-flow ufid:4c6e1b7c-2a1f-4bb0-9be5-0e0bb2e6a6c3'],
  },
  'del-flow': {
    summary: 'delete one flow',
    usage: '[DATAPATH] FLOW',
    datapaths: 'full',
    options: [STATISTICS],
    examples: [`etherloom del-flow ${FLOW}`],
  },
  'add-flows': {
    summary: `add the flows of ${FILE}`,
    usage: '[DATAPATH] FILE',
    datapaths: 'full',
    files: true,
    examples: ['etherloom add-flows br0 flows.txt', 'etherloom add-flows - < flows.txt'],
    run: withFile,
  },
  'mod-flows': {
    summary: `change the flows of ${FILE}`,
    usage: '[DATAPATH] FILE',
    datapaths: 'full',
    files: true,
    options: [CLEAR, MAY_CREATE],
    examples: ['etherloom mod-flows br0 flows.txt'],
    run: withFile,
  },
  'del-flows': {
    summary: 'delete all flows (those in use come back with the next packet), or those of a file',
    usage: '[DATAPATH] [FILE]',
    datapaths: 'known',
    files: true,
    examples: ['etherloom del-flows br0', 'etherloom del-flows br0 flows.txt'],
    run: withFile,
  },
  'add-if': {
    summary: 'add ports',
    usage: 'DATAPATH PORT[,type=TYPE][,port_no=N][,OPTION=VALUE]...',
    datapaths: 'first',
    examples: ['etherloom add-if br0 tap3,type=tap', 'etherloom add-if br0 tap4,type=tap,netns=h4,port_no=4'],
  },
  'set-if': {
    summary: 'change options of ports',
    usage: 'DATAPATH PORT,OPTION=VALUE...',
    datapaths: 'first',
    examples: ['etherloom set-if br0 tap3,mtu=1400'],
  },
  'del-if': {
    summary: 'remove ports, by name or number',
    usage: 'DATAPATH PORT...',
    datapaths: 'first',
    examples: ['etherloom del-if br0 tap3', 'etherloom del-if br0 3'],
  },
  trace: {
    summary: 'the way of one packet through lookups and actions, without sending it',
    usage: '[DATAPATH] [FLOW|PACKET]',
    minArgs: 0,
    maxArgs: 2,
    datapaths: 'known',
    options: [...TRACE_OPTIONS, MORE, NAMES],
    examples: [
      `etherloom trace 'in_port(tap0),eth(),eth_type(0x0800),ipv4(dst=10.0.0.2,ttl=64,frag=no)'`,
      'etherloom trace br0 02000000000202000000000188b5 --port tap0',
      'etherloom trace br0 --pcap in.pcap:3 --port 1 --json',
    ],
    run: tracePacketOf,
  },
  'dump-dps': {
    summary: 'the names of all datapaths',
    datapaths: 'none',
    examples: ['etherloom dump-dps'],
  },
  'add-dp': {
    summary: 'make a datapath, with a learning switch on it',
    usage: 'DATAPATH [PORT...]',
    datapaths: 'new',
    examples: ['etherloom add-dp br1', 'etherloom add-dp br1 tap5,type=tap tap6,type=tap'],
    run: createWhole,
  },
  'del-dp': {
    summary: 'remove a datapath with its ports',
    usage: 'DATAPATH',
    datapaths: 'first',
    examples: ['etherloom del-dp br1'],
  },
  'parse-actions': {
    summary: 'read actions and print them as dump-flows would',
    usage: 'ACTIONS...',
    datapaths: 'none',
    examples: ["etherloom parse-actions 'push_vlan(vid=5,pcp=0),2'"],
  },
  'normalize-actions': {
    summary: 'what actions do to the packets of a flow, by VLAN',
    usage: 'FLOW ACTIONS',
    datapaths: 'none',
    options: [NAMES],
    examples: [`etherloom normalize-actions ${FLOW} 'push_vlan(vid=5,pcp=0),2'`],
  },
};

const UNLISTED = {
  summary: "Open vSwitch's; a datapath here has nothing to do it with",
  datapaths: 'known',
  unlisted: true,
} as const;

export const DPCTL_CLI: readonly CliCommand[] = DPCTL_COMMANDS.map((command): CliCommand => {
  const details = DETAILS[command.name];
  const { name, usage, minArgs, maxArgs } = command;
  return {
    name,
    usage,
    minArgs,
    maxArgs,
    options: [],
    examples: [],
    run: (call) => runCommand(command, call),
    ...(details ?? UNLISTED),
  };
});

/** With the options that dpctl itself reads. */
const words = ({ options, args }: Call): DpctlWords => ({
  options: splitOptions([...options.keys()].map((name) => `--${name}`)).options,
  args,
});

async function runCommand(command: DpctlCommand, call: Call): Promise<void> {
  const { session, json, streams } = call;
  const write = async (piece: string): Promise<void> => streams.out(piece);
  const result: DpctlResult = await runWords(command, session.context, words(call), {
    form: json ? 'json' : 'text',
    write,
  });
  if (!result.streamed) await print(call, result);
  else if (json) await streams.out('\n');
}

const find = (name: string): DpctlCommand => {
  const command = DPCTL_COMMANDS.find((candidate) => candidate.name === name);
  if (command === undefined) throw new Error(`dpctl has no command ${name}`);
  return command;
};

/** Tables on a terminal, and drops by reason everywhere. */
async function show(call: Call): Promise<void> {
  const { session, args, options, streams } = call;
  const views = await viewDatapaths(session.context, args);
  const text = renderShow(views, options.has('statistics'), streams.screen);
  await print(call, { text, json: { datapaths: views } });
}

/** Commands that read a file, here and not in the daemon; "-" is standard input. */
async function withFile(this: CliCommand, call: Call): Promise<void> {
  const args = call.args.map((arg, i) => (arg === '-' && i === call.args.length - 1 ? '/dev/stdin' : arg));
  await runCommand(find(this.name), { ...call, args });
}

/** Makes a datapath with all its ports, or nothing: dpctl itself leaves the datapath there without a port that failed. */
async function createWhole(call: Call): Promise<void> {
  const { context } = call.session;
  const [name = ''] = call.args;
  const before = await datapathNames(context.dpifs);
  try {
    const result = await runWords(find('add-dp'), context, words(call));
    if (call.json) await print(call, result);
  } catch (error) {
    if (error instanceof DpctlError && !before.includes(name)) {
      if ((await datapathNames(context.dpifs)).includes(name)) {
        const dpif = await openNamed(context, name);
        try {
          await dpif.delete();
        } finally {
          await dpif.close();
        }
      }
    }
    throw error;
  }
}
