/** A capture as its client has it: reads what taps wrote, on whatever threads they are. Control path. */

import { type CapturedPacket, DpifError, type PacketCapture, watchWord } from '@etherloom/core';
import { SharedRing } from '../pmd/ring.hot.js';
import type { TapSource } from './source.js';
import { SEEN_IN, TAP_HEAD } from './tap.hot.js';

/** Bytes of packets after which one reading is enough. */
const READ_BYTES = 256 << 10;

/** Who lets packets be captured. */
export interface CaptureHost {
  /** Takes the taps away. */
  remove(): Promise<void>;
  /** The memory of the capture is gone. */
  forgotten(): void;
}

export class Capture implements PacketCapture {
  readonly #source: TapSource;
  readonly #rings: (SharedRing | undefined)[] = [];
  readonly #host: CaptureHost;
  readonly #unwatch: () => void;
  readonly #waiting = new Set<() => void>();
  readonly #double = new Float64Array(1);
  readonly #half = new Int32Array(this.#double.buffer);
  #stopped: Promise<void> | undefined;
  /** Once its memory is gone. */
  #missed: number | undefined;
  #over = false;
  #forgotten = false;
  /** Ring that is read first next time, so that none waits for another. */
  #turn = 0;

  constructor(source: TapSource, host: CaptureHost) {
    this.#source = source;
    this.#host = host;
    this.#unwatch = watchWord(new Int32Array(source.bell), 0, () => this.#wake());
  }

  /** It was read to its end, or discarded. */
  get forgotten(): boolean {
    return this.#forgotten;
  }

  /** Ends it, and throws away what was not read. */
  async discard(): Promise<void> {
    await this.stop();
    this.#forget();
  }

  async next(max: number, signal?: AbortSignal): Promise<readonly CapturedPacket[]> {
    if (!(max >= 1)) throw new DpifError('EINVAL', `at most ${max} packets: give 1 or more`);
    for (;;) {
      if (signal?.aborted === true) return [];
      const packets = this.#read(max);
      if (packets.length > 0) return packets;
      if (this.#over) {
        this.#forget();
        return packets;
      }
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.#waiting.delete(wake);
          signal?.removeEventListener('abort', wake);
          resolve();
        };
        this.#waiting.add(wake);
        signal?.addEventListener('abort', wake);
      });
    }
  }

  async stop(): Promise<{ readonly missed: number }> {
    this.#stopped ??= this.#end();
    await this.#stopped;
    return { missed: this.#missed ?? this.#countMissed() };
  }

  async #end(): Promise<void> {
    try {
      await this.#host.remove();
    } finally {
      this.#over = true;
      this.#unwatch();
      this.#wake();
    }
  }

  #forget(): void {
    if (this.#forgotten) return;
    this.#forgotten = true;
    this.#rings.length = 0;
    this.#missed = this.#countMissed();
    this.#source.clear();
    this.#host.forgotten();
  }

  #countMissed(): number {
    const counts = this.#source.memories.map((memory) =>
      memory === undefined ? 0 : new Float64Array(memory.missed)[0]!,
    );
    return counts.reduce((sum, count) => sum + count, 0);
  }

  #wake(): void {
    for (const wake of [...this.#waiting]) wake();
  }

  #read(max: number): CapturedPacket[] {
    const packets: CapturedPacket[] = [];
    const { memories } = this.#source;
    this.#turn++;
    let bytes = 0;
    for (let i = 0; i < memories.length; i++) {
      const index = (i + this.#turn) % memories.length;
      const memory = memories[index];
      if (memory === undefined) continue;
      this.#rings[index] ??= new SharedRing(memory.ring);
      const ring = this.#rings[index];
      while (packets.length < max && bytes < READ_BYTES) {
        const at = ring.peek();
        if (at < 0) break;
        const packet = this.#packet(ring, at);
        packets.push(packet);
        bytes += packet.bytes.length;
        ring.skip();
      }
      ring.release();
    }
    return packets.sort((a, b) => a.seconds - b.seconds || a.nanoseconds - b.nanoseconds);
  }

  #packet({ words, bytes }: SharedRing, at: number): CapturedPacket {
    this.#half[0] = words[at + 4]!;
    this.#half[1] = words[at + 5]!;
    const { start } = this.#source.spec;
    // Whole seconds of the start apart: a double holds today's date to a quarter of a microsecond only.
    const startSeconds = Math.floor(start / 1000);
    const ms = start - startSeconds * 1000 + this.#double[0]!;
    const seconds = Math.floor(ms / 1000);
    const from = (at + TAP_HEAD) * 4;
    return {
      seconds: startSeconds + seconds,
      nanoseconds: Math.min(Math.max(Math.round((ms - seconds * 1000) * 1e6), 0), 999_999_999),
      port: words[at]!,
      direction: words[at + 1] === SEEN_IN ? 'in' : 'out',
      length: words[at + 2]!,
      bytes: bytes.slice(from, from + words[at + 3]!),
    };
  }
}
