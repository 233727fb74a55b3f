/** Reads and checks configuration. Every error is one sentence: file, line, path, offending value, what was expected. */

import { readFileSync } from 'node:fs';
import { type Document, isNode, LineCounter, parseDocument } from 'yaml';
import type { z } from 'zod';
import { UserError } from '../user-error.js';
import { type Config, type ConfigInput, configSchema, settingsAt } from './schema.js';

type Path = readonly PropertyKey[];

/** What was read, before it was checked. */
export interface RawConfig {
  readonly data: unknown;
  /** Names a place in the source: `switch.yaml, line 7`. */
  where(path: Path): string;
}

const UNREADABLE: Readonly<Record<string, string>> = {
  ENOENT: 'it does not exist',
  EISDIR: 'it is a directory',
  EACCES: 'permission denied; make it readable for the user that runs switchd',
};

/** What a document says. Its aliases (`*name`) are looked up only now: one without its anchor, or too many, is an error. */
function values(document: Document, file: string): unknown {
  try {
    // An empty file asks for nothing.
    return document.toJS() ?? {};
  } catch (error) {
    if (!(error instanceof ReferenceError)) throw error;
    throw new UserError(
      `${file}: an alias cannot be followed: ${error.message}; write out what it stands for`,
    );
  }
}

/** Reads a YAML or JSON file (JSON is YAML). Throws a `UserError`. */
export function readConfigFile(file: string): RawConfig {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    const code = String(error instanceof Error && 'code' in error ? error.code : error);
    throw new UserError(`config file ${file} cannot be read: ${UNREADABLE[code] ?? code}`);
  }
  const lines = new LineCounter();
  // At this level yaml prints no warnings of its own: what is odd is no setting, and said so.
  const document = parseDocument(text, { lineCounter: lines, logLevel: 'error' });
  const [broken] = document.errors;
  if (broken !== undefined) {
    // yaml appends a drawing of the place after the first line.
    const reason =
      broken.code === 'MULTIPLE_DOCS'
        ? 'a second document begins here, and a configuration is one'
        : broken.message.split('\n')[0]!.replace(/ at line \d+, column \d+:?$/, '');
    throw new UserError(
      `${file}, line ${lines.linePos(broken.pos[0]).line}: not valid YAML or JSON: ${reason}`,
    );
  }
  return {
    data: values(document, file),
    where(path) {
      // The nearest thing that is written down: a missing member has no line, but what it is missing from has.
      for (let length = path.length; length >= 0; length--) {
        const keys = path.slice(0, length).filter((key) => typeof key !== 'symbol');
        const node = document.getIn(keys, true);
        if (isNode(node) && node.range) return `${file}, line ${lines.linePos(node.range[0]).line}`;
      }
      return file;
    },
  };
}

/** Checks `raw` after `overrides` replaced its members. Throws a `UserError` with one line per thing wrong. */
export function checkConfig(raw: RawConfig, overrides: ConfigInput = {}): Config {
  const data = isObject(raw.data) ? { ...raw.data, ...overrides } : raw.data;
  const result = configSchema.safeParse(data);
  if (result.success) return result.data;
  throw new UserError(
    result.error.issues.flatMap((issue) => describe(issue, raw, data, overrides)).join('\n'),
  );
}

const isObject = (value: unknown): value is Record<PropertyKey, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function describe(issue: z.core.$ZodIssue, raw: RawConfig, data: unknown, overrides: object): string[] {
  const [top] = issue.path;
  const where = top !== undefined && Object.hasOwn(overrides, top) ? 'command line' : raw.where(issue.path);
  const place = issue.path.length === 0 ? 'the configuration' : `"${formatPath(issue.path)}"`;
  if (issue.code === 'unrecognized_keys') {
    const known = settingsAt(issue.path).join(', ');
    return issue.keys.map(
      (key) => `${where}: "${formatPath([...issue.path, key])}" is not a setting; there are ${known}`,
    );
  }
  const value = valueAt(data, issue.path);
  if (value === undefined) return [`${where}: ${place} is missing`];
  // YAML has numbers that JSON has no text for: .inf, .nan.
  const shown = typeof value === 'number' ? String(value) : JSON.stringify(value);
  if (issue.code === 'custom') return [`${where}: ${place}: ${shown} ${issue.message}`];
  return [`${where}: ${place} is ${shown}, but should be ${expectation(issue)}`];
}

/** What people call the types that zod expects. */
const TYPE_NAMES: Readonly<Record<string, string>> = {
  object: 'a mapping',
  array: 'a list',
  int: 'a whole number',
  string: 'text',
};

function expectation(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return TYPE_NAMES[issue.expected] ?? `a ${issue.expected}`;
    case 'invalid_value':
      return `one of ${issue.values.join(', ')}`;
    case 'too_small':
      if (issue.origin === 'string') return 'non-empty text';
      return issue.inclusive ? `${issue.minimum} or more` : `more than ${issue.minimum}`;
    case 'too_big':
      return issue.inclusive ? `${issue.maximum} or less` : `less than ${issue.maximum}`;
    case 'invalid_union':
      return 'text, a number, true or false';
    default:
      return issue.message;
  }
}

/** `datapaths[0].ports[1].name`. */
const formatPath = (path: Path): string =>
  path.reduce<string>(
    (text, key) =>
      typeof key === 'number' ? `${text}[${key}]` : text === '' ? String(key) : `${text}.${String(key)}`,
    '',
  );

function valueAt(data: unknown, path: Path): unknown {
  let value = data;
  for (const key of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = Reflect.get(value, key);
  }
  return value;
}
