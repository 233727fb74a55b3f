/**
 * Scripts: what fast-check generates (kinds of packets, and steps that refer to them by index), and the commands
 * that come of it. Those depend on nothing but the script, so that a seed says all.
 */

import { type FlowRows, flowRows, rowsOverlap } from '@etherloom/conformance';
import fc from 'fast-check';
import { actionsArbitrary, actionTextArbitrary } from './actions.js';
import { Choices, choicesArbitrary } from './choices.js';
import { FILTERS, mistakeArbitrary } from './mistakes.js';
import { packetHex } from './packets.js';
import { portCommandArbitrary } from './ports.js';
import { spellingArbitrary } from './spellings.js';
import { flowText, packetText, type Traffic, trafficArbitrary } from './traffic.js';

const DP = 'dummy@ovs-dummy';
const PORTS = ['p1', 'p2', 'p3', 'p4'];
/** The one file that scripts write. */
export const SCRIPT_FILE = 'f.txt';
const MAX_STEPS = 60;
const MAX_KINDS = 4;
/** Put into scripts and their files for flows that Open vSwitch takes though they overlap another: everything behind differs. */
const OVERLAPS_ONE_IN = 60;

type Spelling = readonly number[];

type Step =
  | {
      readonly do: 'add' | 'modify';
      readonly traffic: number;
      readonly actions: string;
      readonly how: Spelling;
    }
  | {
      readonly do: 'delete' | 'receive' | 'dump' | 'get' | 'normalize';
      readonly traffic: number;
      readonly how: Spelling;
    }
  | { readonly do: 'file'; readonly traffic: number; readonly actions: string; readonly how: Spelling }
  | { readonly do: 'command'; readonly cmd: readonly string[] };

export interface Script {
  readonly traffic: readonly Traffic[];
  /** What is done with the packets of each kind on port 1 at first. */
  readonly actions: readonly string[];
  readonly steps: readonly Step[];
}

const index = fc.nat(5);
const put = (what: 'add' | 'modify' | 'file'): fc.Arbitrary<Step> =>
  fc.record({ do: fc.constant(what), traffic: index, actions: actionsArbitrary, how: choicesArbitrary });
const other = (what: 'delete' | 'receive' | 'dump' | 'get' | 'normalize'): fc.Arbitrary<Step> =>
  fc.record({ do: fc.constant(what), traffic: index, how: choicesArbitrary });
const command = (cmd: fc.Arbitrary<readonly string[]>): fc.Arbitrary<Step> =>
  cmd.map((words): Step => ({ do: 'command', cmd: words }));

const stepArbitrary: fc.Arbitrary<Step> = fc.oneof(
  { weight: 28, arbitrary: put('add') },
  { weight: 10, arbitrary: put('modify') },
  { weight: 2, arbitrary: put('file') },
  { weight: 5, arbitrary: other('delete') },
  { weight: 45, arbitrary: other('receive') },
  { weight: 10, arbitrary: other('dump') },
  { weight: 2, arbitrary: other('get') },
  { weight: 3, arbitrary: other('normalize') },
  { weight: 4, arbitrary: command(fc.constantFrom(...PORTS).map((name) => ['@pcap', name])) },
  { weight: 4, arbitrary: command(actionTextArbitrary.map((text) => ['dpctl/parse-actions', text])) },
  { weight: 4, arbitrary: command(fc.constantFrom(['dpctl/show'], ['dpctl/show', '-s'])) },
  {
    weight: 3,
    arbitrary: command(
      fc.constantFrom('1', '1500', '60000', '999').map((milliseconds) => ['time/warp', milliseconds]),
    ),
  },
  { weight: 1, arbitrary: command(fc.constant(['dpctl/del-flows', DP])) },
  {
    weight: 1,
    arbitrary: command(
      fc
        .tuple(fc.constantFrom(...PORTS), fc.constantFrom(...new Array<string>(30).fill('up'), 'down'))
        .map(([name, state]) => ['netdev-dummy/set-admin-state', name, state]),
    ),
  },
  { weight: 8, arbitrary: command(mistakeArbitrary) },
  { weight: 8, arbitrary: command(portCommandArbitrary) },
  { weight: 6, arbitrary: command(spellingArbitrary) },
);

export const scriptArbitrary: fc.Arbitrary<Script> = fc.record({
  traffic: fc.array(trafficArbitrary, { minLength: 1, maxLength: MAX_KINDS }),
  actions: fc.array(actionsArbitrary, { minLength: MAX_KINDS, maxLength: MAX_KINDS }),
  steps: fc.array(stepArbitrary, { minLength: 1, maxLength: MAX_STEPS, size: 'max' }),
});

/** A look at everything. */
const FINAL_COMMANDS: readonly (readonly string[])[] = [
  ['dpctl/dump-flows', '-m', DP],
  ['dpctl/dump-flows', DP],
  ['dpctl/show', '-s'],
  ...PORTS.map((name) => ['@pcap', name]),
];

/** The commands of a script, with {@link FINAL_COMMANDS} at the end. */
export function commandsOf(script: Script): readonly (readonly string[])[] {
  const writer = new Writer(script.traffic);
  const first = script.traffic.map((_, traffic): Step => {
    return { do: 'add', traffic, actions: script.actions[traffic]!, how: [0] };
  });
  const commands = [...first, ...script.steps].flatMap((step) => writer.write(step));
  return [...commands, ...FINAL_COMMANDS];
}

/** Turns steps into commands, and keeps in mind which flows there must be by then. */
class Writer {
  readonly #traffic: readonly Traffic[];
  readonly #table = new Map<string, FlowRows>();

  constructor(traffic: readonly Traffic[]) {
    this.#traffic = traffic;
  }

  write(step: Step): (readonly string[])[] {
    if (step.do === 'command') {
      if (step.cmd[0] === 'dpctl/del-flows') this.#table.clear();
      return [step.cmd];
    }
    const traffic = this.#traffic[step.traffic % this.#traffic.length]!;
    const choices = new Choices(step.how);
    switch (step.do) {
      case 'add': {
        const flow = this.#newFlow(traffic, choices);
        if (flow === undefined) return [];
        const dp = choices.oneIn(6) ? [] : [DP];
        const option = dp.length === 0 && choices.oneIn(8) ? ['--may-create'] : [];
        const statistics = dp.length === 0 && choices.oneIn(5) ? ['-s'] : [];
        return [['dpctl/add-flow', ...option, ...statistics, ...dp, flow, step.actions]];
      }
      case 'modify': {
        const options = choices.of([[], [], [], [], ['-s'], ['-s'], ['--may-create'], ['--clear']]);
        const dp = options.length > 0 ? [] : [DP];
        const known = this.#knownFlow(choices);
        if (options[0] === '--may-create' && known !== undefined && !choices.oneIn(20)) return [];
        if (options[0] === '--clear' && !choices.oneIn(20)) return [];
        const flow = known ?? this.#newFlow(traffic, choices);
        if (flow === undefined) return [];
        if (known === undefined && options[0] !== '--may-create') this.#forget(flow);
        return [['dpctl/mod-flow', ...options, ...dp, flow, step.actions]];
      }
      case 'delete': {
        const flow = this.#knownFlow(choices) ?? flowText(traffic, 'in_port(1)', choices);
        this.#forget(flow);
        return [choices.oneIn(3) ? ['dpctl/del-flow', '-s', flow] : ['dpctl/del-flow', DP, flow]];
      }
      case 'receive':
        return [receive(traffic, choices)];
      case 'dump':
        return [dump(choices)];
      case 'get':
        return [
          ['dpctl/get-flow', DP, choices.of(['ufid:0', 'ufid:00000000-0000-0000-0000-00000000000a', ''])],
        ];
      case 'normalize': {
        const options = choices.oneIn(3) ? ['-m'] : [];
        const text = packetText(traffic, 1);
        const actions = choices.of([
          'push_vlan(vid=9,pcp=1),3,2,pop_vlan,4',
          '3,2,1',
          'pop_vlan,2,3',
          'drop',
          '2,set(eth(src=00:00:00:00:00:77)),1,3',
        ]);
        return [['dpctl/normalize-actions', ...options, text, actions]];
      }
      case 'file':
        return this.#file(traffic, step.actions, choices);
    }
  }

  /** The text of a flow that can be there together with the others; undefined when this one cannot. */
  #newFlow(traffic: Traffic, choices: Choices): string | undefined {
    const port = choices.of([1, 1, 1, 1, 1, 1, 1, 2, 3]);
    const recirc = choices.oneIn(12) ? `recirc_id(${choices.of(['0x1', '0x2', '1'])}),` : '';
    const flow = recirc + flowText(traffic, `in_port(${choices.oneIn(15) ? `p${port}` : port})`, choices);
    const rows = flowRows(flow);
    if (rows === undefined) return flow;
    const same = this.#table.has(rows.bytes);
    const overlaps = !same && [...this.#table.values()].some((one) => rowsOverlap(one, rows));
    if (overlaps && !choices.oneIn(OVERLAPS_ONE_IN)) return undefined;
    if (!same) this.#table.set(rows.bytes, rows);
    this.#texts.set(rows.bytes, flow);
    return flow;
  }

  readonly #texts = new Map<string, string>();

  #knownFlow(choices: Choices): string | undefined {
    const texts = [...this.#texts.values()];
    return texts.length === 0 || choices.oneIn(8) ? undefined : choices.of(texts);
  }

  #forget(flow: string): void {
    const rows = flowRows(flow);
    if (rows === undefined) return;
    this.#table.delete(rows.bytes);
    this.#texts.delete(rows.bytes);
  }

  #file(traffic: Traffic, actions: string, choices: Choices): (readonly string[])[] {
    const flow = this.#newFlow(traffic, choices);
    const known = this.#knownFlow(choices);
    const spaceless = actions.replaceAll(/\s/g, '') || 'drop';
    const lines = [
      '# a comment',
      ...(flow === undefined ? [] : [`${choices.of(['', '', 'add '])}${flow} ${spaceless}`]),
      ...(known === undefined ? [] : [`${choices.of(['', 'modify '])}${known} 4`]),
      choices.of(['', 'foo bar', 'in_port(1)', '  ', 'delete in_port(9),eth(),eth_type(0x1234)']),
    ];
    const command = choices.of(['dpctl/add-flows', 'dpctl/mod-flows', 'dpctl/add-flows']);
    return [
      ['@file', SCRIPT_FILE, lines.map((line) => `${line}\n`).join('')],
      [command, DP, `@RT@/${SCRIPT_FILE}`],
    ];
  }
}

function receive(traffic: Traffic, choices: Choices): readonly string[] {
  const port = choices.of(['p1', 'p1', 'p1', 'p1', 'p1', 'p1', 'p1', 'p2', 'p3', 'br0']);
  const packets: string[] = [];
  for (let count = 1 + choices.of([0, 0, 0, 1, 2]); count > 0; count--) {
    if (choices.oneIn(2)) packets.push(packetHex(traffic, choices));
    else {
      packets.push(packetText(traffic, 1));
      if (choices.oneIn(8)) packets.push('--len', choices.of(['60', '64', '100', '1500', '59', '61']));
    }
  }
  return ['netdev-dummy/receive', port, ...packets];
}

function dump(choices: Choices): readonly string[] {
  const options = choices.of([[], [], ['-m'], ['--names'], ['-m', '--no-names'], ['-m', '-m']]);
  const dp = choices.oneIn(3) ? [DP] : [];
  const filter = choices.oneIn(3) ? [`filter=${choices.of(FILTERS)}`] : [];
  const pmd = choices.oneIn(12) ? ['pmd=-1'] : [];
  return ['dpctl/dump-flows', ...options, ...dp, ...filter, ...pmd];
}
