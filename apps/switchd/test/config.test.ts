/** Configuration: what is accepted, and that every mistake is one sentence with place, path and value. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseFlags } from '../src/config/flags.js';
import { checkConfig, readConfigFile } from '../src/config/load.js';
import { loadDrivers } from '../src/daemon/drivers.js';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'switchd-config-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

function write(text: string): string {
  const file = join(directory, 'switch.yaml');
  writeFileSync(file, text);
  return file;
}

const load = (text: string) => checkConfig(readConfigFile(write(text)));

/** What the user would see, without the directory. */
function complaint(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return error instanceof Error ? error.message.replaceAll(`${directory}/`, '') : String(error);
  }
  return 'no complaint';
}

describe('config files', () => {
  it('are YAML or JSON, with defaults for what they leave out', () => {
    const yaml = load(`
datapaths:
  - name: br0
    ports:
      - name: tap0
        type: tap
        options: { netns: h1, mtu: 1500, up: true, mac: 02:00:00:00:00:01 }
learning:
  maxIdle: 5
`);
    expect(yaml).toMatchObject({
      runDir: '/run/etherloom',
      logLevel: 'info',
      datapaths: [
        {
          name: 'br0',
          type: 'netdev',
          ports: [
            { name: 'tap0', options: { netns: 'h1', mtu: '1500', up: 'true', mac: '02:00:00:00:00:01' } },
          ],
        },
      ],
      learning: { macAge: 300, maxIdle: 5, maxMacs: 8192, maxFlows: 200_000 },
    });
    expect(load(JSON.stringify(yaml))).toEqual(yaml);
    expect(load('').datapaths).toEqual([]);
  });

  it.each([
    [
      'logLevel: loud',
      'switch.yaml, line 1: "logLevel" is "loud", but should be one of fatal, error, warn, info, debug, trace, silent',
    ],
    [
      'a: 1\ndatapath: []',
      [
        'switch.yaml, line 1: "a" is not a setting; there are runDir, logLevel, drivers, dummy, pmdThreads, pmdCpus, vlanLimit, datapaths, learning',
        'switch.yaml, line 1: "datapath" is not a setting; there are runDir, logLevel, drivers, dummy, pmdThreads, pmdCpus, vlanLimit, datapaths, learning',
      ].join('\n'),
    ],
    [
      'learning:\n  age: 1',
      'switch.yaml, line 2: "learning.age" is not a setting; there are macAge, maxIdle, maxMacs, maxFlows',
    ],
    [
      'datapaths:\n  - name: br0\n    kind: x',
      'switch.yaml, line 2: "datapaths[0].kind" is not a setting; there are name, client, type, ports',
    ],
    [
      'datapaths:\n  - name: br0\n    ports:\n      - name: p\n        port_no: 1',
      'switch.yaml, line 4: "datapaths[0].ports[0].port_no" is not a setting; there are name, type, number, options',
    ],
    ['vlanLimit: 3', 'switch.yaml, line 1: "vlanLimit" is 3, but should be one of 1, 2'],
    ['pmdCpus: [1024]', 'switch.yaml, line 1: "pmdCpus[0]" is 1024, but should be 1023 or less'],
    [
      'learning:\n  macAge: .inf',
      'switch.yaml, line 2: "learning.macAge" is Infinity, but should be a number',
    ],
    ['datapaths:\n  - type: netdev', 'switch.yaml, line 2: "datapaths[0].name" is missing'],
    ['datapaths:\n  - name: 7', 'switch.yaml, line 2: "datapaths[0].name" is 7, but should be text'],
    [
      'datapaths:\n  - name: ""',
      'switch.yaml, line 2: "datapaths[0].name" is "", but should be non-empty text',
    ],
    ['datapaths: br0', 'switch.yaml, line 1: "datapaths" is "br0", but should be a list'],
    ['- br0', 'switch.yaml, line 1: the configuration is ["br0"], but should be a mapping'],
    ['learning:\n  macAge: -3', 'switch.yaml, line 2: "learning.macAge" is -3, but should be more than 0'],
    [
      'learning:\n  maxMacs: 1.5',
      'switch.yaml, line 2: "learning.maxMacs" is 1.5, but should be a whole number',
    ],
    [
      'datapaths:\n  - name: br0\n    ports:\n      - name: p\n        number: 70000',
      'switch.yaml, line 5: "datapaths[0].ports[0].number" is 70000, but should be 65534 or less',
    ],
    [
      'datapaths:\n  - name: br0\n    ports:\n      - name: p\n        options: { mtu: [1] }',
      'switch.yaml, line 5: "datapaths[0].ports[0].options.mtu" is [1], but should be text, a number, true or false',
    ],
    [
      'datapaths:\n  - name: br0\n  - name: br0',
      'switch.yaml, line 3: "datapaths[1].name": "br0" is the name of two datapaths; choose another for one of them',
    ],
    [
      'datapaths:\n  - name: br0\n    ports:\n      - name: tap0\n  - name: br1\n    ports:\n      - name: tap0',
      'switch.yaml, line 7: "datapaths[1].ports[0].name": "tap0" is taken by a port of datapath "br0" already; choose another name',
    ],
    [
      'datapaths:\n  - name: br0\n    ports:\n      - name: br0',
      'switch.yaml, line 4: "datapaths[0].ports[0].name": "br0" is taken by datapath "br0" already; choose another name',
    ],
  ])('%j is refused with place, path and value', (text, message) => {
    expect(complaint(() => load(text))).toBe(message);
  });

  it('that are not YAML say on which line', () => {
    expect(complaint(() => load('datapaths:\n  - name: "br0\n'))).toMatch(
      /^switch\.yaml, line \d: not valid YAML or JSON: \S/,
    );
    expect(complaint(() => readConfigFile(join(directory, 'none.yaml')))).toBe(
      'config file none.yaml cannot be read: it does not exist',
    );
    expect(complaint(() => load('dummy: true\n---\ndummy: true\n'))).toBe(
      'switch.yaml, line 2: not valid YAML or JSON: a second document begins here, and a configuration is one',
    );
    expect(complaint(() => load('datapaths: *ports\n'))).toMatch(
      /^switch\.yaml: an alias cannot be followed: Unresolved alias .*: ports; write out what it stands for$/,
    );
    const bomb = [...'bcdefg'].map((name, i) => `${name}: [${`*${'abcdef'[i]}, `.repeat(9)}]`).join('\n');
    expect(complaint(() => load(`a: &a [x]\n${bomb.replaceAll(/^(.):/gm, '$1: &$1')}`))).toMatch(
      /^switch\.yaml: an alias cannot be followed: Excessive alias count/,
    );
  });
});

describe('flags', () => {
  it('make datapaths, each with the ports after it, and override the file', () => {
    const argv = ['--datapath', 'br0', '--port', 'tap0,type=tap,netns=h1', '--port', '007,port_no=7'];
    const { overrides } = parseFlags([...argv, '--datapath', 'dummy@br1', '--port', 'p1,type=dummy']);
    const config = checkConfig(
      readConfigFile(write('logLevel: debug\ndatapaths: [{ name: old }]')),
      overrides,
    );
    expect(config).toMatchObject({
      logLevel: 'debug',
      datapaths: [
        {
          name: 'br0',
          type: 'netdev',
          ports: [
            { name: 'tap0', type: 'tap', options: { netns: 'h1' } },
            { name: '007', number: 7, options: {} },
          ],
        },
        { name: 'br1', type: 'dummy', ports: [{ name: 'p1', type: 'dummy' }] },
      ],
    });
  });

  it.each([
    [[], 'nothing to do: give --datapath NAME'],
    [['--prot', 'tap0'], "Unknown option '--prot'; switchd --help lists the options"],
    [['--no-config', 'br0'], "Unexpected argument 'br0'"],
    [['--port', 'tap0', '--no-config'], '--port tap0 belongs to no datapath; give --datapath NAME before it'],
    [
      ['--datapath', 'br0', '--port', 'p,a=1,a=2'],
      '--port "p,a=1,a=2" gives the option "a" twice; give it once',
    ],
    [['--datapath', 'br0', '--port', 'p,port_no=x'], '"port_no=x" is not a port number'],
    [['--no-config', '--config', 'f'], '--config and --no-config contradict each other'],
    [['--no-config', '--log-level', 'loud'], '--log-level loud is not a level; the levels are fatal'],
  ])('%j are refused in one sentence', (argv, message) => {
    expect(complaint(() => parseFlags(argv))).toContain(message);
  });

  it('are named as the place of what they say wrongly', () => {
    const { overrides } = parseFlags(['--datapath', 'br0', '--port', 'p', '--port', 'p']);
    expect(complaint(() => checkConfig({ data: {}, where: () => 'nowhere' }, overrides))).toBe(
      'command line: "datapaths[0].ports[1].name": "p" is taken by a port of datapath "br0" already; choose another name',
    );
  });
});

describe('poll-mode threads', () => {
  it('are asked for by file or flag, 0 by default', () => {
    expect(load('datapaths: []')).toMatchObject({ pmdThreads: 0, pmdCpus: [] });
    const file = 'pmdThreads: 2\npmdCpus: [1, 3]';
    expect(load(file)).toMatchObject({ pmdThreads: 2, pmdCpus: [1, 3] });
    const { overrides } = parseFlags(['--no-config', '--pmd-threads', '4']);
    expect(checkConfig(readConfigFile(write(file)), overrides)).toMatchObject({ pmdThreads: 4 });
  });

  it('are at most 64, and a number', () => {
    expect(complaint(() => load('pmdThreads: 65'))).toBe(
      'switch.yaml, line 1: "pmdThreads" is 65, but should be 64 or less',
    );
    expect(complaint(() => load('pmdCpus: [-1]'))).toContain('"pmdCpus[0]" is -1, but should be 0 or more');
    expect(complaint(() => parseFlags(['--no-config', '--pmd-threads', 'two']))).toBe(
      '--pmd-threads two is not a number of threads; give a whole number',
    );
  });
});

describe('drivers', () => {
  it('are modules by name or path, and register their device types', async () => {
    const file = join(directory, 'driver.mjs');
    writeFileSync(
      file,
      'export const createNetdevProviders = () => [{ type: "mine", open() {}, openQueue() {} }];',
    );
    const registry = await loadDrivers(['@etherloom/netdev-dummy', './driver.mjs'], directory);
    expect(registry.types()).toEqual(['dummy', 'mine']);
  });

  it('that cannot be used are refused in one sentence', async () => {
    writeFileSync(join(directory, 'empty.mjs'), '');
    await expect(loadDrivers(['./empty.mjs'], directory)).rejects.toThrow(
      'driver "./empty.mjs" exports no createNetdevProviders(), as every I/O driver does; correct "drivers"',
    );
    writeFileSync(
      join(directory, 'hollow.mjs'),
      "export const createNetdevProviders = () => [{ type: 'x' }];",
    );
    await expect(loadDrivers(['./hollow.mjs'], directory)).rejects.toThrow(
      'driver "./hollow.mjs" cannot be used: its providers must have a type, open() and openQueue()',
    );
    await expect(loadDrivers(['no-such-driver'], directory)).rejects.toThrow(
      /^driver "no-such-driver" cannot be loaded: .*; install it or correct "drivers"$/,
    );
    await expect(
      loadDrivers(['@etherloom/netdev-dummy', '@etherloom/netdev-dummy'], directory),
    ).rejects.toThrow('driver "@etherloom/netdev-dummy" cannot be used: a netdev provider of type "dummy"');
  });
});
