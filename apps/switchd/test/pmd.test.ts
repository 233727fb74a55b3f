/** dpif-netdev/pmd-* over the threads of a datapath, inline and with poll-mode threads. */

import { type Dpif, DpifRegistry, FP_CREATE, NetdevRegistry } from '@etherloom/core';
import { createUserspaceProvider } from '@etherloom/dpif-userspace';
import { DummyProvider } from '@etherloom/netdev-dummy';
import { parseActions, parseFlowKey } from '@etherloom/odp-codec';
import { afterEach, describe, expect, it } from 'vitest';
import type { Connection } from '../src/control/command.js';
import { pmdCommands, threadsOf } from '../src/control/pmd.js';

const FRAME = Uint8Array.from({ length: 60 }, (_, i) => (i === 12 ? 0x88 : i === 13 ? 0xb5 : i));
const connection: Connection = {
  format: 'text',
  errors: 'ovs',
  ended: new AbortController().signal,
  inUse: false,
};
const sink = { form: 'text', write: async () => {} } as const;

let dpif: Dpif | undefined;
afterEach(async () => {
  await dpif?.delete();
  await dpif?.close();
});

/** Datapath br0 with a port "in" of two queues, whose packets leave through "out"; answers the commands about its threads. */
async function datapath(pmdThreads: number) {
  const netdevs = new NetdevRegistry();
  const devices = new DummyProvider();
  netdevs.register(devices);
  const dpifs = new DpifRegistry();
  const provider = createUserspaceProvider({ type: 'dummy', netdevs, pmdThreads });
  dpifs.register(provider);
  const made = await dpifs.create('br0', 'dummy');
  dpif = made;
  await made.portAdd({ name: 'in', type: 'dummy', config: { n_rxq: '2' } }, 1);
  await made.portAdd({ name: 'out', type: 'dummy' }, 2);
  const { key, mask } = parseFlowKey('in_port(1),eth(),eth_type(0x88b5)');
  await made.flowPut({ flags: FP_CREATE, key, mask, actions: parseActions('2') });
  const context = { dpifs, netdevs };
  const commands = pmdCommands(context, threadsOf([provider]));
  return {
    async pass(queue: number): Promise<void> {
      const { hit } = await made.getDpStats();
      devices.device('in')?.inject(FRAME, queue);
      await expect.poll(async () => (await made.getDpStats()).hit, { interval: 1 }).toBeGreaterThan(hit);
    },
    async ask(name: string, ...args: string[]): Promise<string> {
      const command = commands.find((one) => one.name === `dpif-netdev/${name}`);
      return (await command?.run(args, connection, sink))?.text ?? 'no such command';
    },
    async json(name: string): Promise<unknown> {
      const command = commands.find((one) => one.name === `dpif-netdev/${name}`);
      return (await command?.run([], connection, sink))?.json;
    },
  };
}

const matching = (text: string, pattern: RegExp): string[] =>
  text.split('\n').filter((line) => pattern.test(line));

describe('threads', () => {
  it('have a section each, by number, and the main thread has one behind them', async () => {
    const { pass, ask } = await datapath(2);
    const queues = await ask('pmd-rxq-show');
    expect(queues.split('\n').filter((line) => !line.startsWith('  port:'))).toEqual([
      'Displaying last 60 seconds pmd usage %',
      'pmd thread numa_id 0 core_id 0:',
      '  isolated : false',
      '  overhead: NOT AVAIL',
      'pmd thread numa_id 0 core_id 1:',
      '  isolated : false',
      '  overhead: NOT AVAIL',
      '',
    ]);
    expect(matching(queues, /port:/).sort()).toEqual([
      '  port: br0               queue-id:  0 (enabled)   pmd usage: NOT AVAIL',
      '  port: in                queue-id:  0 (enabled)   pmd usage: NOT AVAIL',
      '  port: in                queue-id:  1 (enabled)   pmd usage: NOT AVAIL',
      '  port: out               queue-id:  0 (enabled)   pmd usage: NOT AVAIL',
    ]);
    await pass(0);
    await pass(1);
    await pass(1);
    const stats = await ask('pmd-stats-show');
    expect(matching(stats, /thread/)).toEqual([
      'pmd thread numa_id 0 core_id 0:',
      'pmd thread numa_id 0 core_id 1:',
      'main thread:',
    ]);
    const received = (text: string): number[] =>
      matching(text, /packets received/).map((line) => Number(line.split(': ')[1]));
    // Whichever thread has queue 1 received two packets.
    expect(received(stats).sort()).toEqual([0, 1, 2]);
    expect(received(await ask('pmd-stats-show', '-pmd', '1')).length).toBe(1);
    expect(matching(await ask('pmd-rxq-show', '-pmd', '1', 'br0'), /pmd thread/).length).toBe(1);
    await ask('pmd-stats-clear');
    expect(received(await ask('pmd-stats-show'))).toEqual([0, 0, 0]);
    await pass(0);
    const performance = await ask('pmd-perf-show');
    expect(matching(performance, /Megaflow hits/)).toEqual([
      expect.stringContaining('1  (100.0 %, 1.00 subtbl lookups/hit)'),
    ]);
  });

  it('are the main thread alone inline, which polls no queue', async () => {
    const { pass, ask } = await datapath(0);
    await pass(0);
    expect(matching(await ask('pmd-stats-show'), /thread|hits: 1$/)).toEqual([
      'main thread:',
      '  megaflow hits: 1',
    ]);
    expect(await ask('pmd-rxq-show')).toBe('Displaying last 60 seconds pmd usage %\n');
  });

  it.each([0, 1])('tell where the time of packets goes, with %i poll-mode threads', async (pmdThreads) => {
    const { pass, ask, json } = await datapath(pmdThreads);
    for (let i = 0; i < 300; i++) await pass(i & 1);
    const text = await ask('pmd-perf-show');
    expect(matching(text, /thread/)).toEqual([
      pmdThreads === 0 ? 'main thread:' : 'pmd thread numa_id 0 core_id 0:',
    ]);
    const figures = (pattern: string): number[] =>
      [...(new RegExp(pattern).exec(text) ?? [])].slice(1).map(Number);
    const [iterations = 0] = figures('  Iterations: +(\\d+)  \\(\\d+\\.\\d\\d us/it\\)');
    expect(iterations).toBeGreaterThanOrEqual(300);
    const [idle = 0, busy = 0] = figures('- idle iterations: +(\\d+) [^]*- busy iterations: +(\\d+) ');
    expect([idle + busy, busy]).toEqual([iterations, 300]);
    expect(figures('Rx packets: +(\\d+) [^]*Rx batches: +(\\d+)  \\(1\\.00 pkts/batch')).toEqual([300, 300]);
    expect(figures('Tx packets: +(\\d+) [^]*Tx batches: +(\\d+)  \\(1\\.00 pkts/batch')).toEqual([300, 300]);
    const shares = ['Receive', 'Lookup', 'Execute', 'Transmit', 'Upcalls'].map(
      (stage) => figures(`- ${stage}: +\\d+\\.\\d  \\( *(\\d+\\.\\d) %\\) ns/pkt`)[0] ?? Number.NaN,
    );
    expect(shares.reduce((sum, part) => sum + part)).toBeCloseTo(100, 0);
    expect(await json('pmd-perf-show')).toMatchObject({
      threads: [
        {
          thread: pmdThreads === 0 ? 'main' : 'pmd0',
          received: 300,
          sent: 300,
          hits: 300,
          sampledPackets: 2,
          nsPerPacket: { receive: expect.any(Number), upcalls: 0 },
        },
      ],
    });
    await ask('pmd-stats-clear');
    expect(await json('pmd-perf-show')).toMatchObject({
      threads: [{ received: 0, sent: 0, busyIterations: 0, busyNs: 0, sampledPackets: 0, nsPerPacket: {} }],
    });
  });
});
