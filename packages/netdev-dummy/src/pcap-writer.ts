/** Capture files, written frame by frame as they come. */

import { closeSync, openSync, writeSync } from 'node:fs';
import { DpifError, errnoCode, pcapHeader, pcapRecords } from '@etherloom/core';

/** A capture file being written. One system call per `write`; what was written can be read at once. */
export class PcapWriter {
  readonly path: string;
  #fd: number;

  /** Creates or empties the file. Throws a `DpifError` that names it when that fails. */
  constructor(path: string) {
    this.path = path;
    try {
      this.#fd = openSync(path, 'w');
    } catch (error) {
      throw fileError('write', error);
    }
    this.#append(pcapHeader('microseconds'));
  }

  /**
   * Appends `frames` with the time of the call. A file that cannot be written any more (disk full) is given up with a
   * process warning: a capture must not stop the traffic.
   */
  write(frames: readonly Uint8Array[]): void {
    if (this.#fd < 0 || frames.length === 0) return;
    const now = performance.timeOrigin + performance.now();
    const seconds = Math.floor(now / 1000);
    const nanoseconds = Math.floor((now - seconds * 1000) * 1000) * 1000;
    const records = frames.map((data) => ({ data, originalLength: data.length, seconds, nanoseconds }));
    this.#append(pcapRecords(records, 'microseconds'));
  }

  /** Idempotent. */
  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }

  #append(bytes: Uint8Array): void {
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at);
    } catch (error) {
      this.close();
      process.emitWarning(`capture file ${this.path} is incomplete: ${reason(error)}`);
    }
  }
}

/** A failed file operation as the contracts' error; Node's message names the file. */
export function fileError(what: 'read' | 'write', error: unknown): DpifError {
  const code =
    error instanceof Error && 'errno' in error && typeof error.errno === 'number'
      ? errnoCode(error.errno)
      : 'EIO';
  return new DpifError(code, `cannot ${what} capture file: ${reason(error)}`, { cause: error });
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
