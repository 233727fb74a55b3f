/** Actions as dpctl text. */

import { formatActions, parseActions } from '@etherloom/odp-codec';
import type { Input, ReadVectors, Target } from '../target.js';
import { textOf } from '../target.js';
import { unlessNotCompiled } from './action-bytes.js';
import { checkStable, mustAccept, sameBytes, textFields, unlessTextRefused } from './check.js';

const STRICT = { strict: true };

function seeds(read: ReadVectors): Input[] {
  const records = [...read('actions'), ...read('actions-bad')];
  const listed = records.flatMap((record) => textFields(record, 'text', 'format'));
  const executed = read('execute').flatMap((record) => textFields(record, 'actions_text', 'actions_format'));
  return [...listed, ...executed].map((text) => [text]);
}

function run([bytes]: Input): void {
  if (bytes === undefined) return;
  const text = textOf(bytes);
  const strict = unlessTextRefused(text, () => parseActions(text, STRICT));
  const actions = unlessTextRefused(text, () => parseActions(text));
  unlessTextRefused(text, () =>
    parseActions(text, { portNumber: (name) => (name === 'p1' ? 1 : undefined) }),
  );
  if (strict !== undefined) {
    const lenient = mustAccept('what Open vSwitch reads is read leniently too', text, () =>
      parseActions(text),
    );
    sameBytes('lenient and strict reading agree', lenient, strict);
  }
  if (actions === undefined) return;
  unlessNotCompiled(actions);
  checkStable(actions, formatActions, parseActions);
}

export const actionText: Target = { parts: [{ name: 'text', kind: 'text', maxLength: 1024 }], seeds, run };
