/** The netdev suite: what every driver must do, as cases. */

import type { ComplianceCase } from '../case.js';
import { controlCases } from './control-cases.js';
import { dropCases } from './drop-cases.js';
import type { NetdevFixture, NetdevSuite } from './fixture.js';
import { offloadCases } from './offload-cases.js';
import { queueCases } from './queue-cases.js';
import { trafficCases } from './traffic-cases.js';

const CASES = [...controlCases, ...trafficCases, ...dropCases, ...offloadCases, ...queueCases];

/** The cases for one driver. Each runs `setup`, its checks, and `teardown` whatever happened. */
export function netdevSuite<F extends NetdevFixture>(suite: NetdevSuite<F>): ComplianceCase[] {
  return CASES.map((definition): ComplianceCase => {
    const { name, cites, needs } = definition;
    const supported = needs === undefined ? true : (suite.supports?.[needs] ?? true);
    const run = async (): Promise<void> => {
      const fixture = await suite.setup();
      try {
        await definition.run(fixture);
      } finally {
        await suite.teardown(fixture);
      }
    };
    return supported === true ? { name, cites, run } : { name, cites, run, skip: `${needs}: ${supported}` };
  });
}
