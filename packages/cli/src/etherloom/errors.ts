/** Errors that end the command line with one sentence and an exit code. */

/** The command line itself is wrong, or there is no daemon to talk to. */
export const EXIT_USAGE = 1;
/** The daemon refused: the code that ovs-appctl uses for it. */
export const EXIT_SERVER = 2;

export class CliError extends Error {
  override readonly name = 'CliError';
  readonly exitCode: number;

  constructor(message: string, exitCode: number = EXIT_USAGE) {
    super(message);
    this.exitCode = exitCode;
  }
}
