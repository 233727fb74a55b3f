/** `npm run check`: lint and format, types of the tests, who may import whom, hot-path rules, package hygiene. */

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { bootstrap, pnpm, root, runMain, UserError } from './lib/bootstrap.mjs';
import { checkDirection, checkHotFiles, checkThreadModules } from './lib/rules.mjs';

function tool(what, file, args) {
  console.log(`check: ${what}`);
  const result = spawnSync(process.execPath, [join(root, 'node_modules', file), ...args], {
    cwd: root,
    stdio: 'inherit',
  });
  if (result.status !== 0) throw new UserError(`${what}: see above.`);
}

function rule(what, problems) {
  console.log(`check: ${what}`);
  if (problems.length > 0) throw new UserError(`${what}:\n  ${problems.join('\n  ')}`);
}

await runMain(async () => {
  bootstrap();
  tool('lint and format (biome)', '@biomejs/biome/bin/biome', ['ci', '--error-on-warnings', '.']);
  tool('types of the tests (tsc)', 'typescript/bin/tsc', ['-p', 'tsconfig.test.json']);
  rule('dependency direction', checkDirection());
  rule('hot-path files', checkHotFiles());
  rule('modules of poll-mode threads', checkThreadModules());
  console.log('check: packages (publint, attw)');
  pnpm('packages', ['exec', 'turbo', 'run', 'lint:package', '--output-logs=errors-only']);
});
