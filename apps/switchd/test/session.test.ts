/** The session with ovs-appctl in the README works as it is printed. */

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from '@etherloom/testkit';
import { expect, it } from 'vitest';

const README = new URL('../README.md', import.meta.url);
const SWITCHD = fileURLToPath(new URL('../bin/switchd.js', import.meta.url));
/** The run directory that the README names. */
const PRINTED = '/tmp/etherloom';

/** The commands of the session, each with what it prints. */
function session(): { command: string; output: string }[] {
  const section = readFileSync(README, 'utf8').split('## A session with ovs-appctl')[1] ?? '';
  const block = /```console\n(.*?)```/s.exec(section)?.[1] ?? '';
  return block
    .split(/^\$ /m)
    .slice(1)
    .map((text) => {
      const end = text.indexOf('\n');
      return { command: text.slice(0, end), output: text.slice(end + 1) };
    });
}

it('the session of the README prints what the README says', async (context) => {
  if (spawnSync('ovs-appctl', ['--version']).status !== 0) {
    context.skip('needs ovs-appctl: install it (Debian package openvswitch-common)');
  }
  const directory = mkdtempSync(join(tmpdir(), 'switchd-session-'));
  try {
    const bin = join(directory, 'bin');
    mkdirSync(bin);
    writeFileSync(join(bin, 'switchd'), `#!/bin/sh\nexec ${process.execPath} ${SWITCHD} "$@"\n`, {
      mode: 0o755,
    });
    const runDir = join(directory, 'run');
    const steps = session();
    expect(steps.length).toBeGreaterThan(10);
    const script = steps.map(({ command }) => `printf '\\n$\\n'\n${command}`).join('\n');
    const file = join(directory, 'session.sh');
    writeFileSync(
      file,
      `exec 2>&1\ntrap 'kill %1 2> /dev/null' EXIT\n${script.replaceAll(PRINTED, runDir)}\nwait\n`,
    );
    const printed = await run('bash', [file], {
      env: { PATH: `${bin}${delimiter}${process.env.PATH}` },
      timeout: 25_000,
    });
    const outputs = printed.split('\n$\n').slice(1);
    expect(steps.map(({ command }, i) => ({ command, output: outputs[i] }))).toEqual(steps);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
