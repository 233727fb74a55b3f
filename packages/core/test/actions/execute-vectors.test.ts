/** Executes every packet of vectors/execute.jsonl.gz and compares all calls and the packet that is left. */

import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { checkExecuteRecord } from '../../../../tools/conformance/src/execute.js';
import { runVectorFile } from '../../../../tools/conformance/src/run.js';

it('execution differs from that of Open vSwitch in few and documented ways', async () => {
  const path = fileURLToPath(new URL('../../../../vectors/execute.jsonl.gz', import.meta.url));
  const result = await runVectorFile({ name: 'execute.jsonl', check: checkExecuteRecord }, path);
  expect(result.failures).toEqual([]);
  const deviations = Object.values(result.deviations).reduce((sum, count) => sum + count, 0);
  expect(deviations).toBeLessThan(result.passed / 100);
});
