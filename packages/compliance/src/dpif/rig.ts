/** A datapath with ports whose far ends are at hand: what most cases of the dpif suite work with. */

import { setImmediate as turn } from 'node:timers/promises';
import { type Dpif, type FlowStats, FP_CREATE, type Upcall } from '@etherloom/core';
import type { FarEnd } from '../netdev/fixture.js';
import { eventually } from '../netdev/tools.js';
import type { DpifFixture } from './fixture.js';
import { actions, flow, isOurs } from './packets.js';

export interface RigPort {
  readonly name: string;
  readonly no: number;
  readonly far: FarEnd;
}

/** Turns of the event loop that a datapath gets to do what it should not. */
const QUIET_TURNS = 20;

export class Rig {
  readonly fixture: DpifFixture;
  readonly dpif: Dpif;
  readonly ports: RigPort[] = [];

  private constructor(fixture: DpifFixture, dpif: Dpif) {
    this.fixture = fixture;
    this.dpif = dpif;
  }

  /** Runs `body` on a new datapath with `ports` ports, and deletes it afterwards, whatever happened. */
  static async with(fixture: DpifFixture, ports: number, body: (rig: Rig) => Promise<void>): Promise<void> {
    const rig = new Rig(fixture, await fixture.dpifs.create(fixture.name(), fixture.type));
    try {
      for (let i = 0; i < ports; i++) await rig.addPort();
      await body(rig);
    } finally {
      for (const { far } of rig.ports) await far.close();
      await rig.dpif.delete();
      await rig.dpif.close();
    }
  }

  async addPort(portNo?: number): Promise<RigPort> {
    const { name, portType, portConfig } = this.fixture;
    const portName = name();
    const no = await this.dpif.portAdd({ name: portName, type: portType, config: portConfig }, portNo);
    const port: RigPort = { name: portName, no, far: await this.fixture.farEnd(portName) };
    this.ports.push(port);
    return port;
  }

  /** Puts a flow given as text; only creates unless `flags` say otherwise. */
  put(key: string, actionList: string, flags = FP_CREATE): Promise<FlowStats> {
    return this.dpif.flowPut({ ...flow(key), flags, actions: actions(actionList) });
  }

  /** Sends `packets` into `port` and waits until the datapath has looked all of them up. */
  async process(port: RigPort, packets: readonly Uint8Array[]): Promise<void> {
    const lookups = async (): Promise<number> => {
      const { hit, missed } = await this.dpif.getDpStats();
      return hit + missed;
    };
    const before = await lookups();
    await port.far.send(packets);
    await eventually(`${packets.length} packets are looked up`, async () => {
      return (await lookups()) >= before + packets.length;
    });
  }

  /** Packets of ours that leave through `port`, when `count` of them have. */
  async arrive(port: RigPort, count: number): Promise<Uint8Array[]> {
    const packets: Uint8Array[] = [];
    await eventually(`${count} packets leave through port ${port.no}`, async () => {
      packets.push(...(await port.far.receive()).filter(isOurs));
      return packets.length >= count;
    });
    return packets;
  }

  /** Packets of ours that left through `port` although time was given to everything on its way. */
  async late(port: RigPort): Promise<Uint8Array[]> {
    for (let i = 0; i < QUIET_TURNS; i++) await turn();
    return (await port.far.receive()).filter(isOurs);
  }

  /** The next `count` upcalls for packets of ours. */
  async upcalls(count: number, handler = 0): Promise<Upcall[]> {
    const upcalls: Upcall[] = [];
    await eventually(`${count} upcalls come to handler ${handler}`, async () => {
      for (
        let next = await this.dpif.recv(handler);
        next !== undefined;
        next = await this.dpif.recv(handler)
      ) {
        if (isOurs(next.packet)) upcalls.push(next);
        if (upcalls.length >= count) return true;
      }
      return false;
    });
    return upcalls;
  }

  /** Waits until `portNo` has dropped `count` packets for the reason `code`. */
  async dropped(portNo: number, code: string, count: number): Promise<void> {
    await eventually(`port ${portNo} counts ${count} under ${code}`, async () => {
      return ((await this.dpif.portGetDrops(portNo))[code] ?? 0) >= count;
    });
  }

  /** Statistics of the flow, when it has seen `packets`. */
  async seen(key: string, packets: number): Promise<FlowStats> {
    let stats: FlowStats | undefined;
    await eventually(`the flow ${key} has seen ${packets} packets`, async () => {
      stats = (await this.dpif.flowGet(flow(key).key)).stats;
      return stats.packets >= packets;
    });
    return stats!;
  }
}
