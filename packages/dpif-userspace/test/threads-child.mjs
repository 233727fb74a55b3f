/** Worker of threads.test.ts: a datapath of its own, from the built package, that forwards packets and tells how many. */

import { parentPort, workerData } from 'node:worker_threads';
import { DpifRegistry, FP_CREATE, NetdevRegistry } from '@etherloom/core';
import { DummyProvider } from '@etherloom/netdev-dummy';
import { parseActions, parseFlowKey } from '@etherloom/odp-codec';
import { createUserspaceProvider } from '../dist/index.js';

const { packets } = workerData;
const driver = new DummyProvider();
const netdevs = new NetdevRegistry();
netdevs.register(driver);
const dpifs = new DpifRegistry();
dpifs.register(createUserspaceProvider({ type: 'dummy', netdevs, arena: { frames: 128, largeFrames: 2 } }));
// The same names in every thread.
const dpif = await dpifs.create('br0', 'dummy');
await dpif.portAdd({ name: 'a', type: 'dummy' }, 1);
await dpif.portAdd({ name: 'b', type: 'dummy' }, 2);
await dpif.flowPut({
  ...parseFlowKey('in_port(1),eth(),eth_type(0x88b5)'),
  flags: FP_CREATE,
  actions: parseActions('2'),
});
const frame = new Uint8Array(60);
frame.set([0x88, 0xb5], 12);
let sent = 0;
for (let left = packets; left > 0; ) {
  left -= driver.device('a').injectMany(Array.from({ length: Math.min(left, 32) }, () => frame));
  await new Promise((resolve) => setImmediate(resolve));
  sent += driver.device('b').takeTransmitted().length;
}
while (sent < packets) {
  await new Promise((resolve) => setImmediate(resolve));
  sent += driver.device('b').takeTransmitted().length;
}
const { hit, flows } = await dpif.getDpStats();
parentPort.postMessage({ sent, hit, flows });
await dpif.delete();
await dpif.close();
