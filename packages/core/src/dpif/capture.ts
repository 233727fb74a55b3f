/**
 * Captures: copies of packets that ports of a running datapath receive and send. Etherloom's own addition to dpif.h. Types
 * only; arrays handed out are the caller's.
 */

export type CaptureDirection = 'in' | 'out';

export interface CaptureOptions {
  /** Packets of this port only. Default: of all. A number without a port sees nothing until a port has it. */
  readonly port?: number;
  /** Default: both. */
  readonly direction?: CaptureDirection;
  /**
   * Only packets whose key, extracted where they are seen, matches: Netlink attributes as of a flow. in_port is the port at
   * which a packet is seen. Without a type of frame (eth_type) all types match, with tags or without.
   */
  readonly filter?: { readonly key: Uint8Array; readonly mask: Uint8Array };
  /** Bytes kept of each packet, from 1; default all. */
  readonly snaplen?: number;
}

export interface CapturedPacket {
  /** When the burst was seen that it came in: seconds since 1970, and nanoseconds from 0 to 999,999,999. */
  readonly seconds: number;
  readonly nanoseconds: number;
  readonly port: number;
  readonly direction: CaptureDirection;
  /** Its length, of which there may be fewer bytes. Super-packets of hosts are seen before they are segmented. */
  readonly length: number;
  readonly bytes: Uint8Array;
}

/**
 * A capture that runs. What it has is held in memory of fixed size until it is read; packets that meet no room are not captured,
 * and counted. It ends with `stop`, and is forgotten when it was read to its end, or with the handle that it was started on.
 */
export interface PacketCapture {
  /**
   * Waits for packets; resolves to some, `max` at most and about 256 KiB of them. Empty when `signal` aborts, and when the
   * capture is over and everything has been read.
   */
  next(max: number, signal?: AbortSignal): Promise<readonly CapturedPacket[]>;
  /** Ends it. Resolves to how many packets were not captured though they were to be. Idempotent. */
  stop(): Promise<{ readonly missed: number }>;
}
