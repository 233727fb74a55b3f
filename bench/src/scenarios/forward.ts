/**
 * The base line: 64-byte frames from one dummy device to another through the whole inline datapath (receive, extract, look
 * up, count, execute, transmit), without any kernel. The source replays frames that stay in the arena, the sink counts and
 * releases, so what is measured is the datapath and about 25 ns of the two devices.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { composePacket, DpifRegistry, FP_CREATE, NetdevRegistry } from '@etherloom/core';
import { createUserspaceProvider } from '@etherloom/dpif-userspace';
import { DummyProvider, PcapWriter } from '@etherloom/netdev-dummy';
import { KEY_WORDS, keyToFlow, parseActions, parseFlowKey, W_NW_SRC, W_TP } from '@etherloom/odp-codec';
import { median, type Options, type Row, type Scenario, spread } from '../scenario.js';

const FRAME =
  'in_port(0),eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),eth_type(0x0800),' +
  'ipv4(src=10.0.0.1,dst=10.1.0.1,proto=17,tos=0,ttl=64,frag=no),udp(src=1000,dst=2000)';
/** Ethernet, IPv4 and UDP headers leave this of a 64-byte frame without its checksum. */
const PAYLOAD = 60 - 42;

/** One megaflow by port, addresses and type, as the NORMAL action of Open vSwitch installs it. */
const MEGAFLOW =
  'in_port(SOURCE),eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),eth_type(0x0800),ipv4(frag=no)';

/** Writes a capture of one frame per five-tuple. */
function writeCapture(file: string, tuples: number): void {
  const words = new Int32Array(KEY_WORDS);
  keyToFlow(parseFlowKey(FRAME).key, words);
  const frames = Array.from({ length: tuples }, (_, i) => {
    words[W_NW_SRC] = 0x0a000000 + (i >> 14);
    words[W_TP] = ((1000 + (i & 0x3fff)) << 16) | 2000;
    return composePacket(words, { payloadLength: PAYLOAD });
  });
  const pcap = new PcapWriter(file);
  pcap.write(frames);
  pcap.close();
}

async function measure(file: string, tuples: number, options: Options): Promise<number[]> {
  const dummies = new DummyProvider();
  const netdevs = new NetdevRegistry();
  netdevs.register(dummies);
  const dpifs = new DpifRegistry();
  dpifs.register(createUserspaceProvider({ type: 'dummy', netdevs, arena: { frames: 4096 + 2 * tuples } }));
  const dpif = await dpifs.create('bench', 'dummy');
  try {
    const replay = { replay: file, replay_loops: '0', replay_shared: 'true', capture: '0', up: 'false' };
    const source = await dpif.portAdd({ name: 'source', type: 'dummy', config: replay });
    const sink = await dpif.portAdd({ name: 'sink', type: 'dummy', config: { capture: '0' } });
    const { key, mask } = parseFlowKey(MEGAFLOW.replace('SOURCE', String(source)));
    await dpif.flowPut({ flags: FP_CREATE, key, mask, actions: parseActions(String(sink)) });
    const far = dummies.device('sink');
    const near = dummies.device('source');
    if (far === undefined || near === undefined) throw new Error('the devices are not there');
    await near.setFlags({ up: true });
    const figures: number[] = [];
    const rounds = options.quick ? 3 : 7;
    const ms = options.quick ? 200 : 1000;
    // The first round is for the compiler.
    for (let round = -1; round < rounds; round++) {
      const before = (await far.getStats()).txPackets ?? 0;
      const started = performance.now();
      await new Promise((resolve) => setTimeout(resolve, ms));
      const packets = ((await far.getStats()).txPackets ?? 0) - before;
      if (packets === 0) throw new Error('nothing was forwarded');
      if (round >= 0) figures.push(((performance.now() - started) * 1e6) / packets);
    }
    const drops = { ...(await dpif.portGetDrops(source)), ...(await dpif.portGetDrops(sink)) };
    if (Object.keys(drops).length > 0) throw new Error(`packets were dropped: ${JSON.stringify(drops)}`);
    return figures;
  } finally {
    await dpif.delete();
    await dpif.close();
  }
}

export const forward: Scenario = {
  name: 'forward',
  about: 'dummy to dummy through the whole inline datapath, one megaflow, 64-byte frames',
  async run(options: Options): Promise<Row[]> {
    const folder = mkdtempSync(join(tmpdir(), 'etherloom-bench-'));
    const rows: Row[] = [];
    try {
      for (const tuples of options.quick ? [1, 1000] : [1, 1000, 10_000, 100_000]) {
        const file = join(folder, `${tuples}.pcap`);
        writeCapture(file, tuples);
        const figures = await measure(file, tuples, options);
        const point = `${tuples} five-tuple${tuples === 1 ? '' : 's'}`;
        rows.push({
          scenario: 'forward',
          point,
          metric: 'time per packet',
          unit: 'ns',
          ours: median(figures),
          spread: spread(figures),
        });
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
    return rows;
  },
};
