/**
 * The way of a packet through the datapath: receive, extract, look up, execute, transmit. Hot: no allocation, no throw.
 *
 * A burst goes stage by stage, so that each stage's code and tables stay in the processor's caches. A frame has one
 * reference from the moment it is received; whoever takes a packet over takes the reference too.
 */

import {
  ActionExecutor,
  type ActionProgram,
  DROP_ACTION_UNSUPPORTED,
  DROP_FLOW,
  DROP_RECIRC_DEPTH,
  DROP_TX_NOT_ETHERNET,
  type ExecuteHost,
  extractFrame,
  type FlowCounters,
  type FramePool,
  LAYER_WORDS,
  type NetdevQueue,
  OFFLOAD_UNFINISHED,
  OffloadResolver,
  PacketBatch,
  type PacketState,
  type TupleSearch,
} from '@etherloom/core';
import {
  KEY_WORDS,
  W_IN_PORT,
  W_PACKET_TYPE,
  W_RECIRC_ID,
  W_TOS_TTL_FLAGS,
  W_TYPE_FRAG_PROTO,
} from '@etherloom/odp-codec';
import type { Output } from './output.hot.js';
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
export const DP_COUNTERS = 4;

/** Flows as the packets' path sees them. The control path replaces `programOf` when the flow table grows. */
export interface FlowView {
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

const ETH_TYPE_IPV4 = 0x0800;
const ETH_TYPE_IPV6 = 0x86dd;
const IPPROTO_TCP = 6;

// V8 folds a module's own constants into the code, imported ones not.
const WORDS = KEY_WORDS;
const LAYERS = LAYER_WORDS;
const IN_PORT = W_IN_PORT;
const PACKET_TYPE = W_PACKET_TYPE;
const RECIRC_ID = W_RECIRC_ID;
const TOS_TTL_FLAGS = W_TOS_TTL_FLAGS;
const TYPE_FRAG_PROTO = W_TYPE_FRAG_PROTO;
const FLOW_DROP = DROP_FLOW;
const RECIRC_DEPTH = DROP_RECIRC_DEPTH;
const NOT_ETHERNET = DROP_TX_NOT_ETHERNET;
const ACTION_UNSUPPORTED = DROP_ACTION_UNSUPPORTED;
const UNFINISHED = OFFLOAD_UNFINISHED;

export class Pipeline implements ExecuteHost {
  /** Counters DP_*. */
  readonly counters = new Float64Array(DP_COUNTERS);
  /** Monotonic milliseconds, for flow statistics; kept up to date by whoever calls. */
  now = 0;
  /** Whether a packet is on its way: until then the datapath must not be entered again. */
  busy = false;

  readonly #pool: FramePool;
  readonly #flows: FlowView;
  readonly #output: Output;
  readonly #upcalls: UpcallSink;
  /** Drops of packets whose input port does not exist (execute). */
  readonly #portlessDrops: Float64Array;
  /** VLAN tags that become part of a key, 1 or 2. */
  readonly #vlanLimit: number;

  readonly #batch = new PacketBatch();
  readonly #keys: Int32Array;
  readonly #layers: Int32Array;
  readonly #flowOf: Int32Array;

  /** One executor per recirculation, since a packet is looked up again in the middle of its actions. */
  readonly #executors: ActionExecutor[] = [];
  readonly #recircBatch = new PacketBatch(1);
  /** For programs that need it; what comes out is plain, so that it never works for two passes at once. */
  readonly #resolver: OffloadResolver;
  readonly #resolved = new PacketBatch(1);
  readonly #recircLayers = new Int32Array(LAYERS);
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
  ) {
    this.#pool = pool;
    this.#resolver = new OffloadResolver(pool);
    this.#vlanLimit = vlanLimit;
    this.#flows = flows;
    this.#output = output;
    this.#upcalls = upcalls;
    this.#portlessDrops = portlessDrops;
    this.#drops = portlessDrops;
    const { capacity } = this.#batch;
    this.#keys = new Int32Array(capacity * WORDS);
    this.#layers = new Int32Array(capacity * LAYERS);
    this.#flowOf = new Int32Array(capacity);
    this.#passKeys = this.#keys;
    for (let depth = 0; depth <= MAX_RECIRCULATIONS; depth++) {
      this.#executors.push(new ActionExecutor(pool, this));
    }
  }

  /** Receives one burst from `queue` of `port` and brings every packet to its end; returns how many there were. */
  receive(port: Port, queue: NetdevQueue): number {
    const batch = this.#batch;
    batch.count = 0;
    const count = queue.rxBurst(batch);
    if (count === 0) return 0;
    this.busy = true;
    const keys = this.#keys;
    const layers = this.#layers;
    const { view } = this.#pool.arena;
    const portNo = port.portNo;
    const vlanLimit = this.#vlanLimit;
    for (let i = 0; i < count; i++) {
      const base = i * WORDS;
      // Received packets have no other metadata, and nobody writes those words of these rows: they are zero for good.
      keys[base + IN_PORT] = portNo;
      extractFrame(view, batch.data[i]!, batch.length[i]!, 0, vlanLimit, keys, base, layers, i * LAYERS);
    }
    const flowOf = this.#flowOf;
    const { search } = this.#flows;
    let hits = 0;
    let probes = 0;
    for (let i = 0; i < count; i++) {
      const flow = search.lookup(keys, i * WORDS);
      flowOf[i] = flow;
      if (flow < 0) continue;
      hits++;
      probes += search.probes;
    }
    this.#countLookups(count, hits, probes);
    this.#drops = port.drops;
    for (let i = 0; i < count; i++) this.#pass(batch, i, flowOf[i]!, 0, keys, i * WORDS, layers, i * LAYERS);
    this.#output.flush();
    this.busy = false;
    return count;
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
    const layers = this.#recircLayers;
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
    this.#pass(batch, 0, flow, depth, keys, base, layers, 0);
    keys[base + RECIRC_ID] = oldId;
    this.#depth = depth - 1;
    this.#passKeys = passKeys;
    this.#passBase = passBase;
  }

  extension(): number {
    return ACTION_UNSUPPORTED;
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

  /** Brings packet `i` of `batch` to its end: counts it for its flow and runs the actions, or passes it up. */
  #pass(
    batch: PacketBatch,
    i: number,
    flow: number,
    depth: number,
    keys: Int32Array,
    base: number,
    layers: Int32Array,
    layersBase: number,
  ): void {
    const data = batch.data[i]!;
    const length = batch.length[i]!;
    if (flow < 0) {
      const refused = this.#upcalls.miss(keys, base, batch, i);
      if (refused >= 0) {
        this.#drops[refused]! += 1;
        this.counters[DP_LOST]! += 1;
      }
      this.#pool.release(data);
      return;
    }
    const flows = this.#flows;
    flows.counters.count(flow, length, this.now, tcpFlags(keys, base));
    const program = flows.programs[flows.programOf[flow]!]!;
    const ports = program.outputsOnly;
    if (ports !== undefined && batch.offload[i] === 0) {
      this.#fanOut(ports, data, length);
      return;
    }
    if (program.needsResolved && (batch.offload[i]! & UNFINISHED) !== 0) {
      const resolver = this.#resolver;
      const resolved = this.#resolved;
      resolver.begin(batch, i, keys[base + PACKET_TYPE]!);
      for (let at = resolver.next(); at >= 0; at = resolver.next()) {
        resolved.count = 0;
        resolved.push(at, resolver.length);
        this.#run(program, resolved, 0, depth, keys, base, layers, layersBase);
      }
      this.#drops[resolver.reason]! += resolver.lost;
      return;
    }
    this.#run(program, batch, i, depth, keys, base, layers, layersBase);
  }

  /** Runs `program` on packet `i` of `batch`, whose key and layers are given. */
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
    this.#depth = depth;
    this.#passKeys = keys;
    this.#passBase = base;
    const executor = this.#executors[depth]!;
    executor.load(batch, i, keys[base + PACKET_TYPE]!, layers, layersBase, keys, base);
    executor.run(program);
  }

  /** The same bytes to every port: one more reference for each but the last. */
  #fanOut(ports: Int32Array, data: number, length: number): void {
    const last = ports.length - 1;
    if (last < 0) {
      this.#drops[FLOW_DROP]! += 1;
      this.#pool.release(data);
      return;
    }
    for (let i = 0; i < last; i++) {
      this.#pool.retain(data);
      this.#output.send(ports[i]! >>> 0, data, length, this.#drops);
    }
    this.#output.send(ports[last]! >>> 0, data, length, this.#drops);
  }
}

function tcpFlags(keys: Int32Array, base: number): number {
  const flags = keys[base + TOS_TTL_FLAGS]! & 0xfff;
  // ARP operations and ND options share these words, so "TCP" is looked at closely, but only when a flag is set.
  if (flags === 0) return 0;
  const type = keys[base + TYPE_FRAG_PROTO]!;
  if ((type & 0xff) !== IPPROTO_TCP) return 0;
  const dlType = type >>> 16;
  return dlType === ETH_TYPE_IPV4 || dlType === ETH_TYPE_IPV6 ? flags : 0;
}
