/** Who takes part in a comparison of switches between devices of the kernel. */

import type { Netns } from '@etherloom/testkit';

export interface Contestant {
  readonly name: string;
  readonly ours?: boolean;
  /** Whether it takes one end of a veth pair, whose other end is the host's device, or makes the host's device itself. */
  readonly kind: 'veth' | 'tap';
  /** Whether hosts must finish checksums for it, since it passes on unfinished ones as they are. */
  readonly wantsChecksums?: boolean;
  /** Takes part in what TCP does only. */
  readonly tcpOnly?: boolean;
  /** Whether the generator's frames, which never were socket buffers, reach it. */
  readonly takesFrames: boolean;
  /** Why it cannot take part; undefined when it can, after installing what it needs. */
  missing(): string | undefined;
  /**
   * Starts it in namespace `home`, a learning switch (or a wire) between `ports`, its packets' path on processor `core`.
   * Of a TAP switch the ports exist afterwards. The ids of its processes are in `folder`, in files `*.pid`.
   */
  start(home: Netns, ports: readonly string[], folder: string, core: number): Promise<void>;
}
