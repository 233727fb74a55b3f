/** The far end of a device in a namespace: a process with an AF_PACKET socket, since Node has none. */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { FarEnd, OffloadFrame } from '@etherloom/compliance';
import {
  OFFLOAD_CSUM_PARTIAL,
  OFFLOAD_GSO,
  OFFLOAD_GSO_TCP4,
  OFFLOAD_GSO_TCP6,
  OFFLOAD_GSO_UDP,
  VNET_HEADER,
} from '@etherloom/core';
import { type Netns, run } from '@etherloom/testkit';

const SOURCE = fileURLToPath(new URL('native/af_packet.c', import.meta.url));
// Lengths that are none (native/af_packet.c).
const READY = 0xffff_fffe;
const SENT = 0xffff_ffff;

/** The compiled helper. */
export class AfPacket {
  readonly #folder: string;
  readonly #program: string;

  private constructor(folder: string, program: string) {
    this.#folder = folder;
    this.#program = program;
  }

  static async build(): Promise<AfPacket> {
    const folder = mkdtempSync(join(tmpdir(), 'etherloom-af-packet-'));
    const program = join(folder, 'af_packet');
    await run('cc', ['-std=c11', '-O1', '-Wall', '-Wextra', '-Werror', '-o', program, SOURCE]);
    return new AfPacket(folder, program);
  }

  /** Attaches to `device` in `netns`. */
  async farEnd(netns: Netns, device: string): Promise<FarEnd> {
    const child = netns.spawn(this.#program, [device]);
    const pipe = new Pipe(child);
    await pipe.marks(READY, 1);
    let sent = 0;
    return {
      send: async (frames) => {
        for (const frame of frames) pipe.write(PLAIN, frame);
        sent += frames.length;
        await pipe.marks(SENT, sent);
      },
      receive: async () => pipe.take().map((frame) => frame.subarray(VNET_HEADER)),
      sendOffload: async (frames) => {
        for (const frame of frames) pipe.write(headerOf(frame), frame.bytes);
        sent += frames.length;
        await pipe.marks(SENT, sent);
      },
      receiveOffload: async () => pipe.take().map(offloadFrame),
      close: () => pipe.close(),
    };
  }

  /** Whether descriptor `fd` of this process polls readable. */
  async readable(fd: number): Promise<boolean> {
    const child = spawn(this.#program, ['poll', '3'], { stdio: ['ignore', 'inherit', 'inherit', fd] });
    const [code] = await once(child, 'exit');
    if (code !== 0 && code !== 1) throw new Error(`af_packet poll exited with ${code}`);
    return code === 0;
  }

  /** Gives the pipe behind descriptor `fd` of this process a capacity of 1 MiB. */
  grow(fd: number): void {
    execFileSync(this.#program, ['grow', '3'], { stdio: ['ignore', 'inherit', 'inherit', fd] });
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true });
  }
}

const PLAIN = new Uint8Array(VNET_HEADER);

/** A virtio-net header, written out here on purpose: the package's own one is under test. */
function headerOf({ offload, csumStart, csumOffset, gsoSize, gsoHeader }: OffloadFrame): Uint8Array {
  const header = Buffer.alloc(VNET_HEADER);
  header[0] = 1;
  const kind = offload & OFFLOAD_GSO;
  if (kind !== 0) {
    header[1] = kind === OFFLOAD_GSO_TCP4 ? 1 : kind === OFFLOAD_GSO_TCP6 ? 4 : 5;
    header.writeUInt16LE(gsoHeader, 2);
    header.writeUInt16LE(gsoSize, 4);
  }
  header.writeUInt16LE(csumStart, 6);
  header.writeUInt16LE(csumOffset, 8);
  return header;
}

function offloadFrame(frame: Uint8Array): OffloadFrame {
  const header = Buffer.from(frame.subarray(0, VNET_HEADER));
  const bytes = frame.slice(VNET_HEADER);
  const csumStart = header.readUInt16LE(6);
  const csumOffset = header.readUInt16LE(8);
  const gso = new Map([
    [1, OFFLOAD_GSO_TCP4],
    [4, OFFLOAD_GSO_TCP6],
    [5, OFFLOAD_GSO_UDP],
  ]);
  const partial = (header[0]! & 1) === 0 ? 0 : OFFLOAD_CSUM_PARTIAL;
  const offload = partial | (gso.get(header[1]!) ?? 0);
  const gsoHeader = csumStart + (csumOffset === 16 ? (bytes[csumStart + 12]! >> 4) * 4 : 8);
  return { bytes, offload, csumStart, csumOffset, gsoSize: header.readUInt16LE(4), gsoHeader };
}

/** Length-prefixed frames over a child's standard streams. */
class Pipe {
  readonly #child: ChildProcess;
  #input = Buffer.alloc(0);
  #frames: Uint8Array[] = [];
  readonly #marks = new Map<number, number>();
  #stderr = '';

  constructor(child: ChildProcess) {
    this.#child = child;
    child.stdin?.on('error', () => undefined);
    child.stderr?.on('data', (chunk) => {
      this.#stderr += String(chunk);
    });
    child.stdout?.on('data', (chunk: Buffer) => this.#parse(chunk));
  }

  write(header: Uint8Array, frame: Uint8Array): void {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(header.length + frame.length);
    this.#child.stdin?.write(Buffer.concat([length, header, frame]));
  }

  take(): Uint8Array[] {
    const frames = this.#frames;
    this.#frames = [];
    return frames;
  }

  /** Waits until `count` marks of that kind came. */
  async marks(mark: number, count: number): Promise<void> {
    while ((this.#marks.get(mark) ?? 0) < count) {
      const { exitCode, stdout } = this.#child;
      if (exitCode !== null || stdout === null) throw new Error(`af_packet ended: ${this.#stderr}`);
      const ended = new AbortController();
      await Promise.race([
        once(stdout, 'data', { signal: ended.signal }),
        once(this.#child, 'exit', { signal: ended.signal }),
      ]);
      ended.abort();
    }
  }

  async close(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const exit = once(this.#child, 'exit');
    this.#child.stdin?.end();
    await exit;
  }

  #parse(chunk: Buffer): void {
    this.#input = Buffer.concat([this.#input, chunk]);
    while (this.#input.length >= 4) {
      const length = this.#input.readUInt32LE();
      if (length >= READY) {
        this.#marks.set(length, (this.#marks.get(length) ?? 0) + 1);
        this.#input = this.#input.subarray(4);
      } else if (this.#input.length >= 4 + length) {
        this.#frames.push(Uint8Array.from(this.#input.subarray(4, 4 + length)));
        this.#input = this.#input.subarray(4 + length);
      } else break;
    }
  }
}
