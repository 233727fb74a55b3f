/** `ufid:UUID`, by which get-flow and del-flow may name a flow, and which may stand in front of every flow text. */

import { type Dpif, DpifError, type Flow } from '@etherloom/core';
import { ufidOf } from './flow-text.js';

const UFID = /^\s*ufid:([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})/;
const DUMP_BATCH = 256;

/** A flow text taken apart. `ufid` is in lower case; `bad` when it begins with "ufid:" but no UUID follows. */
export interface FlowText {
  readonly ufid: string | undefined;
  readonly bad: boolean;
  /** What follows the UFID. */
  readonly rest: string;
}

export function takeUfid(text: string): FlowText {
  const found = UFID.exec(text);
  if (found === null) return { ufid: undefined, bad: text.trimStart().startsWith('ufid:'), rest: text };
  return {
    ufid: found[1]!.toLowerCase(),
    bad: false,
    rest: text.slice(found[0].length).replace(/^[\s,]+/, ''),
  };
}

/** The flow called `ufid`: looked for in the whole table, since the datapath knows flows by their keys. ENOENT. */
export async function findFlow(dpif: Dpif, ufid: string): Promise<Flow> {
  const dump = dpif.flowDump();
  try {
    for (;;) {
      const flows = await dump.next(DUMP_BATCH);
      if (flows.length === 0) break;
      const found = flows.find(({ key }) => ufidOf(key) === ufid);
      if (found !== undefined) return found;
    }
  } finally {
    await dump.done();
  }
  throw new DpifError('ENOENT', `no flow has the UFID ${ufid}; "dump-flows -m" shows those that there are`);
}
