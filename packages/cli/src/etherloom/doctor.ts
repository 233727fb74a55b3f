/** `etherloom doctor`: whether this machine has what ports need. The program switchd, which has the drivers, finds it out. */

import { execFile } from 'node:child_process';
import { JsonShapeError } from '../json.js';
import { type CliCommand, print } from './command.js';
import { CliError, EXIT_SERVER } from './errors.js';
import { styled } from './render.js';
import type { Screen } from './session.js';

/** The program, where it is not on the PATH. */
const PROGRAM = 'ETHERLOOM_SWITCHD';
const TIMEOUT = 60_000;
const STYLES = { ok: 'green', note: 'bold', warn: 'yellow', fail: 'red' } as const;
const COLUMN = Math.max(...Object.keys(STYLES).map(({ length }) => length));

/** One thing that was found out. */
export type DoctorCheck = {
  /** `machine`, `drivers`, or `interface NAME`. */
  readonly group: string;
  readonly name: string;
  readonly result: keyof typeof STYLES;
  readonly detail: string;
  readonly advice?: string;
};

export const DOCTOR: CliCommand = {
  name: 'doctor',
  usage: '[INTERFACE...]',
  minArgs: 0,
  maxArgs: Number.POSITIVE_INFINITY,
  datapaths: 'none',
  summary:
    'what this machine has and lacks for ports, and what to do; tries each driver in a namespace of its own',
  options: [],
  examples: ['etherloom doctor', 'etherloom doctor eth1 eth2', 'etherloom doctor --json'],
  local: true,
  async run(call) {
    const checks = readChecks(await runDoctor(call.args));
    const failed = checks.filter(({ result }) => result === 'fail').length;
    const text = renderDoctor(checks, call.streams.screen);
    await print(call, { text, json: { ok: failed === 0, checks } });
    if (failed > 0) throw new CliError(failed === 1 ? 'one check failed' : `${failed} checks failed`);
  },
};

/** What `switchd --doctor` prints; that it exits with 1 says no more than the checks do. */
function runDoctor(interfaces: readonly string[]): Promise<string> {
  const program = process.env[PROGRAM] ?? 'switchd';
  return new Promise((resolve, reject) => {
    execFile(program, ['--doctor', ...interfaces], { timeout: TIMEOUT }, (error, stdout, stderr) => {
      if (error === null || error.code === 1) resolve(stdout);
      else if (error.code === 'ENOENT') {
        reject(
          new CliError(
            `the program "${program}" cannot be found, which has the drivers: install @etherloom/switchd, or say in ${PROGRAM} where it is`,
          ),
        );
      } else
        reject(new CliError(`${program} --doctor failed: ${stderr.trim() || error.message}`, EXIT_SERVER));
    });
  });
}

function readChecks(text: string): DoctorCheck[] {
  let diagnosis: unknown;
  try {
    diagnosis = JSON.parse(text);
  } catch {
    throw new JsonShapeError('a diagnosis that is not JSON');
  }
  if (typeof diagnosis === 'object' && diagnosis !== null && 'checks' in diagnosis) {
    const { checks } = diagnosis;
    if (Array.isArray(checks) && checks.every(isCheck)) return checks;
  }
  throw new JsonShapeError('a diagnosis of another shape');
}

function isCheck(value: unknown): value is DoctorCheck {
  if (typeof value !== 'object' || value === null) return false;
  const members = new Map<string, unknown>(Object.entries(value));
  const result = members.get('result');
  return (
    ['group', 'name', 'detail'].every((name) => typeof members.get(name) === 'string') &&
    typeof result === 'string' &&
    result in STYLES &&
    ['string', 'undefined'].includes(typeof members.get('advice'))
  );
}

/** A table for each group, and below what is not as it should be what to do about it. */
function renderDoctor(checks: readonly DoctorCheck[], screen: Screen): string {
  const width = Math.max(...checks.map(({ name }) => name.length));
  const lines: string[] = [];
  let before: string | undefined;
  for (const { group, name, result, detail, advice } of checks) {
    if (group !== before) lines.push(...(before === undefined ? [] : ['']), styled(screen, 'bold', group));
    before = group;
    lines.push(
      `  ${styled(screen, STYLES[result], result.padEnd(COLUMN))}  ${name.padEnd(width)}  ${detail}`,
    );
    if (advice !== undefined) lines.push(`${' '.repeat(COLUMN + width + 6)}-> ${advice}`);
  }
  return lines.map((line) => `${line}\n`).join('');
}
