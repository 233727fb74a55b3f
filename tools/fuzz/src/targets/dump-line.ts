/** Lines of dump-flows. */

import { formatFlow, parseFlowLine } from '@etherloom/odp-codec';
import type { Input, ReadVectors, Target, VectorRecord } from '../target.js';
import { bytesOfText, textOf } from '../target.js';
import { checkStable, hasModel, textFields, unlessTextRefused } from './check.js';

const VERBOSE = { verbose: true };
const STATISTICS = [
  ['', 'packets:0, bytes:0, used:never', ''],
  ['', 'packets:1, bytes:60, used:0.010s, flags:SFPRU.ECN[200][400][800]', ''],
  [
    'ufid:01234567-89ab-cdef-0123-456789abcdef, ',
    'packets:18446744073709551615, bytes:9007199254740993, used:12345.678s, offloaded:partial, dp:ovs',
    ', dp-extra-info:miniflow_bits(4,1)',
  ],
] as const;

function seeds(read: ReadVectors): Input[] {
  const fields = (records: readonly VectorRecord[], field: string): string[] =>
    records.flatMap((record) => textFields(record, field).map(textOf));
  const actions = fields(read('actions'), 'format');
  return fields(read('keys'), 'format').map((key, i) => {
    const [ufid, statistics, extra] = STATISTICS[i % STATISTICS.length]!;
    return [bytesOfText(`${ufid}${key}, ${statistics}, actions:${actions[i % actions.length]}${extra}`)];
  });
}

function run([bytes]: Input): void {
  if (bytes === undefined) return;
  const line = textOf(bytes);
  unlessTextRefused(line, () => parseFlowLine(line, { strict: true }));
  const flow = unlessTextRefused(line, () => parseFlowLine(line));
  if (flow === undefined) return;
  formatFlow(flow);
  // A key may name an attribute twice, see key-text.
  const sound = hasModel(flow.key) && hasModel(flow.mask);
  if (sound) checkStable(flow, (read) => formatFlow(read, VERBOSE), parseFlowLine);
}

export const dumpLine: Target = { parts: [{ name: 'line', kind: 'text', maxLength: 1024 }], seeds, run };
