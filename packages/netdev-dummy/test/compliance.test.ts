/** The dummy driver keeps the netdev contract, bare and behind decorators that do nothing. */

import { defineSuite } from '@etherloom/compliance';
import { describe, it } from 'vitest';
import { faults, trace } from '../src/index.js';
import { dummySuite } from './suite.js';

defineSuite(
  'netdev contract: dummy',
  dummySuite((provider) => provider),
  { describe, it },
);
defineSuite(
  'netdev contract: dummy with faults of probability 0, traced',
  dummySuite(
    (provider) => trace(faults(provider, {}), () => undefined),
    'decorators work on the control thread only',
  ),
  { describe, it },
);
