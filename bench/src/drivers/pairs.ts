/**
 * Two devices that receive frames that were made before. More come as those before go out by the other one, so that a
 * client's answers set the pace.
 */

import { type Netdev, type NetdevConfig, type NetdevProvider, QUEUE_COUNTERS } from '@etherloom/core';
import { bareDevice } from './bare.js';
import {
  FRAME_WORDS,
  openQueue,
  type PairsDescriptor,
  WORD_ALLOWED,
  WORD_RECEIVED,
  WORD_SENT,
  wakeLocal,
} from './pairs-queue.js';

const MODULE = new URL('./pairs-queue.js', import.meta.url).href;

export class PairsDevice {
  readonly words = new SharedArrayBuffer(4 * 4);
  readonly frames: SharedArrayBuffer;
  readonly #words = new Int32Array(this.words);

  /** `frames` of FRAME_WORDS words each. */
  constructor(frames: readonly Uint8Array[]) {
    this.frames = new SharedArrayBuffer(frames.length * FRAME_WORDS * 4);
    const bytes = new Uint8Array(this.frames);
    for (const [i, frame] of frames.entries()) bytes.set(frame, i * FRAME_WORDS * 4);
  }

  get count(): number {
    return this.frames.byteLength / (FRAME_WORDS * 4);
  }

  get received(): number {
    return Atomics.load(this.#words, WORD_RECEIVED);
  }

  get sent(): number {
    return Atomics.load(this.#words, WORD_SENT);
  }

  /** Lets the first `frames` frames come in, those before included, no faster than they are answered. */
  allow(frames: number): void {
    Atomics.store(this.#words, WORD_ALLOWED, Math.min(frames, this.count));
    wakeLocal(this.words);
  }
}

export class PairsProvider implements NetdevProvider {
  readonly type = 'pairs';
  readonly openQueue = openQueue;
  readonly #devices: ReadonlyMap<string, PairsDevice>;

  constructor(devices: ReadonlyMap<string, PairsDevice>) {
    this.#devices = devices;
  }

  async open(name: string, _config: NetdevConfig): Promise<Netdev> {
    const device = this.#devices.get(name);
    if (device === undefined) throw new TypeError(`no pairs device is called "${name}"`);
    const other = [...this.#devices.values()].find((one) => one !== device) ?? device;
    const descriptor: PairsDescriptor = {
      module: MODULE,
      netdev: name,
      index: 0,
      counters: new SharedArrayBuffer(QUEUE_COUNTERS * 8),
      words: device.words,
      other: other.words,
      frames: device.frames,
    };
    return bareDevice(name, this.type, descriptor);
  }
}
