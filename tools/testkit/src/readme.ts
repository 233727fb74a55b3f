/**
 * Runs the examples of a README, so that they stay true: each fenced block marked `ts` is a complete module, and a block
 * marked `text` right behind it is what the module prints.
 */

import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

export interface ReadmeExample {
  /** `example at line N`. */
  readonly name: string;
  readonly code: string;
  /** The text block behind it, when there is one. */
  readonly output: string | undefined;
  /**
   * Imports the example as a module and resolves to the lines that it printed with
   * `console.log`. Rejects when it throws, or when the README promises another output.
   */
  run(): Promise<string>;
}

const FENCE = /^```ts\n([\s\S]*?)^```[ \t]*\n(?:\s*^```text\n([\s\S]*?)^```[ \t]*$)?/gm;
let written = 0;

/**
 * The examples of the README at `readme` (`new URL('../README.md', import.meta.url)`), which lies beside the package's
 * `test` folder. Call it in a Vitest test: Vitest is what translates the TypeScript. Throws when there is no example, so
 * that a renamed block does not turn the test into nothing. `folder` is where the modules run, and so what they can import.
 */
export function readmeExamples(readme: URL, folder = new URL('test/', readme)): ReadmeExample[] {
  const path = fileURLToPath(readme);
  const source = readFileSync(path, 'utf8');
  const examples = [...source.matchAll(FENCE)].map(([, code = '', output], index): ReadmeExample => {
    const line = source.slice(0, source.indexOf(code)).split('\n').length;
    // Inside the package, so that it is found by its own name, as in the program of a reader who installed it.
    const file = join(fileURLToPath(folder), `.readme-${process.pid}-${index}-${written++}.ts`);
    return { name: `example at line ${line}`, code, output, run: () => execute(path, file, code, output) };
  });
  if (examples.length === 0) throw new Error(`${path} has no block marked "ts": nothing to run`);
  return examples;
}

async function execute(
  readme: string,
  file: string,
  code: string,
  output: string | undefined,
): Promise<string> {
  writeFileSync(file, code);
  const printed: string[] = [];
  const log = console.log;
  console.log = (...values: unknown[]) => {
    printed.push(values.map((value) => (typeof value === 'string' ? value : String(value))).join(' '));
  };
  try {
    await import(/* @vite-ignore */ pathToFileURL(file).href);
  } finally {
    console.log = log;
    rmSync(file, { force: true });
  }
  const text = printed.map((line) => `${line}\n`).join('');
  if (output !== undefined && text !== output) {
    throw new Error(`${readme} promises that the example prints\n${output}but it prints\n${text}`);
  }
  return text;
}
