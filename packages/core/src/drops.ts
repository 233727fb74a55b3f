/**
 * The drop reasons: every packet that is not delivered is counted under one of these, per port.
 *
 * Counters are `Float64Array`s of {@link DROP_REASON_COUNT} entries indexed by the constants below (a plain number
 * increment, exact to 2^53). Adding a reason is adding a constant and a row.
 */

export const DROP_RX_RUNT = 0;
export const DROP_RX_OVERSIZE = 1;
export const DROP_NO_FRAME = 2;
export const DROP_NO_HANDLER = 3;
export const DROP_UPCALL_FULL = 4;
export const DROP_FLOW = 5;
export const DROP_EXPLICIT = 6;
export const DROP_NO_PORT = 7;
export const DROP_TX_FULL = 8;
export const DROP_TX_ERROR = 9;
export const DROP_TX_TOO_BIG = 10;
export const DROP_TX_DOWN = 11;
export const DROP_RECIRC_DEPTH = 12;
export const DROP_ACTION_UNSUPPORTED = 13;
export const DROP_ACTION_FAILED = 14;
export const DROP_PORT_DELETED = 15;
export const DROP_NO_HEADROOM = 16;
export const DROP_RX_FAULT = 17;
export const DROP_TX_NOT_ETHERNET = 18;
export const DROP_BAD_OFFLOAD = 19;
export const DROP_RX_FULL = 20;
export const DROP_THREAD_CRASHED = 21;
export const DROP_UPCALL_PURGED = 22;

export interface DropReason {
  /** Identifier in JSON and metrics. */
  readonly code: string;
  /** One sentence for people. */
  readonly sentence: string;
}

export const DROP_REASONS: readonly DropReason[] = [
  { code: 'rx_runt', sentence: 'received frame is shorter than an Ethernet header (14 bytes)' },
  { code: 'rx_oversize', sentence: 'received frame is longer than the largest packet buffer' },
  { code: 'no_frame', sentence: 'no free packet buffer in the arena' },
  { code: 'no_handler', sentence: 'no flow matched and no client listens for upcalls' },
  { code: 'upcall_full', sentence: 'the upcall queue of the port was full' },
  { code: 'flow_drop', sentence: 'the matching flow has an empty action list' },
  { code: 'explicit_drop', sentence: 'a drop action said so' },
  { code: 'no_port', sentence: 'output to a port number that does not exist' },
  { code: 'tx_full', sentence: 'the transmit queue of the device was full' },
  { code: 'tx_error', sentence: 'the device refused the frame' },
  { code: 'tx_too_big', sentence: 'the frame is longer than the MTU of the output device allows' },
  { code: 'tx_down', sentence: 'the output device is down' },
  { code: 'recirc_depth', sentence: 'the packet was recirculated more often than the limit allows' },
  { code: 'action_unsupported', sentence: 'the flow holds an action that this datapath does not support' },
  { code: 'action_failed', sentence: 'an action could not be applied to the packet' },
  { code: 'port_deleted', sentence: 'the port was deleted while the packet waited' },
  { code: 'no_headroom', sentence: 'the packet buffer has no room in front for another header' },
  { code: 'rx_fault', sentence: 'a fault-injection decorator dropped the received frame' },
  { code: 'tx_not_ethernet', sentence: 'the packet had no Ethernet header when it was to leave' },
  {
    code: 'bad_offload',
    sentence: 'checksum or segmentation metadata do not fit the packet that they came with',
  },
  { code: 'rx_full', sentence: 'the receive ring of the device was full: the switch was too slow' },
  { code: 'thread_crashed', sentence: 'the poll-mode thread that had the packet in hand crashed' },
  { code: 'upcall_purged', sentence: 'the client discarded waiting upcalls, or went away' },
];

export const DROP_REASON_COUNT = DROP_REASONS.length;
