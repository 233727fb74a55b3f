/** The programs at the ends of the wires, compiled here from C: generator, sink, ping, TCP. They run on processor 0. */

import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Netns, run } from '@etherloom/testkit';

const SOURCES = {
  frames: '../../native/frames.c',
  tcp: '../../native/tcp.c',
  ping: '../../../scripts/lab/icmp-ping.c',
};

const PINNED = ['-c', '0'];

/** What scripts/lab/icmp-ping.c prints. */
export interface Echoes {
  readonly received: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

function isEchoes(value: unknown): value is Echoes {
  return typeof value === 'object' && value !== null && 'received' in value;
}

function figure(text: string, what: string): number {
  const value = Number(text);
  if (value > 0) return value;
  throw new Error(`${what} gave no figure: "${text.trim()}"`);
}

/** A program that goes on until it is stopped. */
export interface Background {
  readonly pid: number;
  stop(): Promise<void>;
}

function background(child: ChildProcess): Promise<Background> {
  const { stdout, stderr } = child;
  return new Promise((resolve, reject) => {
    let errors = '';
    stderr?.on('data', (data) => {
      errors += String(data);
    });
    const failed = (): void => reject(new Error(`a program did not start: ${errors.trim()}`));
    child.once('exit', failed);
    child.once('error', failed);
    stdout?.once('data', () => {
      child.off('exit', failed);
      resolve({
        pid: child.pid ?? 0,
        stop: () =>
          new Promise((stopped) => {
            if (child.exitCode !== null) return stopped();
            child.once('exit', () => stopped());
            child.kill();
          }),
      });
    });
  });
}

export class Programs {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async compile(folder: string): Promise<Programs> {
    const flags = ['-std=gnu11', '-O2', '-Wall', '-Wextra', '-Werror'];
    for (const [name, source] of Object.entries(SOURCES)) {
      await run('cc', [...flags, '-o', join(folder, name), fileURLToPath(new URL(source, import.meta.url))]);
    }
    return new Programs(folder);
  }

  /** Sends frames of `flows` five-tuples for `ms` milliseconds, or until it is stopped. */
  generate(netns: Netns, device: string, ms: number, flows: number): Promise<Background> {
    return this.#start(netns, 'frames', 'generate', device, String(ms / 1000), String(flows));
  }

  /** Drops whatever `device` receives. */
  sink(netns: Netns, device: string): Promise<Background> {
    return this.#start(netns, 'frames', 'sink', device);
  }

  async finishChecksums(netns: Netns, device: string): Promise<void> {
    await netns.run(join(this.#folder, 'frames'), ['checksums', device]);
  }

  /** `count` echo requests, each as soon as the one before is answered. */
  async ping(netns: Netns, address: string, count: number): Promise<Echoes> {
    const echoes: unknown = JSON.parse(await this.#run(netns, 'ping', address, String(count), '0'));
    if (!isEchoes(echoes)) throw new Error(`ping printed ${JSON.stringify(echoes)}`);
    return echoes;
  }

  serve(netns: Netns, ports: number): Promise<Background> {
    return this.#start(netns, 'tcp', 'serve', String(ports));
  }

  /** One connection; bit/s. */
  async stream(netns: Netns, address: string, ms: number): Promise<number> {
    return figure(await this.#run(netns, 'tcp', 'stream', address, String(ms / 1000)), 'the TCP stream');
  }

  /** Connections that ask one thing; how many a second. */
  async requests(netns: Netns, address: string, ports: number, ms: number): Promise<number> {
    const args = ['requests', address, String(ports), String(ms / 1000)];
    return figure(await this.#run(netns, 'tcp', ...args), 'TCP requests');
  }

  #start(netns: Netns, name: string, ...args: readonly string[]): Promise<Background> {
    return background(netns.spawn('taskset', [...PINNED, join(this.#folder, name), ...args]));
  }

  #run(netns: Netns, name: string, ...args: readonly string[]): Promise<string> {
    return netns.run('taskset', [...PINNED, join(this.#folder, name), ...args]);
  }
}

/** Packets that `device` has received, in the namespace of process `pid`. */
export function received(pid: number, device: string): number {
  const line = readFileSync(`/proc/${pid}/net/dev`, 'utf8')
    .split('\n')
    .find((each) => each.trimStart().startsWith(`${device}:`));
  const packets = line
    ?.slice(line.indexOf(':') + 1)
    .trim()
    .split(/\s+/)[1];
  if (packets === undefined) throw new Error(`there is no device ${device}`);
  return Number(packets);
}
