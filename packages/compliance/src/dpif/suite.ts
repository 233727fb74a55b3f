/** The dpif suite: what every datapath provider must do, as cases. */

import type { ComplianceCase } from '../case.js';
import { actionCases } from './action-cases.js';
import { concurrencyCases } from './concurrency-cases.js';
import { datapathCases } from './datapath-cases.js';
import { dumpCases } from './dump-cases.js';
import { executeCases } from './execute-cases.js';
import type { DpifFixture, DpifSuite } from './fixture.js';
import { flowCases } from './flow-cases.js';
import { matchCases } from './match-cases.js';
import { portCases } from './port-cases.js';
import { putCases } from './put-cases.js';
import { queueCases } from './queue-cases.js';
import { refusalCases } from './refusal-cases.js';
import { trafficCases } from './traffic-cases.js';
import { upcallCases } from './upcall-cases.js';
import { watchingCases } from './watching-cases.js';

const CASES = [
  ...datapathCases,
  ...portCases,
  ...flowCases,
  ...putCases,
  ...refusalCases,
  ...dumpCases,
  ...trafficCases,
  ...matchCases,
  ...actionCases,
  ...executeCases,
  ...upcallCases,
  ...queueCases,
  ...concurrencyCases,
  ...watchingCases,
];

/** The cases for one provider. Each runs `setup`, its checks, and `teardown` whatever happened. */
export function dpifSuite<F extends DpifFixture>(suite: DpifSuite<F>): ComplianceCase[] {
  return CASES.map(({ name, cites, needs, run: check }): ComplianceCase => {
    const supported = needs === undefined ? true : (suite.supports?.[needs] ?? true);
    const run = async (): Promise<void> => {
      const fixture = await suite.setup();
      try {
        await check(fixture);
      } finally {
        await suite.teardown(fixture);
      }
    };
    return supported === true ? { name, cites, run } : { name, cites, run, skip: `${needs}: ${supported}` };
  });
}
