/** The data half of a driver with a bug: while the flag is 1 it throws after receiving, 2 before sending (crash.test.ts). */

import { openQueue as openDummy } from '../../../netdev-dummy/dist/queue.js';

export function openQueue(descriptor, resources) {
  const queue = openDummy(descriptor, resources);
  const flag = new Int32Array(descriptor.flag);
  return {
    pollFd: -1,
    rxBurst: (batch) => {
      const count = queue.rxBurst(batch);
      if (count > 0 && Atomics.load(flag, 0) === 1) throw new Error('the bomb went off');
      return count;
    },
    txBurst: (batch) => {
      if (Atomics.load(flag, 0) === 2) throw new Error('the bomb went off');
      return queue.txBurst(batch);
    },
    close: () => queue.close(),
  };
}
