/** Our daemon as a contestant: the learning switch, inline on its main thread, or with one poll-mode thread. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Netns, run } from '@etherloom/testkit';
import type { Contestant } from './contestant.js';

const SWITCHD = fileURLToPath(new URL('../../../apps/switchd/bin/switchd.js', import.meta.url));

async function start(
  type: string,
  threads: number,
  home: Netns,
  ports: readonly string[],
  folder: string,
  core: number,
): Promise<void> {
  const config = join(folder, 'switch.json');
  const datapath = { name: 'br0', ports: ports.map((name) => ({ name, type })) };
  const pmd = threads === 0 ? {} : { pmdThreads: threads, pmdCpus: [core] };
  writeFileSync(config, JSON.stringify({ runDir: folder, logLevel: 'warn', ...pmd, datapaths: [datapath] }));
  const child = home.spawn(process.execPath, [SWITCHD, '--config', config]);
  await new Promise<void>((resolve, reject) => {
    let output = '';
    const take = (data: unknown): void => {
      output += String(data);
      if (output.includes('switchd runs')) resolve();
    };
    child.stdout?.on('data', take);
    child.stderr?.on('data', take);
    child.once('exit', () => reject(new Error(`switchd ended: ${output.trim()}`)));
  });
  // Only the thread that forwards: the compiler's and the collector's may run elsewhere, as the peers' other threads do.
  if (threads === 0) await run('taskset', ['-p', '-c', String(core), String(child.pid)]);
}

function ours(kind: Contestant['kind'], type: string, threads: number): Contestant {
  return {
    name: threads === 0 ? 'inline' : 'one thread',
    ours: true,
    kind,
    takesFrames: true,
    missing: () => undefined,
    start: (home, ports, folder, core) => start(type, threads, home, ports, folder, core),
  };
}

const afxdpThread = ours('veth', 'afxdp', 1);
export const afxdp = {
  thread: afxdpThread,
  inline: ours('veth', 'afxdp', 0),
  /** With hosts as the peers need them; without, it finishes the hosts' checksums itself, which the peers do not. */
  checksums: {
    ...afxdpThread,
    name: 'one thread, hosts finish checksums',
    wantsChecksums: true,
    tcpOnly: true,
  },
};
export const tap = { thread: ours('tap', 'tap', 1), inline: ours('tap', 'tap', 0) };
