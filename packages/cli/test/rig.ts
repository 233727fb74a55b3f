/** A datapath with two dummy ports, and the dpctl commands on it. */

import { DpifRegistry, NetdevRegistry } from '@etherloom/core';
import { createUserspaceProvider } from '@etherloom/dpif-userspace';
import { DummyProvider } from '@etherloom/netdev-dummy';
import { DPCTL_COMMANDS, type DpctlContext, DpctlError, type DpctlResult, runDpctl } from '../src/index.js';

export const DP = 'dummy@br0';
export const FLOW = 'in_port(1),eth(),eth_type(0x0800),ipv4(frag=no)';

/** How a command failed: Open vSwitch's text and our sentences. */
export interface Failure {
  readonly ovs: string;
  readonly sentence: string;
  /** Open vSwitch reports success all the same. */
  readonly tolerated: boolean;
}

export class Rig {
  /** The clock of the datapath. */
  now = 1000;
  readonly dummies = new DummyProvider();
  readonly #context: DpctlContext;

  private constructor() {
    const netdevs = new NetdevRegistry();
    netdevs.register(this.dummies);
    const dpifs = new DpifRegistry();
    const arena = { smallFrames: 256, largeFrames: 4 };
    const portTypes = { internal: 'dummy' };
    dpifs.register(
      createUserspaceProvider({ type: 'dummy', netdevs, portTypes, arena, clock: () => this.now }),
    );
    this.#context = { dpifs, netdevs };
  }

  static async create(): Promise<Rig> {
    const rig = new Rig();
    await rig.dpctl('add-dp', DP, 'p1,type=dummy', 'p2,type=dummy');
    return rig;
  }

  readonly dpctl = (name: string, ...argv: string[]): Promise<DpctlResult> => {
    const command = DPCTL_COMMANDS.find((candidate) => candidate.name === name);
    if (command === undefined) throw new Error(`no command ${name}`);
    return runDpctl(command, this.#context, argv);
  };

  readonly text = async (name: string, ...argv: string[]): Promise<string> =>
    (await this.dpctl(name, ...argv)).text;

  readonly failure = async (name: string, ...argv: string[]): Promise<Failure> => {
    try {
      await this.dpctl(name, ...argv);
    } catch (error) {
      if (!(error instanceof DpctlError)) throw error;
      return { ovs: error.format('vs'), sentence: error.message, tolerated: error.tolerated };
    }
    throw new Error(`${name} ${argv.join(' ')} did not fail`);
  };
}
