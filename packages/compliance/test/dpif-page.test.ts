/** docs/dpif.md names only cases and files that exist, and leaves out no group of cases. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { DpifHandle } from '@etherloom/core';
import { expect, test } from 'vitest';
import { dpifSuite } from '../src/index.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const page = readFileSync(`${root}docs/dpif.md`, 'utf8');
const all = (pattern: RegExp): string[] => [...new Set([...page.matchAll(pattern)].map(([, text]) => text!))];

const cases = dpifSuite({
  setup: async () => {
    throw new Error('not run');
  },
  teardown: async () => undefined,
});
const names = cases.map(({ name }) => name);

test('the names of cases are unique', () => {
  expect(new Set(names).size).toBe(names.length);
});

test('every case that the page names exists', () => {
  const named = all(/“(.+?)”(?=[,;| ])/g);
  expect(named.length).toBeGreaterThan(60);
  expect(named.filter((name) => !names.includes(name))).toEqual([]);
});

test('every file that the page names exists', () => {
  const core = `${root}packages/core/src/dpif/`;
  const userspace = `${root}packages/dpif-userspace/src/`;
  const files = all(/`([\w./-]+\.ts)`|`(packages\/[\w./-]+)`/g).concat(all(/`(packages\/[\w./-]+)`/g));
  const wanted = files.filter((file) => file !== undefined);
  expect(wanted.length).toBeGreaterThan(20);
  const missing = wanted.filter(
    (file) => ![root, core, userspace].some((folder) => existsSync(`${folder}${file}`)),
  );
  expect(missing).toEqual([]);
});

test('every method of a handle is on the page', () => {
  const methods = Object.getOwnPropertyNames(DpifHandle.prototype).filter((name) => name !== 'constructor');
  // The clock of `FlowStats.used`, which C programs have without asking.
  const missing = methods.filter((name) => name !== 'now' && !new RegExp(`\\b${name}\\b`).test(page));
  expect(missing).toEqual([]);
});

test('every file of cases is on the page, itself or through a case of it', () => {
  const folder = `${root}packages/compliance/src/dpif/`;
  const files = readdirSync(folder).filter((file) => file.endsWith('-cases.ts'));
  const named = all(/“(.+?)”(?=[,;| ])/g);
  const absent = files.filter((file) => {
    const source = readFileSync(`${folder}${file}`, 'utf8');
    return !page.includes(file) && !named.some((name) => source.includes(name));
  });
  expect(absent).toEqual([]);
});
