/** The differential run: a short one beside the real Open vSwitch, and its parts without one. */

import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { whyNoOpenVswitch } from '../src/peers/open-vswitch.js';
import { DifferentialRun } from '../src/run.js';
import { commandsOf, scriptArbitrary } from '../src/scripts/script.js';
import type { SessionResult } from '../src/session.js';
import { shorten } from '../src/shorten.js';
import { leakedSince, OVS_3_1 } from '../src/versions.js';

const missing = whyNoOpenVswitch();
const why = missing === undefined ? '' : ` (skipped: ${missing})`;

const home = mkdtempSync(join(tmpdir(), 'etl-differential-'));
afterAll(() => rmSync(home, { recursive: true }));
afterEach(() => void vi.unstubAllEnvs());

describe(`beside Open vSwitch${why}`, () => {
  it.skipIf(missing !== undefined)(
    'a short run finds no difference but known ones, and leaves nothing behind',
    async () => {
      // Other runs make folders in the same place.
      vi.stubEnv('TMPDIR', home);
      const said: string[] = [];
      const run = new DifferentialRun({
        steps: 150,
        seed: 1,
        minutes: 4,
        say: (text) => said.push(text),
        signal: new AbortController().signal,
      });
      const { failed, steps } = await run.all();
      expect(said.filter((text) => text.startsWith('FAILED') || text.startsWith('  ['))).toEqual([]);
      expect(failed).toBe(0);
      expect(steps).toBeGreaterThanOrEqual(150);
      expect(readdirSync(home)).toEqual([]);
    },
    300_000,
  );
});

describe('scripts', () => {
  it('are the same for the same seed, and hold packets, flows and mistakes', () => {
    const sample = (seed: number) => fc.sample(scriptArbitrary, { seed, numRuns: 20 }).map(commandsOf);
    expect(sample(5)).toEqual(sample(5));
    expect(sample(5)).not.toEqual(sample(6));
    const names = new Set(sample(5).flatMap((commands) => commands.map(([name]) => name)));
    for (const name of ['dpctl/add-flow', 'netdev-dummy/receive', '@pcap', 'dpctl/add-if', 'time/warp']) {
      expect(names).toContain(name);
    }
  });
});

describe('a failing script', () => {
  const commands = Array.from({ length: 40 }, (_, i) => [String(i)]);
  /** Fails at `last` when all of `needed` are there in front of it. */
  const playing =
    (needed: readonly string[], last: string) =>
    async (script: readonly (readonly string[])[]): Promise<SessionResult> => {
      const words = script.map(([word]) => word!);
      const at = words.indexOf(last);
      const fails = at >= 0 && needed.every((word) => words.indexOf(word) >= 0 && words.indexOf(word) < at);
      const differences = fails ? [`steps[${at}].exit: want 0, have 2`] : [];
      const record = { steps: script.map((cmd) => ({ cmd })) };
      return {
        record,
        compared: script.length,
        died: false,
        differences,
        unexplained: differences,
        rules: [],
      };
    };
  const left = ({ record }: SessionResult): unknown => record.steps;

  it.each([
    [['3', '17', '29'], '31'],
    [[], '0'],
    [['0'], '39'],
    [['37', '38'], '39'],
  ])('is made as short as %j in front of %s', async (needed, last) => {
    const play = playing(needed, last);
    const found = await shorten(commands, await play(commands), play, () => false);
    expect(left(found)).toEqual([...needed, last].map((word) => ({ cmd: [word] })));
  });

  it('stays as it is when there is no time, but for what is behind the difference', async () => {
    const play = playing(['3'], '9');
    const found = await shorten(commands, await play(commands), play, () => true);
    expect(left(found)).toEqual(commands.slice(0, 10).map((cmd) => ({ cmd })));
  });
});

describe('answers of Open vSwitch 3.1', () => {
  const today = (cmd: string[], stdout: string): string =>
    OVS_3_1.reduce((outcome, rule) => rule.update(cmd, outcome), { exit: 0, stdout, stderr: '' }).stdout;

  it('are brought up to date', () => {
    expect(
      today(
        ['dpctl/dump-flows', '-m'],
        'ufid:a, skb_priority(0/0),skb_mark(0/0),ct_state(0/0),recirc_id(0),dp_hash(0/0),in_port(p1),eth()\n',
      ),
    ).toBe(
      'ufid:a, recirc_id(0),dp_hash(0/0),skb_priority(0/0),in_port(p1),skb_mark(0/0),ct_state(0/0),eth()\n',
    );
    expect(today(['dpctl/dump-flows'], 'skb_mark(0x5),recirc_id(0),in_port(1),eth()\n')).toBe(
      'recirc_id(0),in_port(1),skb_mark(0x5),eth()\n',
    );
    expect(today(['dpctl/show', '-s'], '    RX bytes:0  TX bytes:0\n')).toBe(
      '    RX bytes:0  TX bytes:0\n    UPCALL packets:? errors:?\n',
    );
    expect(today(['dpctl/show'], 'b@b:\n  flows: 0\na@a:\n')).toBe('a@a:\nb@b:\n  flows: 0\n');
    expect(today(['dpctl/show', 'b@b', 'a@a'], 'b@b:\na@a:\n')).toBe('b@b:\na@a:\n');
    expect(
      today(
        ['dpctl/normalize-actions'],
        'input flow: eth_type(0x8100),vlan(vid=5,pcp=0)\nno vlan: no mpls: 4vlan(vid=9,pcp=1): vlan(vid=5,pcp=0): no mpls: set(tcp(src=9)),2\n',
      ),
    ).toBe(
      'input flow: eth_type(0x8100),vlan(vid=5,pcp=0)\nno vlan: no mpls: 4\nvlan(vid=9,pcp=1): vlan(vid=5,pcp=0): no mpls: set(tcp(src=9)),2\n',
    );
  });

  it('may show a device that should be gone, from one step on', () => {
    const difference = (step: number, want: string, have: string): string =>
      `steps[${step}].stderr:1\n  want ${JSON.stringify(want)}\n  have ${JSON.stringify(have)}`;
    const exists = 'vs: a1: failed to open network device (File exists)';
    const leak = leakedSince([difference(3, 'x', 'y'), difference(5, exists, ''), difference(6, 'x', 'y')]);
    expect([2, 5, 6].map((step) => leak(difference(step, 'x', 'y')))).toEqual([false, true, true]);
    expect(leakedSince([difference(5, exists, exists)])(difference(6, 'x', 'y'))).toBe(false);
  });
});
