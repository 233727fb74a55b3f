/** Entry of the command `switchd`. */

import { main } from './main.js';

// A full disk or a closed pipe behind what it says costs the words, not the switch.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

process.exitCode = await main(process.argv.slice(2));
