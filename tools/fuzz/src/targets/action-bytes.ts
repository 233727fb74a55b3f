/** Actions as Netlink bytes. */

import { compileActions, isDpifError } from '@etherloom/core';
import { decodeActions, encodeActions, formatActions, parseActions } from '@etherloom/odp-codec';
import type { Input, ReadVectors, Target } from '../target.js';
import { toHex } from '../target.js';
import { checkStable, hexField, mustAccept, mustEqual, sameBytes, unlessRefused } from './check.js';

function seeds(read: ReadVectors): Input[] {
  const records = [...read('actions'), ...read('actions-bad'), ...read('execute')];
  return records.flatMap((record) => hexField(record, 'actions_hex')).map((actions) => [actions]);
}

/** Actions that cannot be executed are refused with EINVAL, those that only the kernel has with EOPNOTSUPP. */
export function unlessNotCompiled(actions: Uint8Array): ReturnType<typeof compileActions> | undefined {
  try {
    return compileActions(actions);
  } catch (error) {
    if (isDpifError(error) && (error.code === 'EINVAL' || error.code === 'EOPNOTSUPP')) return undefined;
    throw error;
  }
}

function checkModel(actions: Uint8Array): void {
  const model = unlessRefused(() => decodeActions(actions));
  if (model === undefined) return;
  const json = JSON.stringify(model);
  const encoded = mustAccept('decoded actions encode', json, () => encodeActions(JSON.parse(json)));
  const again = mustAccept('encoded actions decode', toHex(encoded), () => decodeActions(encoded));
  mustEqual('encoded actions decode to the same', JSON.stringify(again), json);
  sameBytes('the bytes of a model are canonical', encodeActions(again), encoded);
  mustEqual(
    'actions and their model print the same',
    unlessRefused(() => formatActions(encoded)) ?? 'refused',
    unlessRefused(() => formatActions(actions)) ?? 'refused',
  );
}

function run([actions]: Input): void {
  if (actions === undefined) return;
  checkModel(actions);
  unlessNotCompiled(actions);
  const text = unlessRefused(() => formatActions(actions));
  const read = text === undefined ? undefined : unlessRefused(() => parseActions(text));
  if (read !== undefined) checkStable(read, formatActions, parseActions);
}

export const actionBytes: Target = {
  parts: [{ name: 'actions', kind: 'netlink', maxLength: 1024 }],
  seeds,
  run,
};
