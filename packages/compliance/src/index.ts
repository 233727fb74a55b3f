/**
 * @etherloom/compliance: contract suites that any driver or datapath provider runs in ten lines.
 *
 * A suite is a list of plain cases, each with the sentence of the contract that it checks, for any test runner.
 */

export { type CaseContext, type ComplianceCase, defineSuite, type Runner } from './case.js';
export {
  DPIF_FEATURES,
  type DpifFeature,
  type DpifFixture,
  type DpifSuite,
} from './dpif/fixture.js';
export { dpifSuite } from './dpif/suite.js';
export {
  type FarEnd,
  NETDEV_FEATURES,
  type NetdevFeature,
  type NetdevFixture,
  type NetdevSuite,
  type OffloadFrame,
} from './netdev/fixture.js';
export { netdevSuite } from './netdev/suite.js';
