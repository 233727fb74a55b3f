/** What other tools use of this one: sessions with a daemon, their comparison, and the rules for known differences. */

export { appctl, whyNoAppctl } from './appctl.js';
export type { Deviation } from './deviations.js';
export { substitute, writeScriptFile } from './dpctl.js';
export { DPCTL_DEVIATIONS } from './dpctl-deviations.js';
export { since } from './dpctl-rule.js';
export {
  changesOf,
  type FlowRows,
  flowRows,
  putOf,
  rowsOverlap,
  succeeded,
  tableAfter,
} from './dpctl-steps.js';
export { DpctlSwitch, SWITCH_PORTS } from './dpctl-switch.js';
export type { VectorRecord } from './record.js';
export { type DpctlStep, type Outcome, stepsOf, TranscriptDiff } from './transcript.js';
