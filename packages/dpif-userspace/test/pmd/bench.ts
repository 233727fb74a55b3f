/** A datapath on poll-mode threads for tests, with its threads and devices at hand. */

import { FP_CREATE, type NetdevProvider, NetdevRegistry, type OpResult, type Upcall } from '@etherloom/core';
import { type DummyNetdev, DummyProvider } from '@etherloom/netdev-dummy';
import { parseActions, parseFlowKey } from '@etherloom/odp-codec';
import { Datapath } from '../../src/datapath.js';
import { Opener } from '../../src/opener.js';
import type { ThreadOptions } from '../../src/pmd/crew.js';
import type { PmdEvent } from '../../src/pmd/report.js';
import { ThreadPlane } from '../../src/pmd/threads.js';
import { Runner } from '../../src/runner.js';

export interface PmdBench {
  readonly opener: Opener;
  readonly plane: ThreadPlane;
  readonly datapath: Datapath;
  readonly netdevs: NetdevRegistry;
  readonly events: PmdEvent[];
  device(name: string): DummyNetdev;
  port(name: string, portNo: number, config?: Record<string, string>, type?: string): Promise<number>;
  put(key: string, actions: string, flags?: number): Promise<OpResult>;
  /** Upcalls that came since `take` was called last, once the client reads. */
  readonly client: { upcalls: number; onUpcall: (upcall: Upcall) => void };
  close(): Promise<void>;
}

export async function pmdBench(
  count: number,
  options: Partial<ThreadOptions> & { wrap?: (provider: NetdevProvider) => NetdevProvider } = {},
): Promise<PmdBench> {
  const { wrap = (provider) => provider, ...threads } = options;
  const driver = new DummyProvider();
  const netdevs = new NetdevRegistry();
  netdevs.register(wrap(driver));
  const events: PmdEvent[] = [];
  const datapath = await Datapath.create('br0', {
    type: 'dummy',
    netdevs,
    pool: {
      count,
      cpus: [],
      arena: { frames: 1024, largeFrames: 16 },
      limits: { maxFlows: 1 << 16 },
      event: (event) => events.push(event),
      ...threads,
    },
    runner: new Runner(() => performance.now()),
    limits: { upcalls: 512, upcallBytes: 1 << 20, upcallTotalBytes: 64 << 20 },
    actionRules: 'strict',
    vlanLimit: 2,
    openType: (type) => (type === 'internal' ? 'dummy' : type),
  });
  const opener = new Opener(datapath, { closed: () => datapath.destroy(), destroyed: () => undefined });
  const { plane } = datapath;
  if (!(plane instanceof ThreadPlane)) throw new Error('the datapath has no threads');
  const client = { upcalls: 0, onUpcall: (_: Upcall): void => undefined };
  return {
    opener,
    plane,
    datapath,
    netdevs,
    events,
    client,
    device: (name) => {
      const device = driver.device(name);
      if (device === undefined) throw new Error(`no device ${name}`);
      return device;
    },
    port: (name, portNo, config = {}, type = 'dummy') => opener.portAdd({ name, type, config }, portNo),
    put: async (key, actions, flags = FP_CREATE) => {
      const [result] = await opener.operate([
        { type: 'flowPut', flags, ...parseFlowKey(key), actions: parseActions(actions) },
      ]);
      if (result?.error !== undefined) throw result.error;
      return result!;
    },
    close: () => opener.close(),
  };
}

/** Reads upcalls until `signal`; what comes is counted, and handed to `client.onUpcall`. */
export async function readUpcalls({ opener, client }: PmdBench, signal: AbortSignal): Promise<void> {
  await opener.recvSet(true);
  for (;;) {
    const upcalls = await opener.recvBatch(0, 64, signal);
    if (upcalls.length === 0) return;
    client.upcalls += upcalls.length;
    for (const upcall of upcalls) client.onUpcall(upcall);
  }
}
