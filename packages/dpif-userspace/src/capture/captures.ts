/** The captures that run on a datapath. Control path. */

import { type CaptureOptions, DpifError } from '@etherloom/core';
import type { DataPlane } from '../plane.js';
import { Capture } from './capture.js';
import { TapSource, tapSpec } from './source.js';

/** Captures at a time: each has a ring for each thread, and costs each packet. */
const MAX_CAPTURES = 8;

export class Captures {
  readonly #plane: DataPlane;
  readonly #vlanLimit: number;
  #running = 0;
  #nextId = 1;

  constructor(plane: DataPlane, vlanLimit: number) {
    this.#plane = plane;
    this.#vlanLimit = vlanLimit;
  }

  /** Begins a capture. EINVAL for bad options, EMFILE when too many run. */
  async start(options: CaptureOptions): Promise<Capture> {
    if (this.#running >= MAX_CAPTURES) {
      throw new DpifError('EMFILE', `${MAX_CAPTURES} captures run on this datapath; end one first`);
    }
    const source = new TapSource(tapSpec(this.#nextId++, options, this.#vlanLimit));
    const { id } = source.spec;
    this.#running++;
    const remove = async (): Promise<void> => {
      this.#running--;
      await this.#plane.removeTap(id);
    };
    try {
      await this.#plane.addTap(source);
    } catch (error) {
      await remove();
      throw error;
    }
    return new Capture(source, remove);
  }
}
