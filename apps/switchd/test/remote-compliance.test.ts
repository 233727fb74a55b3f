/** The remote provider keeps the dpif contract: the whole suite against a switchd in another process. */

import { defineSuite, dpifSuite } from '@etherloom/compliance';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { memoryFarEnd, RemoteBench } from './remote-bench.js';

const bench = new RemoteBench();
beforeAll(() => bench.start());
afterAll(() => bench.daemon.close());

let names = 0;
const cases = dpifSuite({
  setup: async () => {
    const remote = await bench.connect();
    return {
      remote,
      ...remote.registries(),
      type: 'netdev',
      portType: 'tap',
      portConfig: {},
      name: () => `m${names++}`,
      farEnd: async (name) => memoryFarEnd(remote.client, name),
    };
  },
  teardown: ({ remote }) => bench.leave(remote),
});

defineSuite('dpif contract: a switchd in another process', cases, { describe, it });
