/**
 * One contestant with its hosts: namespaces source and sink, each with a device, and the switch between them. Lanes exist
 * side by side, and are still while others are measured.
 */

import { mkdirSync } from 'node:fs';
import { Netns } from '@etherloom/testkit';
import type { Contestant } from './contestant.js';
import { Processes } from './processes.js';
import type { Programs } from './programs.js';

/** What one host is called where. */
interface Host {
  readonly mac: string;
  readonly address: string;
  readonly veth: string;
  readonly port: string;
}

const SOURCE: Host = { mac: '02:00:00:00:0a:01', address: '10.200.0.1', veth: 'a0', port: 'p0' };
const SINK: Host = { mac: '02:00:00:00:0b:01', address: '10.200.0.2', veth: 'b0', port: 'p1' };

/** Addresses of the hosts. */
export const SOURCE_ADDRESS = SOURCE.address;
export const SINK_ADDRESS = SINK.address;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** A namespace in which nothing but what is measured is on the wires. */
export async function namespace(): Promise<Netns> {
  const netns = await Netns.create();
  await netns.run('sh', ['-c', 'echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6']);
  await netns.run('sh', ['-c', 'echo 1024 65535 >/proc/sys/net/ipv4/ip_local_port_range']);
  return netns;
}

export class Lane {
  readonly contestant: Contestant;
  readonly source: Netns;
  readonly sink: Netns;
  readonly sourceDevice: string;
  readonly sinkDevice: string;
  readonly processes: Processes;
  readonly #home: Netns;

  private constructor(contestant: Contestant, [source, home, sink]: readonly Netns[], processes: Processes) {
    this.contestant = contestant;
    this.source = source!;
    this.#home = home!;
    this.sink = sink!;
    this.sourceDevice = contestant.kind === 'tap' ? SOURCE.port : SOURCE.veth;
    this.sinkDevice = contestant.kind === 'tap' ? SINK.port : SINK.veth;
    this.processes = processes;
  }

  /** Starts `contestant` on processor `core`, still; `folder` is empty and its own. On failure nothing is left. */
  static async open(contestant: Contestant, folder: string, core: number, programs: Programs): Promise<Lane> {
    const made: Netns[] = [];
    const processes = new Processes(folder);
    mkdirSync(folder, { recursive: true });
    try {
      for (let i = 0; i < 3; i++) made.push(await namespace());
      const lane = new Lane(contestant, made, processes);
      const ends = [
        [lane.source, SOURCE, SINK],
        [lane.sink, SINK, SOURCE],
      ] as const;
      if (contestant.kind === 'veth') for (const [netns, host] of ends) await lane.#connect(netns, host);
      await contestant.start(lane.#home, [SOURCE.port, SINK.port], folder, core);
      if (contestant.kind === 'tap') {
        for (const [netns, { port }] of ends) await lane.#home.ip('link', 'set', port, 'netns', netns.name);
      }
      for (const [netns, host, other] of ends) await lane.#configure(netns, host, other, programs);
      await lane.settle(programs);
      lane.processes.freeze();
      return lane;
    } catch (error) {
      await processes.stop();
      for (const netns of made) await netns.remove();
      throw error;
    }
  }

  async thaw(): Promise<void> {
    this.processes.thaw();
    await pause(50);
  }

  /** Waits until the hosts reach each other, which also tells a learning switch where they are. */
  async settle(programs: Programs): Promise<void> {
    for (let attempt = 0; attempt < 20; attempt++) {
      if ((await programs.ping(this.sink, SOURCE.address, 3)).received === 3) return;
      await pause(100);
    }
    throw new Error(`no packet gets through ${this.contestant.name}`);
  }

  async close(): Promise<void> {
    await this.processes.stop();
    for (const netns of [this.#home, this.source, this.sink]) await netns.remove();
  }

  async #connect(netns: Netns, { veth, port }: Host): Promise<void> {
    await this.#home.ip('link', 'add', port, 'type', 'veth', 'peer', 'name', veth, 'netns', netns.name);
    await this.#home.ip('link', 'set', port, 'up');
    await netns.ip('link', 'set', veth, 'up');
  }

  async #configure(netns: Netns, host: Host, other: Host, programs: Programs): Promise<void> {
    const { kind, wantsChecksums } = this.contestant;
    const device = kind === 'tap' ? host.port : host.veth;
    await netns.ip('link', 'set', device, 'address', host.mac);
    await netns.ip('link', 'set', device, 'up');
    await netns.ip('addr', 'add', `${host.address}/24`, 'dev', device);
    await netns.ip('neigh', 'replace', other.address, 'lladdr', other.mac, 'dev', device, 'nud', 'permanent');
    if (wantsChecksums === true) await programs.finishChecksums(netns, device);
  }
}
