/**
 * Our datapath with dummy devices, in a process of its own: its compiler has seen nothing but this workload. Started by
 * ours.ts, which asks for measurements by message.
 */

import { readFileSync } from 'node:fs';
import { DpifRegistry, FP_CREATE, NetdevRegistry } from '@etherloom/core';
import { createUserspaceProvider } from '@etherloom/dpif-userspace';
import { type DummyNetdev, DummyProvider } from '@etherloom/netdev-dummy';
import { parseActions, parseFlowKey } from '@etherloom/odp-codec';
import { isRequest, type Reply } from './messages.js';
import { Share } from './processor-time.js';
import { writeFlows } from './workload.js';

const dummies = new DummyProvider();
const netdevs = new NetdevRegistry();
netdevs.register(dummies);
const dpifs = new DpifRegistry();
dpifs.register(createUserspaceProvider({ type: 'dummy', netdevs }));
const dpif = await dpifs.create('bench', 'dummy');
const sources: DummyNetdev[] = [];

function device(name: string): DummyNetdev {
  const found = dummies.device(name);
  if (found === undefined) throw new Error(`there is no device ${name}`);
  return found;
}

async function start(
  captures: readonly string[],
  flowsFile: string,
  flows: Parameters<typeof writeFlows>[1],
) {
  const out = await dpif.portAdd({ name: 'out', type: 'dummy', config: { capture: '0' } });
  const inPorts: number[] = [];
  for (const [i, replay] of captures.entries()) {
    const name = `p${i + 1}`;
    // Frames are copied from the capture into packet buffers, as the peers do.
    const config = { replay, replay_loops: '0', capture: '0', up: 'false' };
    inPorts.push(await dpif.portAdd({ name, type: 'dummy', config }));
    sources.push(device(name));
  }
  writeFlows(flowsFile, flows, inPorts, out);
  const operations = readFileSync(flowsFile, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => {
      const space = line.indexOf(' ');
      const actions = parseActions(line.slice(space + 1));
      return { type: 'flowPut' as const, flags: FP_CREATE, ...parseFlowKey(line.slice(0, space)), actions };
    });
  for (const { error } of await dpif.operate(operations)) if (error !== undefined) throw error;
}

const sent = async (): Promise<number> => (await device('out').getStats()).txPackets ?? 0;

async function measure(ms: number): Promise<number> {
  for (const source of sources) await source.setFlags({ up: true });
  // Some turns of the event loop, so that all ports are at it.
  await new Promise((resolve) => setTimeout(resolve, 20));
  const share = new Share(process.pid, process.pid);
  const before = await sent();
  const began = performance.now();
  await new Promise((resolve) => setTimeout(resolve, ms));
  const packets = (await sent()) - before;
  const elapsed = (performance.now() - began) * share.get();
  for (const source of sources) await source.setFlags({ up: false });
  for await (const { portNo, name } of dpif.portDump()) {
    const drops = await dpif.portGetDrops(portNo);
    if (Object.keys(drops).length > 0) throw new Error(`${name} dropped packets: ${JSON.stringify(drops)}`);
  }
  if (packets === 0) throw new Error('nothing was forwarded');
  return (elapsed * 1e6) / packets;
}

const reply = (message: Reply): void => {
  process.send?.(message);
};

process.on('message', (request: unknown) => {
  if (!isRequest(request)) return;
  const work =
    request.kind === 'start'
      ? start(request.captures, request.flowsFile, request.flows).then(() => 0)
      : measure(request.ms);
  work.then(
    (value) => reply({ value }),
    (error: unknown) => reply({ error: error instanceof Error ? error.message : String(error) }),
  );
});
process.on('disconnect', () => process.exit());
