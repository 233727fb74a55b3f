/** Entry of the command `etherloom`. */

import { once } from 'node:events';
import { EXIT_SERVER } from './etherloom/errors.js';
import { main } from './etherloom/main.js';

const { stdout, stderr } = process;
/** Milliseconds that a command has to end well when it is told to. */
const GRACE = 500;
const over = new AbortController();
const ended = once(over.signal, 'abort');

/** Commands that go on for ever hear of it and end well; what does not hear ends with `exitCode`. */
function end(exitCode: number): void {
  over.abort();
  setTimeout(() => process.exit(exitCode), GRACE).unref();
}

// `etherloom dump-flows | head` closes the pipe early: that is no error.
stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') return end(0);
  stderr.write(`etherloom: the answer cannot be written: ${error.message}\n`);
  process.exit(EXIT_SERVER);
});
// The exit codes that shells know.
process.once('SIGINT', () => end(130));
process.once('SIGTERM', () => end(143));

/** Not events.once, which would reject for the error of a pipe that was closed. */
const drained = (): Promise<void> => new Promise((resolve) => stdout.once('drain', () => resolve()));

const terminal = stdout.isTTY === true;
process.exitCode = await main(process.argv.slice(2), {
  out: async (data) => {
    if (!stdout.write(data) && !stdout.destroyed) await Promise.race([drained(), ended]);
  },
  error: (text) => void stderr.write(text),
  // https://no-color.org: what the variable says does not matter, unless it is empty.
  screen: { terminal, colour: terminal && !process.env.NO_COLOR },
  signal: over.signal,
});
