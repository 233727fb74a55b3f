/**
 * Shared memory between the control thread and one poll-mode thread: which word is what, and the records of the rings.
 * Constants only; both sides are compiled from this file.
 */

// Control words, an Int32Array.
/** AWAKE, ASLEEP or WOKEN. Written by the thread, and by whoever wakes it. */
export const WORD_SLEEPING = 0;
export const AWAKE = 0;
/** The thread sleeps or is about to: make it WOKEN and ring its doorbell. */
export const ASLEEP = 1;
/** The doorbell was rung, which costs 1 us: once is enough, the thread comes. */
export const WOKEN = 2;
/** Changes when upcalls, replies or acknowledgements wait for the control thread. Written by the thread. */
export const WORD_BELL = 16;
/** Sequence number of the last command that the thread is done with. Written by the thread. */
export const WORD_DONE = 32;
/** 1 while a client takes upcalls. Written by the control thread. */
export const WORD_LISTENING = 48;
/** 1 when the thread shall end. Written by the control thread. */
export const WORD_STOP = 49;
export const CONTROL_WORDS = 64;

// What a thread reports, a Float64Array that it writes and the control thread reads. The counters DP_* of the pipeline
// stand in front. Times are in milliseconds.
export const REPORT_ITERATIONS = 16;
/** Iterations that received something. */
export const REPORT_BUSY_ITERATIONS = 17;
export const REPORT_PACKETS = 18;
export const REPORT_BUSY = 19;
export const REPORT_IDLE = 20;
export const REPORT_ASLEEP = 21;
export const REPORT_SLEEPS = 22;
export const REPORT_UPCALLS = 23;
export const REPORT_COMMANDS = 24;
/** What the pipeline has in hand (HAND_*): whoever finds the thread dead counts it as lost. */
export const REPORT_HAND = 25;
/** Free packet buffers, small and large, when the thread last had nothing to do, or a second ago. */
export const REPORT_FREE = 27;
export const REPORT_FREE_LARGE = 28;
/** The counters PERF_*. */
export const REPORT_PERF = 32;
export const REPORT_LENGTH = 48;

// Commands: word 0 is the kind, word 1 the sequence number.
export const COMMAND_HEAD = 2;
/** flow, words of key, words of mask, bytes of actions; then these: key and mask packed, actions padded to words. */
export const COMMAND_PUT = 1;
/** flow, 1 to zero the statistics, bytes of actions; actions. Replied to when it zeroes. */
export const COMMAND_MODIFY = 2;
/** flow. Replied to. */
export const COMMAND_DEL = 3;
export const COMMAND_FLUSH = 4;
/** packet type, words of key, bytes of actions, bytes of packet; these. Replied to. */
export const COMMAND_EXECUTE = 5;
/** A message waits in the thread's port. */
export const COMMAND_MESSAGE = 6;
/** Nothing but a sequence number: whoever waits for it knows that all packets received before are done with. */
export const COMMAND_BARRIER = 7;

/** A reply: packets, bytes and time of the last packet as doubles, TCP flags; or one word, 0 or the errno of an execute. */
export const REPLY_STATS_WORDS = 7;
export const REPLY_STATUS_WORDS = 1;

// Upcalls: 1 for an action, with the account above it; PID; bytes of packet; words of key; bytes of userdata and of
// actions, -1 for none; packet type, bytes that a truncation takes, OFFLOAD_* bits, csumStart, csumOffset, gsoSize,
// gsoHeader; then key packed, packet, userdata and actions, each padded to words.
export const UPCALL_HEAD = 13;

// Packets for a port whose device another thread has: port number, bytes, OFFLOAD_* bits, csumStart, csumOffset, gsoSize,
// gsoHeader; then the packet padded to words.
export const RELAY_HEAD = 7;

/** Words of a ring of commands, of upcalls, of replies, of packets: powers of two. */
export const COMMAND_RING = 1 << 18;
export const UPCALL_RING = 1 << 18;
export const REPLY_RING = 1 << 14;
export const RELAY_RING = 1 << 18;

/** Bytes as words, the last one padded. */
export function wordsOf(bytes: number): number {
  return (bytes + 3) >> 2;
}
