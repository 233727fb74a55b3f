/** `npm run switchd|etherloom|bench|conformance|... -- ARGS`: builds what is stale, then runs the program in this process. */

import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { bootstrap, root, runMain, UserError } from './lib/bootstrap.mjs';

const programs = {
  switchd: 'apps/switchd/bin/switchd.js',
  etherloom: 'packages/cli/bin/etherloom.js',
  bench: 'bench/dist/main.js',
  conformance: 'tools/conformance/dist/main.js',
  differential: 'tools/differential/dist/main.js',
  fuzz: 'tools/fuzz/dist/main.js',
  soak: 'tools/soak/dist/main.js',
};

await runMain(async () => {
  const [name, ...args] = process.argv.slice(2);
  if (!(name in programs)) {
    throw new UserError(`no program is called "${name}"; there are ${Object.keys(programs).join(', ')}.`);
  }
  bootstrap();
  const file = join(root, programs[name]);
  process.argv = [process.argv[0], file, ...args];
  // "etherloom doctor" asks the program that has the drivers.
  process.env.ETHERLOOM_SWITCHD ??= join(root, programs.switchd);
  await import(pathToFileURL(file).href);
});
