/** Hosts with real network stacks on ports of a switchd, by any driver: what wires.test.ts and its like are about. */

import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Netns, run } from '@etherloom/testkit';

/** How a port is connected to its host: its type and, for AF_XDP, the mode. */
export const DRIVERS = ['tap', 'afxdp,mode=native', 'afxdp,mode=generic', 'afpacket'] as const;
export type Driver = (typeof DRIVERS)[number];

/** Tags that hosts may send behind: 802.1Q, and 802.1Q in 802.1ad; as vlan-host takes them. */
export const TAGS = { vlan: ['8100:5'], qinq: ['8100:9', '88a8:64'] } as const;
export type Tag = keyof typeof TAGS;

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));
const AGENT = path('fixtures/host-agent.mjs');
const PING_SOURCE = path('../../../scripts/lab/icmp-ping.c');
const VLAN_SOURCE = path('fixtures/vlan-host.c');

interface TcpOutcome {
  readonly equal: boolean;
  readonly ms: number;
}

interface HostInit {
  readonly netns: Netns;
  readonly port: string;
  readonly driver: Driver;
  readonly number: number;
  readonly mtu: number;
}

export class Host {
  readonly netns: Netns;
  /** Name of the port, and of the device in the host unless it is the far end of a veth pair. */
  readonly port: string;
  /** Name of the device in the host. */
  readonly device: string;
  readonly driver: Driver;
  readonly number: number;
  readonly mtu: number;
  readonly v4: string;
  readonly v6: string;
  readonly #tools: Tools;
  #agent: ChildProcess | undefined;
  #tags: ChildProcess | undefined;
  #requests = 0;
  readonly #waiting = new Map<number, (answer: Readonly<Record<string, unknown>>) => void>();

  constructor(tools: Tools, { netns, port, driver, number, mtu }: HostInit) {
    this.#tools = tools;
    this.mtu = mtu;
    this.netns = netns;
    this.port = port;
    this.driver = driver;
    this.number = number;
    this.device = driver === 'tap' ? port : 'eth0';
    this.v4 = `10.79.0.${number}`;
    this.v6 = `fd00:79::${number.toString(16)}`;
  }

  /** Gives the device its addresses and sets it up. */
  async configure(): Promise<void> {
    await batch(this.netns, [
      `link set ${this.device} up`,
      `addr add ${this.v4}/24 dev ${this.device}`,
      `addr add ${this.v6}/64 dev ${this.device} nodad`,
    ]);
  }

  /**
   * From now on everything that the host sends and receives is behind tags; without `tag`, behind none. The kernel's devices
   * let one tag pass beyond their MTU, so that packets behind two have to be shorter.
   */
  async tag(tag?: Tag): Promise<void> {
    const mtu = String(tag === 'qinq' ? 1492 : 1500);
    const { device } = this;
    await this.netns.ip('route', 'replace', '10.79.0.0/24', 'dev', device, 'mtu', mtu);
    await this.netns.ip('route', 'replace', 'fd00:79::/64', 'dev', device, 'metric', '256', 'mtu', mtu);
    const before = this.#tags;
    if (before !== undefined) {
      const ended = new Promise((resolve) => before.once('exit', resolve));
      before.kill('SIGKILL');
      await ended;
    }
    this.#tags =
      tag === undefined ? undefined : this.netns.spawn(this.#tools.vlan, [this.device, ...TAGS[tag]]);
    if (this.#tags !== undefined) await firstOutput(this.#tags);
  }

  /** Echo requests that were answered, of `count`. */
  async ping(to: string, count: number): Promise<number> {
    const { received } = JSON.parse(await this.netns.run(this.#tools.ping, [to, String(count), '1000']));
    return Number(received);
  }

  /** Starts the programs of the host. */
  async start(): Promise<void> {
    const agent = this.netns.spawn(process.execPath, [AGENT]);
    this.#agent = agent;
    if (agent.stdout === null) throw new Error('the agent has no standard output');
    let said = '';
    agent.stderr?.on('data', (data: Buffer) => {
      said += data.toString();
    });
    agent.once('exit', () => {
      for (const answer of this.#waiting.values()) answer({ error: `the agent ended: ${said}` });
    });
    const ready = new Promise<Readonly<Record<string, unknown>>>((resolve) => this.#waiting.set(0, resolve));
    createInterface({ input: agent.stdout }).on('line', (line) => {
      const answer: unknown = JSON.parse(line);
      if (typeof answer !== 'object' || answer === null || !('id' in answer)) return;
      const id = Number(answer.id);
      this.#waiting.get(id)?.({ ...answer });
      this.#waiting.delete(id);
    });
    const { error } = await ready;
    if (error !== undefined) throw new Error(String(error));
  }

  /** Sends random bytes by TCP; the answer says whether the far end got the same ones. */
  async tcp(to: string, bytes: number): Promise<TcpOutcome> {
    const { equal, ms } = await this.#ask({ op: 'tcp', to, bytes });
    return { equal: equal === true, ms: Number(ms) };
  }

  /** Sends datagrams of `size` bytes; resolves to how many came back as they were. */
  async udp(to: string, size: number, count: number): Promise<number> {
    const { intact } = await this.#ask({ op: 'udp', to, size, count });
    return Number(intact);
  }

  async #ask(request: Readonly<Record<string, unknown>>): Promise<Readonly<Record<string, unknown>>> {
    const id = ++this.#requests;
    const answer = new Promise<Readonly<Record<string, unknown>>>((resolve) =>
      this.#waiting.set(id, resolve),
    );
    this.#agent?.stdin?.write(`${JSON.stringify({ id, ...request })}\n`);
    const got = await answer;
    if (got.error !== undefined) {
      throw new Error(`${this.driver} host ${this.number}, ${JSON.stringify(request)}: ${got.error}`);
    }
    return got;
  }
}

/** Resolves when a program says something; rejects when it ends before, with what it complained of. */
function firstOutput(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let said = '';
    child.stderr?.on('data', (data: Buffer) => {
      said += data.toString();
    });
    child.stdout?.once('data', () => resolve());
    child.once('exit', () => reject(new Error(`a host's program ended: ${said}`)));
  });
}

/** Runs `ip` commands in a namespace. */
async function batch(netns: Netns, lines: readonly string[]): Promise<void> {
  await netns.run('ip', ['-batch', '-'], { input: `${lines.join('\n')}\n` });
}

/** Programs that hosts run, compiled: Debian's minimal images have no ping, and not every kernel has VLAN devices. */
export interface Tools {
  readonly ping: string;
  readonly vlan: string;
}

/** Compiles the programs into `folder`. */
export async function buildTools(folder: string): Promise<Tools> {
  const tools = { ping: join(folder, 'ping'), vlan: join(folder, 'vlan-host') };
  await Promise.all([
    run('cc', ['-std=gnu11', '-O1', '-o', tools.ping, PING_SOURCE]),
    run('cc', ['-std=gnu11', '-O1', '-o', tools.vlan, VLAN_SOURCE]),
  ]);
  return tools;
}

/** Namespaces, hosts and the switch's end of their wires; all of it goes with `remove`. */
export class Wires {
  readonly hosts: Host[] = [];
  readonly #tools: Tools;
  readonly #spaces: Netns[] = [];
  #home: Netns | undefined;

  constructor(tools: Tools) {
    this.#tools = tools;
  }

  /** Adds hosts on wires for `drivers`, one each. Their devices are not configured yet: a TAP is only there with its port. */
  async add(drivers: readonly Driver[], mtu = 1500): Promise<void> {
    for (const driver of drivers) {
      const netns = await this.#space();
      const number = this.hosts.length + 1;
      const port = `ew${process.pid % 100_000}p${number}`;
      this.hosts.push(new Host(this.#tools, { netns, port, driver, number, mtu }));
      if (driver !== 'tap') await this.#pair([{ port, far: 'eth0' }], netns, mtu);
    }
  }

  /** Adds ports with nobody behind them: the far ends are up, in one namespace. Returns the flags of switchd. */
  async crowd(driver: Driver, count: number): Promise<string[]> {
    const netns = await this.#space();
    const names = Array.from({ length: count }, (_, i) => `ew${process.pid % 100_000}c${i}`);
    if (driver !== 'tap') {
      const pairs = names.map((port, i) => ({ port, far: `q${i}` }));
      await this.#pair(pairs, netns, 1500);
      await batch(
        netns,
        pairs.map(({ far }) => `link set ${far} up`),
      );
    }
    const where = driver === 'tap' ? netns.name : this.home.name;
    return names.flatMap((name) => ['--port', `${name},type=${driver},netns=${where}`]);
  }

  /** Makes veth pairs from home to `netns`. */
  async #pair(pairs: readonly { port: string; far: string }[], netns: Netns, mtu: number): Promise<void> {
    this.#home ??= await this.#space();
    await batch(
      this.#home,
      pairs.map(
        ({ port, far }) =>
          `link add ${port} mtu ${mtu} type veth peer name ${far} mtu ${mtu} netns ${netns.name}`,
      ),
    );
  }

  /** Namespace of the switch's ends of veth pairs. */
  get home(): Netns {
    if (this.#home === undefined) throw new Error('no host is on a veth pair');
    return this.#home;
  }

  /** Flags of switchd that make the ports of `hosts`. */
  ports(hosts: readonly Host[] = this.hosts): string[] {
    return hosts.flatMap(({ port, driver, netns, mtu }) => [
      '--port',
      driver === 'tap'
        ? `${port},type=tap,mtu=${mtu},netns=${netns.name}`
        : `${port},type=${driver},netns=${this.home.name}`,
    ]);
  }

  /** Configures the hosts and starts their programs. The switch runs. */
  async start(): Promise<void> {
    await Promise.all(
      this.hosts.map(async (host) => {
        await host.configure();
        await host.start();
      }),
    );
  }

  async remove(): Promise<void> {
    await Promise.all(this.#spaces.map((space) => space.remove()));
  }

  async #space(): Promise<Netns> {
    const space = await Netns.create();
    this.#spaces.push(space);
    return space;
  }
}
