/** The test kit against published frames, the address parser of Node's URL, and the real machine. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, mkdtempSync, openSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import {
  checksum,
  ethernet,
  hex,
  icmp,
  ipv4,
  ipv6,
  ipv6Bytes,
  missingPrivileges,
  openFds,
  pad,
  pattern,
  readmeExamples,
  requirePrivileges,
  run,
  tcp,
  udp,
  unhex,
  withNetns,
} from '../src/index.js';

describe('frames', () => {
  test('an IPv4 header has the checksum that is published for it', () => {
    const packet = ipv4(
      { src: '192.168.0.1', dst: '192.168.0.199', dontFragment: true },
      udp({ src: 53, dst: 53 }, pattern(87)),
    );
    expect(hex(packet.bytes.subarray(0, 20))).toBe('45000073000040004011b861c0a80001c0a800c7');
  });

  test('a transport checksum makes the sum over pseudo header and segment all ones', () => {
    for (const make of [tcp({ src: 1, dst: 2 }, pattern(33)), udp({ src: 7, dst: 9 }, pattern(2))]) {
      const v4 = ipv4({ src: '10.0.0.1', dst: '10.0.0.2' }, make).bytes;
      const length = v4.length - 20;
      const pseudo4 = [...v4.subarray(12, 20), 0, v4[9]!, length >> 8, length & 255];
      expect(checksum(Uint8Array.of(...pseudo4, ...v4.subarray(20)))).toBe(0);
      const v6 = ipv6({ src: '2001:db8::1', dst: '::ffff:1.2.3.4' }, make).bytes;
      const pseudo6 = [...v6.subarray(8, 40), 0, 0, length >> 8, length & 255, 0, 0, 0, v6[6]!];
      expect(checksum(Uint8Array.of(...pseudo6, ...v6.subarray(40)))).toBe(0);
    }
    const ping = ipv4({ src: '10.0.0.1', dst: '10.0.0.2' }, icmp({ type: 8, rest: 0x10002 })).bytes;
    expect(checksum(ping.subarray(20))).toBe(0);
  });

  test('tags, padding and addresses stand where they belong', () => {
    const packet = ipv6({ src: '::', dst: '::' }, icmp({ type: 135 }));
    const frame = pad(
      ethernet({ vlans: [{ vid: 4095, pcp: 7, dei: true, tpid: 0x88a8 }, { vid: 1 }] }, packet),
      100,
    );
    expect(hex(frame.subarray(0, 24))).toBe(
      `020000000002020000000001${'88a8ffff'}${'81000001'}${'86dd'}6000`,
    );
    expect(frame.length).toBe(100);
    expect(hex(ipv6Bytes('2001:db8::8:0:1'))).toBe('20010db8000000000000000800000001');
    expect(hex(ipv6Bytes('::'))).toBe('0'.repeat(32));
    expect(() => ethernet({ vlans: [{ vid: 4096 }] }, packet)).toThrow('vid 4096 does not fit 12 bits');
    expect(() => ethernet({ src: 'aa:bb' }, packet)).toThrow('"aa:bb" is not an Ethernet address');
    expect(() => unhex('abc')).toThrow('not hexadecimal');
  });
});

describe('machine', () => {
  test('a missing program is named with what to do', () => {
    const path = process.env.PATH;
    process.env.PATH = '/nonexistent';
    try {
      expect(missingPrivileges(['iperf3'])).toMatch(/^needs the program "iperf3": install it/);
    } finally {
      process.env.PATH = path;
    }
  });

  test('run reports what the program said', async () => {
    expect(await run('cat', [], { input: 'hello' })).toBe('hello');
    await expect(run('sh', ['-c', 'echo no such thing >&2; exit 3'])).rejects.toThrow(
      'exited with 3: no such thing',
    );
    await expect(run('no-such-program-here')).rejects.toThrow('failed (ENOENT)');
  });

  test('openFds counts a file that is open', () => {
    const before = openFds();
    const fd = openSync('/dev/null', 'r');
    expect(openFds()).toBe(before + 1);
    closeSync(fd);
    expect(openFds()).toBe(before);
  });

  test('a namespace works, and goes away also when its body fails', async (context) => {
    requirePrivileges(context, 'netns');
    let name = '';
    const failing = withNetns(async (netns) => {
      name = netns.name;
      expect(await netns.ip('link', 'show', 'lo')).toContain('UP');
      expect(readdirSync('/run/netns')).toContain(name);
      netns.spawn('sleep', ['100']);
      throw new Error('on purpose');
    });
    await expect(failing).rejects.toThrow('on purpose');
    expect(readdirSync('/run/netns')).not.toContain(name);
  });

  test('a process that is interrupted takes its namespaces with it', async (context) => {
    requirePrivileges(context, 'netns');
    const folder = mkdtempSync(join(tmpdir(), 'etherloom-testkit-'));
    const dist = new URL('../dist/index.js', import.meta.url);
    await run(process.execPath, [
      fileURLToPath(new URL('../../../node_modules/typescript/bin/tsc', import.meta.url)),
      '-b',
      fileURLToPath(new URL('..', import.meta.url)),
    ]);
    const script = join(folder, 'hold.mjs');
    writeFileSync(
      script,
      `import { Netns } from ${JSON.stringify(dist.href)};
       console.log((await Netns.create()).name); setInterval(() => {}, 1000);`,
    );
    const child = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [first] = await once(child.stdout, 'data');
    const name = String(first).trim();
    expect(readdirSync('/run/netns')).toContain(name);
    child.kill('SIGINT');
    const [, signal] = await once(child, 'exit');
    expect(signal).toBe('SIGINT');
    expect(readdirSync('/run/netns')).not.toContain(name);
    rmSync(folder, { recursive: true });
  });
});

describe('readmeExamples', () => {
  const folders: string[] = [];
  afterAll(() => {
    for (const folder of folders) rmSync(folder, { recursive: true });
  });
  const readme = (text: string): URL => {
    const folder = mkdtempSync(join(tmpdir(), 'etherloom-readme-'));
    folders.push(folder);
    mkdirSync(join(folder, 'test'));
    writeFileSync(join(folder, 'README.md'), text);
    return pathToFileURL(join(folder, 'README.md'));
  };

  test('runs TypeScript and compares the output', async () => {
    const url = readme(
      '# X\n\n```ts\nconst n: number = 1;\nconsole.log("n is", n);\n```\n\n```text\nn is 1\n```\n',
    );
    const [example] = readmeExamples(url);
    expect(example?.name).toBe('example at line 4');
    expect(await example?.run()).toBe('n is 1\n');
    const [wrong] = readmeExamples(readme('```ts\nconsole.log(2)\n```\n```text\n3\n```\n'));
    await expect(wrong?.run()).rejects.toThrow('prints\n3\nbut it prints\n2\n');
    const [broken] = readmeExamples(readme('```ts\nthrow new Error("broken");\n```\n'));
    await expect(broken?.run()).rejects.toThrow('broken');
    expect(() => readmeExamples(readme('# nothing\n'))).toThrow('nothing to run');
  });
});
