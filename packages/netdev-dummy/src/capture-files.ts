/** The capture files of a dummy device: one for each direction, one for both, or none. */

import { PcapWriter } from './pcap-writer.js';

export class CaptureFiles {
  readonly rx: PcapWriter | undefined;
  readonly tx: PcapWriter | undefined;

  /** Creates the files. Throws, with none left open, when one cannot be written. Equal paths are one file. */
  constructor(rxPath: string | undefined, txPath: string | undefined) {
    this.rx = rxPath === undefined ? undefined : new PcapWriter(rxPath);
    try {
      if (txPath !== undefined) this.tx = txPath === rxPath ? this.rx : new PcapWriter(txPath);
    } catch (error) {
      this.rx?.close();
      throw error;
    }
  }

  /** Idempotent. */
  close(): void {
    this.rx?.close();
    this.tx?.close();
  }
}
