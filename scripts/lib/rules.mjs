/** Rules of the architecture that no linter knows: who may import whom, and what a hot-path file may not do. */

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { root } from './bootstrap.mjs';

/** Package folder -> the workspace packages that its sources may import (docs/architecture.md). */
const DIRECTION = {
  'packages/odp-codec': [],
  'packages/core': ['odp-codec'],
  'packages/netdev-linux': ['core'],
  'packages/netdev-tap': ['core', 'netdev-linux'],
  'packages/netdev-afxdp': ['core', 'netdev-linux'],
  'packages/netdev-dummy': ['core'],
  'packages/dpif-userspace': ['core', 'odp-codec'],
  'packages/compliance': ['core', 'odp-codec'],
  'packages/cli': ['core', 'odp-codec'],
};

/** Pattern -> why it may not stand in a hot-path file. Constructors and top-level initialisers may allocate. */
const HOT_RULES = [
  [/\bthrow\b/, 'throws'],
  [/\bawait\b|\basync\b|\bPromise\b/, 'awaits'],
  [/\bBigInt\b|\d+n\b/, 'uses BigInt'],
  [/\bconsole\.|\blog\(/, 'logs'],
  [/\bDate\.now\(|\bprocess\./, 'asks the system'],
];

function files(dir) {
  return readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) return entry.name === 'node_modules' || entry.name === 'dist' ? [] : files(path);
    return entry.name.endsWith('.ts') ? [path] : [];
  });
}

const imports = (source) =>
  [...source.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map((match) => match[1]);

/** Source imports and declared dependencies that the direction does not allow. */
export function checkDirection() {
  const problems = [];
  for (const [dir, allowed] of Object.entries(DIRECTION)) {
    const may = new Set(allowed.map((name) => `@etherloom/${name}`));
    const manifest = JSON.parse(readFileSync(join(root, dir, 'package.json'), 'utf8'));
    for (const name of Object.keys(manifest.dependencies ?? {})) {
      if (name.startsWith('@etherloom/') && !may.has(name))
        problems.push(`${dir}/package.json may not depend on ${name}`);
    }
    for (const file of files(join(root, dir, 'src'))) {
      for (const target of imports(readFileSync(file, 'utf8'))) {
        const name = target.split('/').slice(0, 2).join('/');
        if (name.startsWith('@etherloom/') && !may.has(name))
          problems.push(`${relative(root, file)} may not import ${target}`);
        if (dir === 'packages/odp-codec' && target.startsWith('node:')) {
          problems.push(`${relative(root, file)} may not import ${target}: the codec runs in a browser`);
        }
      }
    }
  }
  return problems;
}

const withoutComments = (source) => source.replace(/\/\*[\s\S]*?\*\//g, '').replace(/\/\/.*$/gm, '');

/** Value imports and re-exports; types cost nothing. */
const valueImports = (code) =>
  [
    ...code.matchAll(/^(?:import|export) (?!type)(?!\{(?:\s*type\s[^,}]+,?)*\s*\})[^;]*?from '([^']+)'/gm),
  ].map((match) => match[1]);

/**
 * What poll-mode threads load, beginning with their own module and the drivers' queue modules, that imports a whole
 * package of ours where its `/data` would do: a thread starts by so many milliseconds later as it has modules to load.
 */
export function checkThreadModules() {
  const problems = [];
  const seen = new Set();
  const visit = (file) => {
    if (seen.has(file)) return;
    seen.add(file);
    for (const target of valueImports(withoutComments(readFileSync(file, 'utf8')))) {
      const [, name, half] = /^@etherloom\/([^/]+)(?:\/(.+))?$/.exec(target) ?? [];
      if (name !== undefined && half === undefined) {
        problems.push(`${relative(root, file)} is loaded by poll-mode threads: import ${target}/data`);
      } else if (name !== undefined) visit(join(root, 'packages', name, 'src', `${half}.ts`));
      else if (target.startsWith('.')) visit(join(dirname(file), target.replace(/\.js$/, '.ts')));
    }
  };
  visit(join(root, 'packages/dpif-userspace/src/pmd/thread.ts'));
  for (const dir of Object.keys(DIRECTION).filter((name) => name.startsWith('packages/netdev-'))) {
    for (const file of files(join(root, dir, 'src'))) if (file.endsWith('/queue.ts')) visit(file);
  }
  return problems;
}

/** What hot-path files (`*.hot.ts`) do though they may not. */
export function checkHotFiles() {
  const problems = [];
  for (const dir of Object.keys(DIRECTION)) {
    for (const file of files(join(root, dir, 'src')).filter((path) => path.endsWith('.hot.ts'))) {
      const code = withoutComments(readFileSync(file, 'utf8'));
      for (const [pattern, what] of HOT_RULES) {
        if (pattern.test(code)) problems.push(`${relative(root, file)} ${what}: ${pattern.exec(code)[0]}`);
      }
      // A value import from a control file drags control code into the hot path; types cost nothing.
      for (const target of valueImports(code).filter((name) => name.startsWith('.'))) {
        if (!/\.hot\.js$|fields\.js$|arena\.js$|drops\.js$|netdev\.js$|program\.js$/.test(target)) {
          problems.push(`${relative(root, file)} imports ${target}, which is neither hot nor constants`);
        }
      }
    }
  }
  return problems;
}
