/** The command line on datapaths of this process: the same code that works on those of a running switchd. */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Dpif, DpifRegistry, FP_CREATE, FP_MODIFY, NetdevRegistry } from '@etherloom/core';
import { createUserspaceProvider } from '@etherloom/dpif-userspace';
import { DummyProvider } from '@etherloom/netdev-dummy';
import { parseActions, parseFlowKey } from '@etherloom/odp-codec';
import { run } from '@etherloom/testkit';
import { beforeEach, describe, expect, it } from 'vitest';
import { COMMANDS } from '../src/etherloom/commands.js';
import { type DpctlContext, etherloom, type Screen } from '../src/index.js';

let context: DpctlContext;

beforeEach(async () => {
  const netdevs = new NetdevRegistry();
  netdevs.register(new DummyProvider());
  const dpifs = new DpifRegistry();
  const options = { netdevs, portTypes: { internal: 'dummy' }, arena: { frames: 256, largeFrames: 4 } };
  for (const type of ['netdev', 'dummy']) dpifs.register(createUserspaceProvider({ ...options, type }));
  context = { dpifs, netdevs };
  await cli('add-dp', 'br0', 'p1,type=dummy', 'p2,type=dummy');
});

interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly error: string;
}

async function on(screen: Screen, argv: readonly string[], signal?: AbortSignal): Promise<Outcome> {
  let out = '';
  let error = '';
  const streams = {
    out: (text: string) => {
      out += text;
    },
    error: (text: string) => {
      error += text;
    },
    screen,
    ...(signal && { signal }),
  };
  return { code: await etherloom(argv, streams, context), out, error };
}

const PIPE = { terminal: false, colour: false };
const cli = (...argv: string[]): Promise<Outcome> => on(PIPE, argv);

const FLOW = 'in_port(p1),eth(),eth_type(0x88b5)';

describe('commands', () => {
  it('do all of dpctl', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'etherloom-'));
    const file = join(directory, 'flows');
    writeFileSync(file, 'in_port(p1),eth(),eth_type(0x88b6) 2\nin_port(p1),eth(),eth_type(0x88b7) drop\n');
    const lines: string[] = [];
    for (const argv of [
      ['dump-dps'],
      ['add-if', 'br0', 'p3,type=dummy,port_no=9'],
      ['set-if', 'br0', 'p3,mtu=1400'],
      ['add-flow', FLOW, 'p2'],
      ['add-flow', 'br0', FLOW, 'p2'],
      ['mod-flow', '--clear', '-s', 'br0', FLOW, 'drop'],
      ['add-flows', file],
      ['add-flows', 'br0', file],
      ['dump-flows', 'br0', '--names'],
      ['del-flow', FLOW],
      ['del-flows', 'br0', file],
      ['dump-flows'],
      ['del-flows', 'br0'],
      ['del-if', 'br0', 'p3', '2'],
      ['parse-actions', 'push_vlan(vid=5,pcp=0),2'],
      ['dump-conntrack'],
      ['show'],
      ['del-dp', 'br0'],
      ['dump-dps'],
    ]) {
      const { code, out, error } = await cli(...argv);
      lines.push(
        `$ ${argv.map((arg) => arg.replace(file, 'FILE')).join(' ')}`,
        ...`${out}${error}`.split('\n').slice(0, -1),
      );
      if (code !== 0) lines.push(`exit ${code}`);
    }
    rmSync(directory, { recursive: true });
    expect(lines).toEqual([
      '$ dump-dps',
      'netdev@br0',
      '$ add-if br0 p3,type=dummy,port_no=9',
      '$ set-if br0 p3,mtu=1400',
      `$ add-flow ${FLOW} p2`,
      `$ add-flow br0 ${FLOW} p2`,
      expect.stringMatching(/^etherloom: .*in the table already/),
      'exit 2',
      `$ mod-flow --clear -s br0 ${FLOW} drop`,
      'packets:0, bytes:0, used:never',
      '$ add-flows FILE',
      '$ add-flows br0 FILE',
      expect.stringMatching(/^etherloom: .*in the table already/),
      expect.stringMatching(/^etherloom: .*in the table already/),
      'exit 2',
      '$ dump-flows br0 --names',
      'flow-dump from the main thread:',
      'recirc_id(0),in_port(p1),eth(),eth_type(0x88b5), packets:0, bytes:0, used:never, actions:drop',
      'recirc_id(0),in_port(p1),eth(),eth_type(0x88b6), packets:0, bytes:0, used:never, actions:p2',
      'recirc_id(0),in_port(p1),eth(),eth_type(0x88b7), packets:0, bytes:0, used:never, actions:drop',
      `$ del-flow ${FLOW}`,
      '$ del-flows br0 FILE',
      expect.stringContaining('line 1 of'),
      expect.stringContaining('line 2 of'),
      'exit 2',
      '$ dump-flows',
      'flow-dump from the main thread:',
      'recirc_id(0),in_port(1),eth(),eth_type(0x88b6), packets:0, bytes:0, used:never, actions:2',
      'recirc_id(0),in_port(1),eth(),eth_type(0x88b7), packets:0, bytes:0, used:never, actions:drop',
      '$ del-flows br0',
      '$ del-if br0 p3 2',
      '$ parse-actions push_vlan(vid=5,pcp=0),2',
      'push_vlan(vid=5,pcp=0),2',
      '$ dump-conntrack',
      'etherloom: "dump-conntrack" does nothing here: the datapath has no connection tracking',
      'exit 2',
      '$ show',
      'netdev@br0:',
      '  lookups: hit:0 missed:0 lost:0',
      '  flows: 0',
      expect.stringMatching(/^ {2}masks: /),
      '  port 0: br0 (internal)',
      '  port 1: p1 (dummy)',
      '$ del-dp br0',
      '$ dump-dps',
    ]);
  });

  it('answer JSON objects', async () => {
    const json = async (...argv: string[]): Promise<unknown> => {
      const { code, out, error } = await cli(...argv, '--json');
      expect({ argv, code, error }).toEqual({ argv, code: 0, error: '' });
      return JSON.parse(out);
    };
    expect(await json('add-dp', 'dummy@br1')).toEqual({ datapath: 'dummy@br1' });
    expect(await json('dump-dps')).toEqual({ datapaths: ['dummy@br1', 'netdev@br0'] });
    expect(await json('add-if', 'br0', 'p3,type=dummy')).toEqual({ ports: { p3: 3 } });
    expect(await json('add-flow', 'br0', FLOW, '2')).toEqual({});
    const flow = {
      match: 'in_port(1),eth(),eth_type(0x88b5)',
      packets: 0,
      bytes: 0,
      used: null,
      tcpFlags: 0,
    };
    const match = expect.stringContaining(flow.match);
    expect(await json('dump-flows', 'br0')).toEqual({ flows: [{ ...flow, match, actions: '2' }] });
    expect(await json('dump-flows', 'br1')).toEqual({ flows: [] });
    expect(await json('mod-flow', '-s', 'br0', FLOW, '1')).toMatchObject({
      stats: { packets: 0, used: null },
    });
    expect(await json('show', 'br0')).toMatchObject({
      datapaths: [
        { name: 'netdev@br0', flows: 1, ports: [{ number: 0 }, { number: 1, name: 'p1' }, {}, {}] },
      ],
    });
    expect(await json('parse-actions', '1,2')).toEqual({ actions: ['1,2'] });
    expect(await json('del-dp', 'br1')).toEqual({});
  });

  it('say what is wrong in one sentence', async () => {
    for (const [argv, code, message] of [
      [['fdb'], 1, /needs|asks a running switchd/],
      [['show', 'br9'], 2, /^etherloom: no datapath is called "br9"; there are netdev@br0\n$/],
      [['monitor', '--interval', 'x'], 1, /^etherloom: --interval x is no time in seconds/],
      [
        ['completion', 'fish'],
        1,
        /^etherloom: there is no completion for "fish"; the shells are bash and zsh\n$/,
      ],
      [
        ['del-if', 'br0', 'p9'],
        2,
        /^etherloom: netdev@br0 has no port called "p9"; "show" lists the ports\n$/,
      ],
      [['add-flows', 'br0', '/nowhere'], 2, /^etherloom: the file \/nowhere cannot be read \(ENOENT\)/],
      [['dump-flows', 'filter=nonsense=1'], 2, /^etherloom: the filter "nonsense=1" cannot be used/],
    ] as const) {
      const outcome = await cli(...argv);
      expect({ argv, code: outcome.code, out: outcome.out }).toEqual({ argv, code, out: '' });
      expect(outcome.error).toMatch(message);
      expect(outcome.error.split('\n')).toHaveLength(2);
    }
  });

  it('have colours on a terminal that wants them', async () => {
    const esc = String.fromCharCode(27);
    expect((await on({ terminal: true, colour: true }, ['show'])).out).toContain(`${esc}[1m`);
    expect((await on({ terminal: true, colour: false }, ['show'])).out).not.toContain(esc);
  });
});

describe('monitor', () => {
  /** Runs it while `body` changes things; returns its lines. */
  async function watching(argv: readonly string[], body: (dpif: Dpif) => Promise<void>): Promise<string[]> {
    const over = new AbortController();
    const outcome = on(PIPE, ['monitor', '--interval', '0.02', ...argv], over.signal);
    await new Promise((resolve) => setTimeout(resolve, 100));
    const dpif = await context.dpifs.open('br0', 'netdev');
    await body(dpif);
    await dpif.close();
    await new Promise((resolve) => setTimeout(resolve, 100));
    over.abort();
    const { code, out, error } = await outcome;
    expect({ code, error }).toEqual({ code: 0, error: '' });
    return out.split('\n').slice(0, -1);
  }
  const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 100));
  const flow = parseFlowKey('in_port(1),eth(),eth_type(0x88b5)');

  /** A port and a flow come, change and go. */
  async function change(dpif: Dpif): Promise<void> {
    const portNo = await dpif.portAdd({ name: 'p7', type: 'dummy' });
    await dpif.flowPut({ flags: FP_CREATE, ...flow, actions: parseActions('2') });
    await pause();
    await dpif.portDel(portNo);
    await dpif.flowPut({ flags: FP_MODIFY, ...flow, actions: parseActions('1') });
    await pause();
    await dpif.flowDel(flow.key);
  }

  it('tells of ports and flows as they come, change and go', async () => {
    const lines = await watching([], change);
    const key = 'recirc_id(0),in_port(1),eth(),eth_type(0x88b5), packets:0, bytes:0, used:never, actions:';
    expect(lines.map((line) => line.replace(/^\d\d:\d\d:\d\d netdev@br0 /, '')).sort()).toEqual([
      `flow added: ${key}2`,
      `flow changed: ${key}1`,
      `flow deleted: ${key}1`,
      'port added: 3 p7 (dummy)',
      'port deleted: 3 p7 (dummy)',
    ]);
  });

  it('tells a program in a line of JSON each', async () => {
    const events = (await watching(['br0', '--json'], change)).map((line): unknown => JSON.parse(line));
    expect(events).toHaveLength(5);
    expect(events).toContainEqual({
      event: 'port-added',
      time: expect.stringMatching(/^\d{4}-.*Z$/),
      datapath: 'netdev@br0',
      port: { number: 3, name: 'p7', type: 'dummy' },
    });
    expect(events).toContainEqual(
      expect.objectContaining({
        event: 'flow-changed',
        flow: expect.objectContaining({ actions: '1', packets: 0 }),
      }),
    );
  });

  it('ends with its datapath', async () => {
    const outcome = cli('monitor', '--interval', '0.02', '--json');
    await pause();
    await cli('del-dp', 'br0');
    const { code, out } = await outcome;
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ event: 'datapath-deleted', datapath: 'netdev@br0' });
  });
});

describe('completion', () => {
  it('completes commands, options, datapaths and files in bash', async () => {
    const { out } = await cli('completion', 'bash');
    const complete = async (...words: string[]): Promise<string[]> => {
      const script =
        `etherloom() { [[ $* == *dump-dps ]] && echo netdev@br0 && echo dummy@br1; }\n${out}\n` +
        `COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}\n` +
        `_etherloom; printf '%s\\n' "\${COMPREPLY[@]}"\n`;
      return (await run('bash', ['-c', script], { cwd: '/' })).split('\n').filter((line) => line !== '');
    };
    const listed = COMMANDS.filter(({ unlisted }) => !unlisted).map(({ name }) => name);
    expect((await complete('etherloom', '')).sort()).toEqual([...listed, 'help'].sort());
    expect(await complete('etherloom', 'dump-f')).toEqual(['dump-flows']);
    expect(await complete('etherloom', 'dump-flows', '--na')).toEqual(['--names']);
    expect(await complete('etherloom', '--run-dir', '/x', 'show', '--stat')).toEqual(['--statistics']);
    expect(await complete('etherloom', 'show', '')).toEqual(['br0', 'br1']);
    expect(await complete('etherloom', 'add-flows', 'br')).toEqual(['br0', 'br1']);
    expect(await complete('etherloom', 'add-flows', 'et')).toEqual(['etc']);
    expect(await complete('etherloom', 'completion', '')).toEqual(['bash', 'zsh']);
    expect(await complete('etherloom', 'add-dp', '')).toEqual([]);
  });

  it('is a script that zsh can read', async (context) => {
    const { out } = await cli('completion', 'zsh');
    expect(out.startsWith('#compdef etherloom\n')).toBe(true);
    for (const { name, unlisted } of COMMANDS) if (!unlisted) expect(out).toContain(`    '${name}:`);
    if (spawnSync('zsh', ['--version']).status !== 0)
      context.skip('needs zsh to check the syntax: install it');
    expect(await run('zsh', ['-n'], { input: out })).toBe('');
  });
});
