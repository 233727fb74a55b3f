/** A learning switch on a datapath of dummy ports: what the switch tests stand on. */

import { type Dpif, DpifRegistry, NetdevRegistry } from '@etherloom/core';
import { createUserspaceProvider } from '@etherloom/dpif-userspace';
import { DummyProvider } from '@etherloom/netdev-dummy';
import { formatActions, formatFlowKey } from '@etherloom/odp-codec';
import { ethernet, raw, type VlanTag } from '@etherloom/testkit';
import { LearningSwitch } from '../src/learning/learning-switch.js';
import type { LearningOptions } from '../src/learning/planner.js';

/** `02:00:00:00:00:0N`. */
export const host = (n: number): string => `02:00:00:00:00:${n.toString(16).padStart(2, '0')}`;
export const BROADCAST = 'ff:ff:ff:ff:ff:ff';

/** A frame that says in its payload which it is. */
export function frame(src: string, dst: string, id = 0, vlans: readonly VlanTag[] = []): Uint8Array {
  return ethernet({ src, dst, vlans }, raw(0x88b5, new Uint8Array(46).fill(id & 0xff)));
}

export class SwitchBench {
  readonly dpif: Dpif;
  readonly learning: LearningSwitch;
  readonly #dummies: DummyProvider;
  /** Milliseconds, for the datapath and for the switch. */
  now = 1000;

  private constructor(
    dummies: DummyProvider,
    dpif: Dpif,
    options: Partial<LearningOptions>,
    warn: (message: string) => void,
  ) {
    this.#dummies = dummies;
    this.dpif = dpif;
    this.learning = new LearningSwitch({
      dpif,
      log: { warn },
      options,
      clock: () => this.now,
    });
  }

  /** Local port "br0" is port 0; ports p1 to pN have those numbers. */
  static async create(
    ports: number,
    options: Partial<LearningOptions> = {},
    warn: (message: string) => void = () => {},
  ): Promise<SwitchBench> {
    const dummies = new DummyProvider();
    const netdevs = new NetdevRegistry();
    netdevs.register(dummies);
    const dpifs = new DpifRegistry();
    let bench: SwitchBench | undefined;
    const clock = (): number => bench?.now ?? 1000;
    dpifs.register(
      createUserspaceProvider({ type: 'dummy', netdevs, portTypes: { internal: 'dummy' }, clock }),
    );
    bench = new SwitchBench(dummies, await dpifs.create('br0', 'dummy'), options, warn);
    for (let port = 1; port <= ports; port++) await bench.addPort(port);
    await bench.learning.start();
    return bench;
  }

  async addPort(port: number): Promise<void> {
    await this.dpif.portAdd({ name: `p${port}`, type: 'dummy' }, port);
  }

  async close(): Promise<void> {
    await this.learning.stop();
    await this.dpif.delete();
    await this.dpif.close();
  }

  /** Lets `frames` arrive at `port` and everything that follows from it happen. */
  async arrive(port: number, ...frames: Uint8Array[]): Promise<void> {
    for (const bytes of frames) {
      if (!this.#device(port).inject(bytes)) throw new Error(`port ${port} has no room for a frame`);
    }
    await this.settle();
  }

  /** Frames that left since the last call, by port; only ports that sent something. */
  left(ports: readonly number[]): Record<number, Uint8Array[]> {
    const sent = ports.map((port): [number, Uint8Array[]] => [port, this.#device(port).takeTransmitted()]);
    return Object.fromEntries(sent.filter(([, frames]) => frames.length > 0));
  }

  /** Everything here runs on this thread's event loop: a few turns of it and nothing is under way. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 30; turn++) await new Promise((resolve) => setImmediate(resolve));
  }

  /** The flow table as `match -> actions`. */
  async flows(): Promise<Record<string, string>> {
    const flows: Record<string, string> = {};
    for await (const { key, mask, actions } of this.dpif.flowDump())
      flows[formatFlowKey(key, mask)] = formatActions(actions);
    return flows;
  }

  #device(port: number) {
    const device = this.#dummies.device(port === 0 ? 'br0' : `p${port}`);
    if (device === undefined) throw new Error(`there is no port ${port}`);
    return device;
  }
}
