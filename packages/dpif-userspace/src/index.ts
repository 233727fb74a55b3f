/**
 * @etherloom/dpif-userspace: a datapath that forwards packets in this process.
 *
 * `createUserspaceProvider` makes the datapath types "netdev" and "dummy". The packets' path is in the files that end
 * in `.hot.ts`: pipeline (receive, extract, look up, execute) and output (transmit).
 */

export type { ActionRules } from './action-rules.js';
export type { PmdEvent, PmdQueue, PmdReport, ThreadPerf } from './pmd/report.js';
export {
  createUserspaceProvider,
  MAX_PMD_THREADS,
  type UserspaceDpifProvider,
  type UserspaceLimits,
  type UserspaceOptions,
} from './provider.js';
