/** The log: JSON lines in the run directory, and on standard error when asked. Control path only. */

import pino, { type Logger } from 'pino';

export type { Logger } from 'pino';

export interface LogInit {
  readonly file: string;
  readonly level: string;
  readonly stderr: boolean;
}

/** Opens the log. Writing is synchronous: a daemon that dies must have said why, and it says little. */
export function openLog({ file, level, stderr }: LogInit): Logger {
  const streams = [pino.destination({ dest: file, mode: 0o600, sync: true })];
  if (stderr) streams.push(pino.destination({ dest: 2, sync: true }));
  for (const stream of streams) {
    // A full disk or a closed terminal costs log lines, not the switch.
    stream.on('error', () => {});
  }
  return pino(
    { level, base: { pid: process.pid } },
    pino.multistream(streams.map((stream) => ({ stream, level: 'trace' }))),
  );
}
