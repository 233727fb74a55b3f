/** Entry of the command `etherloom`. */

import { main } from './etherloom/main.js';

// `etherloom dump-flows | head` closes the pipe early: that is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

const terminal = process.stdout.isTTY === true;
process.exitCode = await main(process.argv.slice(2), {
  out: (text) => void process.stdout.write(text),
  error: (text) => void process.stderr.write(text),
  screen: { terminal, colour: terminal && process.env.NO_COLOR === undefined },
});
