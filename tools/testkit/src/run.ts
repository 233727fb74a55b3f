/** Runs programs for tests: output as text, failures as errors that show what the program said. */

import { execFile } from 'node:child_process';

export interface RunOptions {
  /** Text for the program's standard input; it is closed either way. */
  readonly input?: string;
  /** Milliseconds after which the program is killed and the call rejects; default 20,000. */
  readonly timeout?: number;
  readonly cwd?: string;
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
}

/**
 * Runs `command` without a shell and resolves to its standard output. Rejects, with both outputs in the message, when it
 * cannot be started, exits with anything but 0, or takes too long. The event loop stays free: code under test in this
 * process may be what the command talks to.
 */
export function run(
  command: string,
  args: readonly string[] = [],
  options: RunOptions = {},
): Promise<string> {
  const timeout = options.timeout ?? 20_000;
  return new Promise((resolve, reject) => {
    const child = execFile(
      command,
      args,
      {
        encoding: 'utf8',
        timeout,
        killSignal: 'SIGKILL',
        maxBuffer: 64 * 1024 * 1024,
        cwd: options.cwd,
        env: { ...process.env, ...options.env },
      },
      (error, stdout, stderr) => {
        if (error === null) {
          resolve(stdout);
          return;
        }
        const how = error.killed
          ? `was killed after ${timeout} ms`
          : typeof error.code === 'number'
            ? `exited with ${error.code}`
            : `failed (${error.code ?? error.signal ?? error.message})`;
        const said = `${stderr}${stdout}`.trim();
        reject(new Error(`"${[command, ...args].join(' ')}" ${how}${said === '' ? '' : `: ${said}`}`));
      },
    );
    // A program that exits without reading its input must not end the test run by EPIPE; its exit code tells.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(options.input ?? '');
  });
}
