/** `capture` as people call it: lines, JSON, files, and when it ends. */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DpifRegistry, NetdevRegistry, readPcap } from '@etherloom/core';
import { createUserspaceProvider } from '@etherloom/dpif-userspace';
import { DummyProvider } from '@etherloom/netdev-dummy';
import { hex } from '@etherloom/testkit';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type DpctlContext, etherloom } from '../src/index.js';

let context: DpctlContext;
let driver: DummyProvider;
let directory: string;
let injecting: NodeJS.Timeout;

const FRAME = Uint8Array.from(Buffer.from('02000000000202000000000188b5'.padEnd(120, '0'), 'hex'));

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'etherloom-capture-'));
  driver = new DummyProvider();
  const netdevs = new NetdevRegistry();
  netdevs.register(driver);
  const dpifs = new DpifRegistry();
  const options = { netdevs, portTypes: { internal: 'dummy' }, arena: { frames: 256, largeFrames: 4 } };
  dpifs.register(createUserspaceProvider({ ...options, type: 'netdev' }));
  context = { dpifs, netdevs };
  await cli('add-dp', 'br0', 'p1,type=dummy', 'p2,type=dummy');
  await cli('add-flow', 'in_port(p1),eth(),eth_type(0x88b5)', 'p2');
  injecting = setInterval(() => {
    driver.device('p1')?.inject(FRAME);
    driver.device('p2')?.takeTransmitted();
  }, 5);
});
afterEach(() => {
  clearInterval(injecting);
  rmSync(directory, { recursive: true });
});

async function cli(
  ...argv: string[]
): Promise<{ code: number; out: string; error: string; bytes: Uint8Array }> {
  return until(undefined, argv);
}

async function until(signal: AbortSignal | undefined, argv: readonly string[]) {
  let [out, error] = ['', ''];
  const pieces: Uint8Array[] = [];
  const streams = {
    out: (data: string | Uint8Array) => {
      if (typeof data === 'string') out += data;
      else pieces.push(data);
    },
    error: (text: string) => {
      error += text;
    },
    screen: { terminal: false, colour: false },
    ...(signal && { signal }),
  };
  return {
    code: await etherloom(argv, streams, context),
    out,
    error,
    bytes: Uint8Array.from(Buffer.concat(pieces)),
  };
}

it('prints a line for each packet: time, port, direction, length and key', async () => {
  const { code, out, error } = await cli('capture', 'br0', '--count', '4');
  expect([code, error]).toEqual([0, '4 packets captured\n']);
  const lines = out.trimEnd().split('\n');
  expect(lines).toHaveLength(4);
  const key = 'eth\\(src=02:00:00:00:00:01,dst=02:00:00:00:00:02\\),eth_type\\(0x88b5\\)';
  expect(lines[0]).toMatch(new RegExp(`^\\d\\d:\\d\\d:\\d\\d\\.\\d{9} p1 in 60 ${key}$`));
  expect(lines[1]).toMatch(/ p2 out 60 /);
});

it('prints JSON to a line, of one port and direction', async () => {
  const { out } = await cli(
    'capture',
    '--json',
    '--count',
    '2',
    '--port',
    'p2',
    '--direction',
    'out',
    '--snaplen',
    '20',
  );
  for (const line of out.trimEnd().split('\n')) {
    const { time, ...packet } = JSON.parse(line);
    expect(Math.abs(Date.parse(time) - Date.now())).toBeLessThan(20_000);
    expect(packet).toMatchObject({
      port: 2,
      name: 'p2',
      direction: 'out',
      length: 60,
      packet: hex(FRAME.subarray(0, 20)),
    });
    expect(packet.key).toContain('in_port(2),eth(');
  }
});

it('writes capture files with nanoseconds, here or to standard output, until it is interrupted', async () => {
  const file = join(directory, 'out.pcap');
  const stop = new AbortController();
  setTimeout(() => stop.abort(), 100);
  const { code, error } = await until(stop.signal, [
    'capture',
    '-w',
    file,
    '--flow',
    'in_port(p1),eth(),eth_type(0x88b5)',
  ]);
  expect(code).toBe(0);
  const records = readPcap(readFileSync(file));
  expect(error).toBe(`${records.length} packets captured\n`);
  expect(records.length).toBeGreaterThan(2);
  for (const { data, originalLength } of records)
    expect([hex(data), originalLength]).toEqual([hex(FRAME), 60]);
  const piped = await cli('capture', '-w', '-', '--count', '1', '--snaplen', '14');
  expect(readPcap(piped.bytes)).toMatchObject([{ originalLength: 60, data: { length: 14 } }]);
  expect([piped.out, piped.error]).toEqual(['', '1 packet captured\n']);
});

it.each([
  [['--port', 'p9'], 2, '"p9" is no port of netdev@br0'],
  [['--direction', 'up'], 1, '--direction up is none; give in, out or both'],
  [['--flow', 'eth('], 1, 'the flow "eth(" cannot be read'],
  [['--count', '0'], 1, '--count 0 is not a whole number from 1'],
  [['-w', '/nowhere/x.pcap'], 2, 'the capture file /nowhere/x.pcap cannot be written'],
  [['-w', '/dev/full'], 2, 'the capture file /dev/full cannot be written: ENOSPC'],
  [['-w', '-', '--json'], 1, 'a capture file is no JSON'],
  [['br9'], 2, 'no datapath is called "br9"'],
] as const)('capture %j is refused', async (argv, code, message) => {
  const outcome = await cli('capture', ...argv);
  expect(outcome.error).toContain(message);
  expect(outcome.code).toBe(code);
});
