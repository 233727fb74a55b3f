/** A run: sessions, one script each, until enough steps are compared; what failed is made short and printed. */

import { stepsOf } from '@etherloom/conformance';
import fc from 'fast-check';
import { EtherloomPeer } from './peers/etherloom.js';
import { OpenVswitchPeer } from './peers/open-vswitch.js';
import { commandsOf, scriptArbitrary } from './scripts/script.js';
import { lives, playSession, type SessionResult } from './session.js';
import { shorten } from './shorten.js';

export interface RunOptions {
  readonly steps: number;
  /** Of the first script; the others have the numbers that follow. */
  readonly seed: number;
  readonly minutes: number;
  say(text: string): void;
  readonly signal: AbortSignal;
}

export interface RunResult {
  readonly steps: number;
  readonly sessions: number;
  readonly failed: number;
  /** Number of sessions by rule that explains a difference in them. */
  readonly rules: Readonly<Record<string, number>>;
}

const SEEDS_PER_LIMIT = 25;
/** Milliseconds that may be spent on making one failing script shorter. */
const SHORTEN_TIME = 60_000;
/** Failing scripts after which a run gives up: they are rarely different mistakes. */
const MAX_FAILED = 10;

/** VLAN tags that the daemons parse: 1 and 2 by turns, a range of seeds each, since daemons are started for one of them. */
const vlanLimit = (seed: number): number => 1 + (Math.floor(seed / SEEDS_PER_LIMIT) % 2);

export class DifferentialRun {
  readonly #options: RunOptions;
  readonly #rules: Record<string, number> = {};
  #steps = 0;
  #sessions = 0;
  #failed = 0;
  #ends = 0;

  constructor(options: RunOptions) {
    this.#options = options;
  }

  async all(): Promise<RunResult> {
    const { say, seed, minutes, steps, signal } = this.#options;
    this.#ends = performance.now() + minutes * 60_000;
    say(`differential: seed ${seed}, ${steps} steps, ${minutes} minutes at most`);
    while (!this.#done()) await this.#turn(vlanLimit(seed + this.#sessions));
    const rules = Object.entries(this.#rules).sort();
    say(`${this.#steps} steps in ${this.#sessions} sessions, ${this.#failed} failed`);
    if (rules.length > 0) say('sessions with known differences:');
    for (const [rule, count] of rules) say(`  ${rule}: ${count}`);
    if (signal.aborted) say('interrupted');
    return { steps: this.#steps, sessions: this.#sessions, failed: this.#failed, rules: this.#rules };
  }

  #done(): boolean {
    const { steps, signal } = this.#options;
    return (
      signal.aborted || this.#steps >= steps || this.#failed >= MAX_FAILED || performance.now() > this.#ends
    );
  }

  async #turn(limit: number): Promise<void> {
    const pair = await Pair.start(limit, this.#options.say);
    try {
      for (;;) {
        const seed = this.#options.seed + this.#sessions;
        if (this.#done() || vlanLimit(seed) !== limit) break;
        this.#sessions++;
        await this.#session(pair, seed);
      }
    } finally {
      await pair.stop();
    }
  }

  async #session(pair: Pair, seed: number): Promise<void> {
    const [script] = fc.sample(scriptArbitrary, { seed, numRuns: 1 });
    if (script === undefined) throw new Error(`seed ${seed} gives no script`);
    const commands = commandsOf(script);
    let result = await pair.play(commands);
    if (result.unexplained.length > 0) {
      // Open vSwitch writes behind packets that are too short for what is set in them: its memory may be from another script.
      await pair.restart();
      result = await pair.play(commands);
    }
    this.#steps += result.compared;
    for (const rule of result.rules) this.#rules[rule] = (this.#rules[rule] ?? 0) + 1;
    if (result.unexplained.length === 0) return;
    this.#failed++;
    const until = performance.now() + SHORTEN_TIME;
    const enough = (): boolean => performance.now() > until || this.#options.signal.aborted;
    this.#show(seed, await shorten(commands, result, (shorter) => pair.play(shorter), enough));
  }

  #show(seed: number, { record, unexplained }: SessionResult): void {
    const { say } = this.#options;
    say(`FAILED: seed ${seed} ("--seed ${seed} --steps 1" plays it again); what is left of it:`);
    const at = (index: number): string[] =>
      unexplained.filter((difference) => difference.startsWith(`steps[${index}]`));
    const steps = stepsOf(record);
    const last = steps.findLastIndex((_, index) => at(index).length > 0);
    for (const [index, { cmd }] of steps.slice(0, last + 1).entries()) {
      say(`  [${index}] ${cmd.map(quoted).join(' ')}`);
      for (const difference of at(index)) say(essence(difference).replace(/^/gm, '      '));
    }
  }
}

/** As one would type it. */
const quoted = (word: string): string => (/^[\w@./=,:-]+$/.test(word) ? word : `'${word}'`);

/** A difference of whole texts as the lines that differ. */
function essence(difference: string): string {
  const [, field = '', want = '', have = ''] = /^(.*)\n {2}want (.*)\n {2}have (.*)$/.exec(difference) ?? [];
  if (!want.includes('\\n') && !have.includes('\\n')) return difference;
  const [wanted, had] = [want, have].map((json) => String(JSON.parse(json)).split('\n'));
  const only = (lines: string[] = [], others: string[] = []) =>
    lines.filter((line) => !others.includes(line));
  return [
    field,
    ...only(wanted, had).map((line) => `  want ${line}`),
    ...only(had, wanted).map((line) => `  have ${line}`),
  ].join('\n');
}

/** The two daemons of a turn. Open vSwitch is started again when a script ended it. */
class Pair {
  readonly #vlanLimit: number;
  readonly #etherloom: EtherloomPeer;
  readonly #say: (text: string) => void;
  #openVswitch: OpenVswitchPeer;

  private constructor(
    vlanLimit: number,
    openVswitch: OpenVswitchPeer,
    etherloom: EtherloomPeer,
    say: (text: string) => void,
  ) {
    this.#vlanLimit = vlanLimit;
    this.#say = say;
    this.#openVswitch = openVswitch;
    this.#etherloom = etherloom;
  }

  static async start(vlanLimit: number, say: (text: string) => void): Promise<Pair> {
    const openVswitch = await OpenVswitchPeer.start(vlanLimit);
    try {
      return new Pair(vlanLimit, openVswitch, await EtherloomPeer.start(vlanLimit), say);
    } catch (error) {
      await openVswitch.stop();
      throw error;
    }
  }

  async play(commands: readonly (readonly string[])[]): Promise<SessionResult> {
    await Promise.all([this.#resetOpenVswitch(), this.#etherloom.reset()]);
    const result = await playSession(this.#openVswitch, this.#etherloom, commands, this.#vlanLimit);
    if (result.died) await this.#replaceDead();
    return result;
  }

  /** What a script did to its memory may end it only now. */
  async #resetOpenVswitch(): Promise<void> {
    try {
      await this.#openVswitch.reset();
    } catch (error) {
      if (await lives(this.#openVswitch)) throw error;
      await this.#replaceDead();
    }
  }

  async #replaceDead(): Promise<void> {
    this.#say(`Open vSwitch ended by itself: ${this.#openVswitch.lastWords || 'without a word'}`);
    await this.restart();
  }

  /** A new Open vSwitch. */
  async restart(): Promise<void> {
    await this.#openVswitch.stop();
    this.#openVswitch = await OpenVswitchPeer.start(this.#vlanLimit);
  }

  async stop(): Promise<void> {
    await Promise.all([this.#openVswitch.stop(), this.#etherloom.stop()]);
  }
}
