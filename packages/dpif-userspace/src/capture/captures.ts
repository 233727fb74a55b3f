/** The captures that run on a datapath. Control path. */

import { type CaptureOptions, DpifError } from '@etherloom/core';
import type { DataPlane } from '../plane.js';
import { Capture } from './capture.js';
import { TapSource, tapSpec } from './source.js';

/** Captures at a time that run or have not been read to their end: each has a ring for each thread. */
const MAX_CAPTURES = 8;

export class Captures {
  readonly #plane: DataPlane;
  readonly #vlanLimit: number;
  #captures = 0;
  #nextId = 1;

  constructor(plane: DataPlane, vlanLimit: number) {
    this.#plane = plane;
    this.#vlanLimit = vlanLimit;
  }

  /** Begins a capture. EINVAL for bad options, EMFILE when too many run. */
  async start(options: CaptureOptions): Promise<Capture> {
    if (this.#captures >= MAX_CAPTURES) {
      throw new DpifError(
        'EMFILE',
        `${MAX_CAPTURES} captures run on this datapath or have not been read to their end; end one first`,
      );
    }
    const source = new TapSource(tapSpec(this.#nextId++, options, this.#vlanLimit));
    const { id } = source.spec;
    this.#captures++;
    try {
      await this.#plane.addTap(source);
    } catch (error) {
      this.#captures--;
      await this.#plane.removeTap(id);
      throw error;
    }
    return new Capture(source, {
      remove: () => this.#plane.removeTap(id),
      forgotten: () => {
        this.#captures--;
      },
    });
  }
}
