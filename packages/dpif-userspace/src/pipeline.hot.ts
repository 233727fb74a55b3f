/**
 * The way of a packet through the datapath: receive, extract, look up, execute, transmit. Hot: no allocation, no throw.
 *
 * A burst goes stage by stage, so that each stage's code and tables stay in the processor's caches. A frame has one
 * reference from the moment it is received; whoever takes a packet over takes the reference too.
 */

import {
  ActionExecutor,
  type ActionProgram,
  BurstLookup,
  changePlain,
  DROP_ACTION_UNSUPPORTED,
  DROP_FLOW,
  DROP_RECIRC_DEPTH,
  DROP_TX_NOT_ETHERNET,
  EXTENSION_CONTINUE,
  EXTENSION_DELIVERED,
  type ExecuteHost,
  extractFrame,
  type FlowCounters,
  type FramePool,
  isPlain,
  LAYER_WORDS,
  type NetdevQueue,
  OFFLOAD_UNFINISHED,
  OffloadResolver,
  PacketBatch,
  type PacketState,
  type PortView,
  type TupleSearch,
  tcpFlagsOf,
} from '@etherloom/core/data';
import { ACTION_ATTR, KEY_WORDS, W_IN_PORT, W_PACKET_TYPE, W_RECIRC_ID } from '@etherloom/odp-codec/data';
import { SEEN_IN } from './capture/tap.hot.js';
import type { Output } from './output.hot.js';
import { PERF_EXECUTE, PERF_LOOKUP, PERF_RECEIVE, PERF_TIMED_MISSES, PERF_UPCALL } from './perf.hot.js';
import type { Port } from './port.hot.js';

/** How often one packet may be looked up again (Open vSwitch's MAX_RECIRC_DEPTH). */
export const MAX_RECIRCULATIONS = 8;

// Counters of a datapath (struct dpif_dp_stats).
export const DP_HIT = 0;
export const DP_MISSED = 1;
/** Misses that no client got. */
export const DP_LOST = 2;
/** Subtables visited by lookups that hit. */
export const DP_MASK_HIT = 3;
/** Hits of received packets that the flow cache knew: a subtable each. */
export const DP_CACHE_HIT = 4;
export const DP_COUNTERS = 5;

// What the pipeline has in hand, for those who survive it: packets of the burst in work, and the port that they came from.
export const HAND_PACKETS = 0;
export const HAND_PORT = 1;
export const HAND_LENGTH = 2;

/** Flows as the packets' path sees them. The control path replaces `programOf` when the flow table grows. */
export interface FlowView {
  /** For received packets. */
  readonly ports: PortView;
  /** For packets that are looked up again. */
  readonly search: TupleSearch;
  readonly counters: FlowCounters;
  /** Index into `programs` by flow id. */
  programOf: Int32Array;
  readonly programs: readonly (ActionProgram | undefined)[];
}

/**
 * Takes packets for clients: copies what it keeps. Returns -1, or the DROP_* reason why it did not take a packet, which the
 * caller counts. `keys[base ..]` is the key as extracted at the start of the pass.
 */
export interface UpcallSink {
  /** Packet `i` of `batch`. */
  miss(keys: Int32Array, base: number, batch: PacketBatch, i: number): number;
  /** The packet as it is now, without its last `packet.pendingCut` bytes. */
  action(keys: Int32Array, base: number, packet: PacketState, program: ActionProgram, index: number): number;
}

// V8 folds a module's own constants into the code, imported ones not.
const PACKETS = HAND_PACKETS;
const PORT = HAND_PORT;
const RECEIVE = PERF_RECEIVE;
const LOOKUP = PERF_LOOKUP;
const EXECUTE = PERF_EXECUTE;
const UPCALL = PERF_UPCALL;
const TIMED_MISSES = PERF_TIMED_MISSES;
const WORDS = KEY_WORDS;
const LAYERS = LAYER_WORDS;
const IN_PORT = W_IN_PORT;
const PACKET_TYPE = W_PACKET_TYPE;
const RECIRC_ID = W_RECIRC_ID;
const FLOW_DROP = DROP_FLOW;
const RECIRC_DEPTH = DROP_RECIRC_DEPTH;
const NOT_ETHERNET = DROP_TX_NOT_ETHERNET;
const ACTION_UNSUPPORTED = DROP_ACTION_UNSUPPORTED;
const METER = ACTION_ATTR.METER;
const LB_OUTPUT = ACTION_ATTR.LB_OUTPUT;
const TUNNEL_POP = ACTION_ATTR.TUNNEL_POP;
const CONTINUE = EXTENSION_CONTINUE;
const DELIVERED = EXTENSION_DELIVERED;
const UNFINISHED = OFFLOAD_UNFINISHED;

export class Pipeline implements ExecuteHost {
  /** Counters DP_*. */
  readonly counters = new Float64Array(DP_COUNTERS);
  /** Monotonic milliseconds, for flow statistics; kept up to date by whoever calls. */
  now = 0;
  /** Whether a packet is on its way: until then the datapath must not be entered again. */
  busy = false;
  /** No figure: reads that are only made in good time add up here, or the compiler would leave them out. */
  touched = 0;

  readonly #pool: FramePool;
  readonly #flows: FlowView;
  readonly #output: Output;
  readonly #upcalls: UpcallSink;
  /** Drops of packets whose input port does not exist (execute). */
  readonly #portlessDrops: Float64Array;
  /** VLAN tags that become part of a key, 1 or 2. */
  readonly #vlanLimit: number;
  /** HAND_*; in shared memory when there is somebody to survive. */
  readonly #hand: Float64Array;

  readonly #batch = new PacketBatch();
  /** The first packet of the burst that did not begin its way yet, or is on it. */
  #next = 0;
  readonly #burst: BurstLookup;
  /** One executor per recirculation, since a packet is looked up again in the middle of its actions. */
  readonly #executors: ActionExecutor[] = [];
  readonly #recircBatch = new PacketBatch(1);
  /** For programs that need it; what comes out is plain, so that it never works for two passes at once. */
  readonly #resolver: OffloadResolver;
  readonly #resolved = new PacketBatch(1);
  readonly #layers = new Int32Array(LAYERS);
  // The pass in work: the recirculation that it is, its key, and where drops are counted.
  #depth = 0;
  #passKeys: Int32Array;
  #passBase = 0;
  #drops: Float64Array;

  constructor(
    pool: FramePool,
    flows: FlowView,
    output: Output,
    upcalls: UpcallSink,
    portlessDrops: Float64Array,
    vlanLimit: number,
    hand: Float64Array = new Float64Array(HAND_LENGTH),
  ) {
    this.#pool = pool;
    this.#hand = hand;
    this.#resolver = new OffloadResolver(pool);
    this.#vlanLimit = vlanLimit;
    this.#flows = flows;
    this.#output = output;
    this.#upcalls = upcalls;
    this.#portlessDrops = portlessDrops;
    this.#drops = portlessDrops;
    this.#burst = new BurstLookup(flows.ports, pool.arena.view, this.#batch, vlanLimit);
    this.#passKeys = this.#burst.keys;
    for (let depth = 0; depth <= MAX_RECIRCULATIONS; depth++) {
      this.#executors.push(new ActionExecutor(pool, this));
    }
  }

  /** Receives one burst from `queue` of `port` and brings every packet to its end; returns how many there were. */
  receive(port: Port, queue: NetdevQueue): number {
    const batch = this.#batch;
    const hand = this.#hand;
    batch.count = 0;
    this.#next = 0;
    hand[PORT] = port.portNo;
    const { taps, watch } = this.#output;
    const timed = watch.begin();
    const count = queue.rxBurst(batch);
    if (count === 0) {
      if (timed) watch.cancel();
      return 0;
    }
    hand[PACKETS] = count;
    this.busy = true;
    if (timed) watch.lap(RECEIVE);
    for (let i = 0; i < taps.length; i++) taps[i]!.see(SEEN_IN, port.portNo, batch, count);
    const burst = this.#burst;
    const groups = burst.run(port.portNo);
    this.#countLookups(count, burst.hits, burst.probes);
    this.counters[DP_CACHE_HIT]! += burst.cacheHits;
    this.#drops = port.drops;
    this.#countGroups(groups);
    if (timed) watch.lap(LOOKUP);
    this.#executeGroups(groups);
    if (timed) watch.lap(EXECUTE);
    this.#output.flush();
    watch.end(count);
    this.busy = false;
    hand[PACKETS] = 0;
    batch.count = 0;
    this.#next = 0;
    return count;
  }

  /**
   * Control path, after a throw out of {@link receive}, or out of a relay that noted what it has in hand: notes how many of
   * these packets did not come to their end.
   */
  testify(): void {
    const hand = this.#hand;
    const { count } = this.#batch;
    hand[PACKETS] = Math.min(Math.max(count, hand[PACKETS]!), count - this.#next + this.#output.waiting);
  }

  /**
   * Runs `program` on the one packet of `batch`, whose metadata and packet type are in `key`. Takes over its frame.
   * Header words of `key` are written. Not to be called while {@link busy}.
   */
  execute(batch: PacketBatch, key: Int32Array, packetType: number, program: ActionProgram): void {
    this.busy = true;
    const layers = this.#layers;
    const { view } = this.#pool.arena;
    extractFrame(view, batch.data[0]!, batch.length[0]!, packetType, this.#vlanLimit, key, 0, layers, 0);
    this.#drops = this.#output.port(key[IN_PORT]! >>> 0)?.drops ?? this.#portlessDrops;
    this.#depth = 0;
    this.#passKeys = key;
    this.#passBase = 0;
    const executor = this.#executors[0]!;
    executor.load(batch, 0, packetType, layers, 0, key, 0);
    executor.run(program);
    this.#output.flush();
    this.busy = false;
  }

  /**
   * As {@link execute}, for an Ethernet packet that came in by `inPort` and that goes to `ports` as it is: nothing needs to be
   * known of its headers.
   */
  send(batch: PacketBatch, inPort: number, ports: Int32Array): void {
    this.busy = true;
    this.#drops = this.#output.port(inPort)?.drops ?? this.#portlessDrops;
    this.#fanOut(ports, batch, 0, 1);
    this.#output.flush();
    this.busy = false;
  }

  // --- ExecuteHost

  output(packet: PacketState, port: number, last: boolean): void {
    // All our ports are Ethernet: what lost its Ethernet header, or got something in front of it, fits none.
    if (packet.packetType !== 0) {
      this.#drops[NOT_ETHERNET]! += 1;
      if (last) this.#pool.release(packet.data);
      return;
    }
    if (!last) this.#pool.retain(packet.data);
    this.#output.sendPacket(port, packet, this.#drops);
  }

  userspace(packet: PacketState, program: ActionProgram, index: number, last: boolean): void {
    const refused = this.#upcalls.action(this.#passKeys, this.#passBase, packet, program, index);
    if (refused >= 0) this.#drops[refused]! += 1;
    if (last) this.#pool.release(packet.data);
  }

  recirc(packet: PacketState, id: number, last: boolean): void {
    if (!last) this.#pool.retain(packet.data);
    const depth = this.#depth + 1;
    if (depth > MAX_RECIRCULATIONS) {
      this.#drops[RECIRC_DEPTH]! += 1;
      this.#pool.release(packet.data);
      return;
    }
    // The pass around this one goes on afterwards.
    const passKeys = this.#passKeys;
    const passBase = this.#passBase;
    const { metadata: keys, metadataBase: base } = packet;
    const oldId = keys[base + RECIRC_ID]!;
    const batch = this.#recircBatch;
    const layers = this.#layers;
    batch.count = 0;
    batch.push(packet.data, packet.length);
    batch.offload[0] = packet.offload;
    batch.csumStart[0] = packet.csumStart;
    batch.csumOffset[0] = packet.csumOffset;
    batch.gsoSize[0] = packet.gsoSize;
    batch.gsoHeader[0] = packet.gsoHeader;
    keys[base + RECIRC_ID] = id;
    const { packetType } = packet;
    extractFrame(packet.view, packet.data, packet.length, packetType, this.#vlanLimit, keys, base, layers, 0);
    const { search } = this.#flows;
    const flow = search.lookup(keys, base);
    this.#countLookups(1, flow < 0 ? 0 : 1, flow < 0 ? 0 : search.probes);
    if (flow < 0) {
      this.#miss(keys, base, batch, 0);
    } else {
      const flows = this.#flows;
      flows.counters.count(flow, 1, packet.length, this.now, tcpFlagsOf(keys, base));
      const program = flows.programs[flows.programOf[flow]!]!;
      if (program.outputsOnly !== undefined && packetType === 0)
        this.#fanOut(program.outputsOnly, batch, 0, 1);
      else this.#run(program, batch, 0, depth, keys, base, layers, 0);
    }
    keys[base + RECIRC_ID] = oldId;
    this.#depth = depth - 1;
    this.#passKeys = passKeys;
    this.#passBase = passBase;
  }

  /**
   * There are no meters, bonds and tunnel ports here. What a meter that does not exist does to packets is nothing; what goes
   * to such a bond, or comes from such a port, is lost, and no other copy with it (Linux and Open vSwitch).
   */
  extension(_packet: PacketState, program: ActionProgram, index: number): number {
    const { type } = program.extensions[index]!;
    if (type === METER) return CONTINUE;
    if (type !== LB_OUTPUT && type !== TUNNEL_POP) return ACTION_UNSUPPORTED;
    this.#drops[ACTION_UNSUPPORTED]! += 1;
    return DELIVERED;
  }

  drop(_packet: PacketState, reason: number): void {
    this.#drops[reason]! += 1;
  }

  // --- stages

  #countLookups(lookups: number, hits: number, probes: number): void {
    const { counters } = this;
    counters[DP_HIT]! += hits;
    counters[DP_MISSED]! += lookups - hits;
    counters[DP_MASK_HIT]! += probes;
  }

  /** Counts the packets of the burst for their flows. */
  #countGroups(groups: number): void {
    const { groupFlow, groupEnd, groupBytes, groupFlags } = this.#burst;
    const { counters, programOf } = this.#flows;
    // In a loop of its own: flows that were not looked at for long come from far memory, and here those waits overlap.
    let touched = 0;
    for (let group = 0; group < groups; group++) {
      const flow = groupFlow[group]!;
      if (flow >= 0) touched += programOf[flow]! + counters.touch(flow);
    }
    this.touched = touched;
    for (let group = 0, first = 0; group < groups; group++) {
      const flow = groupFlow[group]!;
      const end = groupEnd[group]!;
      if (flow >= 0) counters.count(flow, end - first, groupBytes[group]!, this.now, groupFlags[group]!);
      first = end;
    }
  }

  /** Brings all packets of the burst to their end: neighbours with the same actions together. */
  #executeGroups(groups: number): void {
    const batch = this.#batch;
    const { groupFlow, groupEnd } = this.#burst;
    const { programOf, programs } = this.#flows;
    for (let group = 0, first = 0; group < groups; ) {
      const flow = groupFlow[group]!;
      let end = groupEnd[group++]!;
      if (flow < 0) {
        for (let i = first; i < end; i++) this.#missed(batch, i);
      } else {
        const id = programOf[flow]!;
        for (; group < groups; group++) {
          const next = groupFlow[group]!;
          if (next < 0 || programOf[next] !== id) break;
          end = groupEnd[group]!;
        }
        this.#executeRange(programs[id]!, batch, first, end);
      }
      first = end;
    }
  }

  #executeRange(program: ActionProgram, batch: PacketBatch, first: number, end: number): void {
    if (program.outputsOnly !== undefined) {
      this.#next = end;
      this.#fanOut(program.outputsOnly, batch, first, end);
      return;
    }
    const { view } = this.#pool.arena;
    const { keys, layers, shape } = this.#burst;
    const { plain } = program;
    if (plain !== undefined && isPlain(plain, this.#pool, batch, shape, first, end)) {
      this.#next = end;
      changePlain(plain, view, batch, shape, first, end);
      this.#fanOut(plain.ports, batch, first, end);
      return;
    }
    for (let i = first; i < end; i++) {
      this.#next = i;
      this.#burst.complete(i);
      this.#run(program, batch, i, 0, keys, i * WORDS, layers, i * LAYERS);
    }
    this.#next = end;
  }

  /** Passes packet `i` of the burst, which has no flow, up. */
  #missed(batch: PacketBatch, i: number): void {
    const { watch } = this.#output;
    if (watch.running) watch.lap(EXECUTE);
    this.#next = i;
    this.#burst.complete(i);
    this.#miss(this.#burst.keys, i * WORDS, batch, i);
    this.#next = i + 1;
    if (!watch.running) return;
    watch.lap(UPCALL);
    watch.counters[TIMED_MISSES]! += 1;
  }

  /** Passes packet `i` of `batch` up, whose key is given. */
  #miss(keys: Int32Array, base: number, batch: PacketBatch, i: number): void {
    const refused = this.#upcalls.miss(keys, base, batch, i);
    if (refused >= 0) {
      this.#drops[refused]! += 1;
      this.counters[DP_LOST]! += 1;
    }
    this.#pool.release(batch.data[i]!);
  }

  /** Runs `program` on packet `i` of `batch`, whose key and layers are given, or on what it is resolved to. */
  #run(
    program: ActionProgram,
    batch: PacketBatch,
    i: number,
    depth: number,
    keys: Int32Array,
    base: number,
    layers: Int32Array,
    layersBase: number,
  ): void {
    if (!program.needsResolved || (batch.offload[i]! & UNFINISHED) === 0) {
      this.#runOne(program, batch, i, depth, keys, base, layers, layersBase);
      return;
    }
    const resolver = this.#resolver;
    const resolved = this.#resolved;
    resolver.begin(batch, i, keys[base + PACKET_TYPE]!);
    for (let at = resolver.next(); at >= 0; at = resolver.next()) {
      resolved.count = 0;
      resolved.push(at, resolver.length);
      this.#runOne(program, resolved, 0, depth, keys, base, layers, layersBase);
    }
    this.#drops[resolver.reason]! += resolver.lost;
  }

  #runOne(
    program: ActionProgram,
    batch: PacketBatch,
    i: number,
    depth: number,
    keys: Int32Array,
    base: number,
    layers: Int32Array,
    layersBase: number,
  ): void {
    this.#depth = depth;
    this.#passKeys = keys;
    this.#passBase = base;
    const executor = this.#executors[depth]!;
    executor.load(batch, i, keys[base + PACKET_TYPE]!, layers, layersBase, keys, base);
    executor.run(program);
  }

  /** The same bytes to every port: one more reference for each but the last. */
  #fanOut(ports: Int32Array, batch: PacketBatch, first: number, end: number): void {
    const last = ports.length - 1;
    if (last < 0) {
      this.#drops[FLOW_DROP]! += end - first;
      for (let i = first; i < end; i++) this.#pool.release(batch.data[i]!);
      return;
    }
    for (let p = 0; p < last; p++) {
      for (let i = first; i < end; i++) this.#pool.retain(batch.data[i]!);
      this.#output.send(ports[p]! >>> 0, batch, first, end, this.#drops);
    }
    const port = ports[last]! >>> 0;
    if (first === 0 && end === batch.count) this.#output.sendAll(port, batch, this.#drops);
    else this.#output.send(port, batch, first, end, this.#drops);
  }
}
