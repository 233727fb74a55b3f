/** A capture over a connection. The server ends it when the connection does. */

import { type CapturedPacket, DpifError, type PacketCapture } from '@etherloom/core';
import type { Link } from './link.js';
import * as methods from './methods.js';

export class RemoteCapture implements PacketCapture {
  readonly #link: Link;
  readonly #handle: number;
  readonly #capture: number;
  #stopped: Promise<{ readonly missed: number }> | undefined;
  /** Nothing is left at the other end. */
  #done = false;

  constructor(link: Link, handle: number, capture: number) {
    this.#link = link;
    this.#handle = handle;
    this.#capture = capture;
  }

  async next(max: number, signal?: AbortSignal): Promise<readonly CapturedPacket[]> {
    if (!(max >= 1)) throw new DpifError('EINVAL', `at most ${max} packets: give 1 or more`);
    if (this.#done || signal?.aborted === true) return [];
    const wanted = Math.min(Math.floor(max), methods.SLICE_ITEMS);
    const stopped = this.#stopped !== undefined;
    const packets = await this.#link.wait(
      methods.captureNext,
      [this.#handle, [this.#capture, wanted]],
      signal,
    );
    if (packets.length === 0 && stopped && !this.#done) {
      this.#done = true;
      await this.#link.call(methods.captureDone, [this.#handle, this.#capture]);
    }
    return packets;
  }

  stop(): Promise<{ readonly missed: number }> {
    this.#stopped ??= this.#link.call(methods.captureStop, [this.#handle, this.#capture]);
    return this.#stopped;
  }
}
