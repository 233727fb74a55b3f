/** Keys as dpctl text. */

import { formatFlowKey, parseFlowKey, parseFlowKeyExact } from '@etherloom/odp-codec';
import type { Input, ReadVectors, Target } from '../target.js';
import { textOf, toHex } from '../target.js';
import { checkStable, hasModel, mustAccept, mustEqual, textFields, unlessTextRefused } from './check.js';

const STRICT = { strict: true };
/** Read leniently, `0/mask` is an attribute that only the mask has, as the formatter means it. */
const ONLY_IN_MASK = /eth_type\([^)]*\//i;

function seeds(read: ReadVectors): Input[] {
  const good = read('keys').flatMap((record) =>
    textFields(record, 'text', 'format', 'format_verbose', 'key_renc_text'),
  );
  const bad = read('keys-bad').flatMap((record) => textFields(record, 'text'));
  return [...good, ...bad].map((text) => [text]);
}

function run([bytes]: Input): void {
  if (bytes === undefined) return;
  const text = textOf(bytes);
  const exact = unlessTextRefused(text, () => parseFlowKeyExact(text));
  const strict = unlessTextRefused(text, () => parseFlowKey(text, STRICT));
  unlessTextRefused(text, () =>
    parseFlowKey(text, { portNumber: (name) => (name === 'p1' ? 1 : undefined) }),
  );
  const flow = unlessTextRefused(text, () => parseFlowKey(text));
  if (strict !== undefined && !ONLY_IN_MASK.test(text)) {
    const lenient = mustAccept('what Open vSwitch reads is read leniently too', text, () =>
      parseFlowKey(text),
    );
    mustEqual('lenient and strict reading agree', toHex(lenient.key), toHex(strict.key));
    mustEqual('lenient and strict reading agree on the mask', toHex(lenient.mask), toHex(strict.mask));
  }
  // A text may name an attribute twice; then masks do not find their values, and there is nothing to be had of it.
  const sound = flow !== undefined && hasModel(flow.key) && hasModel(flow.mask);
  if (exact !== undefined && hasModel(exact)) checkStable(exact, formatFlowKey, parseFlowKeyExact);
  if (sound) {
    for (const verbose of [false, true]) {
      checkStable(
        flow,
        ({ key, mask }) => formatFlowKey(key, mask, { verbose }),
        (printed) => parseFlowKey(printed),
      );
    }
  }
}

export const keyText: Target = { parts: [{ name: 'text', kind: 'text', maxLength: 1024 }], seeds, run };
