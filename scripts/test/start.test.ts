/** `npm start` as a new user has it: the whole lab, an interrupted one, and one without privileges. */

import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { describe, expect, it } from 'vitest';
import { missing } from '../../packages/netdev-afxdp/test/harness.js';
import { requirePrivileges, run } from '../../tools/testkit/src/index.js';

const START = new URL('../start.mjs', import.meta.url).pathname;

interface Outcome {
  pid: number;
  code: number | null;
  output: string;
}

/** Runs start.mjs to its end; `watch` sees the output as it grows. */
function start(options: {
  args?: string[];
  uid?: number;
  watch?: (output: string, interrupt: () => void) => void;
}): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [START, ...(options.args ?? [])], {
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
    });
    let output = '';
    const collect = (data: Buffer) => {
      output += data.toString();
      options.watch?.(output, () => child.kill('SIGINT'));
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    child.on('error', reject);
    child.on('close', (code) => resolve({ pid: child.pid ?? 0, code, output }));
  });
}

/** What a lab of process `pid` left on the machine. */
async function leftovers(pid: number): Promise<string[]> {
  const netns = (await run('ip', ['netns', 'list']))
    .split('\n')
    .filter((line) => line.startsWith(`el${pid}-`));
  const devices = readdirSync('/sys/class/net').filter((name) => name === `el${pid}`);
  return [...netns, ...devices];
}

const runDirs = () => readdirSync(tmpdir()).filter((name) => name.startsWith('etherloom-lab-'));

describe('npm start', () => {
  for (const driver of ['tap', 'afxdp']) {
    it(`forwards real traffic without loss and removes everything: ${driver}`, {
      timeout: 120_000,
    }, async (context) => {
      requirePrivileges(context, 'root', 'tun', 'netns');
      if (driver === 'afxdp') {
        const lacking = await missing('afxdp');
        if (lacking !== undefined) context.skip(lacking);
      }
      const before = runDirs();
      const { pid, code, output } = await start({ args: ['--driver', driver] });
      expect(output).not.toContain('FAIL');
      expect(output.match(/0 % loss/g)).toHaveLength(2);
      expect(output.match(/SHA-256 equal at both ends/g)).toHaveLength(2);
      expect(output).toMatch(/ok {4}megaflows: [1-4] for/);
      expect(code).toBe(0);
      expect(await leftovers(pid)).toEqual([]);
      expect(runDirs()).toEqual(before);
    });
  }

  it('removes everything when it is interrupted half-way', { timeout: 120_000 }, async (context) => {
    requirePrivileges(context, 'root', 'tun', 'netns');
    const before = runDirs();
    let interrupted = false;
    const { pid, code, output } = await start({
      watch: (seen, interrupt) => {
        if (interrupted || !seen.includes('== TCP')) return;
        interrupted = true;
        interrupt();
      },
    });
    expect(output).toContain('everything was removed');
    expect(code).toBe(130);
    expect(await leftovers(pid)).toEqual([]);
    expect(runDirs()).toEqual(before);
  });

  it('leaves a kept lab running without a hold on our pipes, and takes it down', {
    timeout: 120_000,
  }, async (context) => {
    requirePrivileges(context, 'root', 'tun', 'netns');
    const before = runDirs();
    const { pid, code, output } = await start({ args: ['--keep'] });
    try {
      expect(code).toBe(0);
      expect(output).toContain('The lab keeps running');
      expect(await leftovers(pid)).toHaveLength(3);
    } finally {
      expect(await start({ args: ['--stop'] })).toMatchObject({ code: 0 });
    }
    expect(await leftovers(pid)).toEqual([]);
    expect(runDirs()).toEqual(before);
  });

  it('says in one sentence what is missing without root', async (context) => {
    requirePrivileges(context, 'root');
    const { code, output } = await start({ uid: 65_534 });
    expect(code).toBe(1);
    expect(output.trim().split('\n')).toHaveLength(1);
    expect(output).toMatch(/root/);
  });
});
