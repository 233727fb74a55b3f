/**
 * A user-space datapath over dummy devices, through its public interface: operations with hostile bytes, packets, upcalls,
 * ports. What must hold: nothing is thrown but a `DpifError` of a known code, and `operate` never rejects; every packet
 * buffer comes back; dump, statistics and get agree on the flows; and where every packet has one way to go, what came in
 * went out, came up or is counted as dropped.
 */

import {
  type Dpif,
  type DpifOp,
  DpifRegistry,
  type FramePool,
  isDpifError,
  type NetdevProvider,
  NetdevRegistry,
} from '@etherloom/core';
import { createUserspaceProvider } from '@etherloom/dpif-userspace';
import { DummyProvider } from '@etherloom/netdev-dummy';
import { parseActions, parseFlowKey } from '@etherloom/odp-codec';
import { mutateBytes } from '../mutate/bytes.js';
import { mutateNetlink } from '../mutate/netlink.js';
import type { Random } from '../random.js';
import type { Sequence } from '../sequence.js';
import { type ReadVectors, toHex, Violation } from '../target.js';
import { hexField, mustHold } from '../targets/check.js';

const STEPS = 150;
const PORTS = 4;
const FRAMES = 256;
const LARGE_FRAMES = 80;
/** Turns of the event loop until everything on its way must have arrived. */
const QUIET_TURNS = 5000;

/** What operations may fail with (`Dpif.operate`, `Dpif.portAdd` and their kin). */
const CODES: ReadonlySet<string> = new Set([
  'EINVAL',
  'EOPNOTSUPP',
  'EEXIST',
  'ENOENT',
  'ENODEV',
  'EBUSY',
  'EFBIG',
  'ENOSPC',
  'ENOBUFS',
  'EMSGSIZE',
]);

/** What steps are made of. */
interface Corpus {
  readonly keys: readonly Uint8Array[];
  readonly masks: readonly Uint8Array[];
  readonly actions: readonly Uint8Array[];
  readonly frames: readonly Uint8Array[];
}

/** Lists by which every packet goes one way, or none: `P` is a port. */
const SINGLE = [
  'P',
  '',
  'drop',
  'userspace(pid=7)',
  'push_vlan(vid=3,pcp=0),P',
  'pop_vlan,P',
  'set(eth(src=02:00:00:00:00:07)),P',
  'recirc(0x1)',
  'recirc(0x2)',
  'trunc(20),P',
  'clone(P)',
  'sample(sample=50.0%,actions(drop)),P',
  'check_pkt_len(size=100,gt(P),le(drop))',
  'pop_eth,P',
  'meter(1),P',
  '77',
];

/** Flows that many frames match: everything of one type from one port. */
const WIDE = [
  'eth_type(0x0800),ipv4()',
  'eth_type(0x0800),ipv4(proto=17,frag=no),udp()',
  'eth_type(0x86dd),ipv6()',
  'eth_type(0x0806),arp()',
  'eth_type(0x88b5)',
  'eth_type(0x8847),mpls(label=100,bos=1)',
];

interface Parts {
  readonly dpif: Dpif;
  readonly driver: DummyProvider;
  /** Of the datapath's ports. */
  readonly pool: FramePool;
  readonly random: Random;
  readonly corpus: Corpus;
  readonly log: (step: string) => void;
  /** Anything goes; otherwise every packet has one way to go. */
  readonly hostile: boolean;
}

class World {
  readonly dpif: Dpif;
  readonly hostile: boolean;
  readonly #driver: DummyProvider;
  readonly #pool: FramePool;
  readonly #random: Random;
  readonly #corpus: Corpus;
  readonly #log: (step: string) => void;
  /** Packets that went in: through a port, or by a client. */
  #entered = 0;
  #cameUp = 0;
  #names = 0;

  private constructor({ dpif, driver, pool, random, corpus, log, hostile }: Parts) {
    this.dpif = dpif;
    this.hostile = hostile;
    this.#driver = driver;
    this.#pool = pool;
    this.#random = random;
    this.#corpus = corpus;
    this.#log = log;
  }

  static async make(random: Random, corpus: Corpus, log: (step: string) => void): Promise<World> {
    const netdevs = new NetdevRegistry();
    const dpifs = new DpifRegistry();
    const limits = {
      maxFlows: 200,
      maxMasks: 20,
      upcalls: 32,
      upcallBytes: 20_000,
      upcallTotalBytes: 100_000,
    };
    const arena = { frames: FRAMES, largeFrames: LARGE_FRAMES };
    const actionRules = random.oneIn(2) ? 'strict' : 'openvswitch';
    const vlanLimit = random.pick([0, 1, 2] as const);
    dpifs.register(
      createUserspaceProvider({ type: 'dummy', netdevs, limits, arena, actionRules, vlanLimit }),
    );
    const driver = new DummyProvider();
    let pool: FramePool | undefined;
    const watched: NetdevProvider = {
      type: driver.type,
      open: (name, config) => driver.open(name, config),
      openQueue: (descriptor, resources) => {
        pool = resources.pool;
        return driver.openQueue(descriptor, resources);
      },
    };
    netdevs.register(watched);
    const hostile = random.oneIn(2);
    log(`world: ${actionRules}, vlan limit ${vlanLimit}, ${hostile ? 'hostile' : 'one way'}`);
    const dpif = await dpifs.create('br0', 'dummy');
    // The local port has opened a queue by now.
    const world = new World({ dpif, driver, pool: pool!, random, corpus, log, hostile });
    for (let port = 1; port <= PORTS; port++) await world.addPort(port);
    await dpif.recvSet(true);
    return world;
  }

  async addPort(portNo?: number): Promise<void> {
    const mtu = this.#random.oneIn(4) ? '300' : '1500';
    const config = { capture: '0', mtu };
    await this.dpif.portAdd({ name: `p${this.#names++}`, type: 'dummy', config }, portNo);
  }

  // --- steps

  async step(): Promise<void> {
    const random = this.#random;
    const kinds = this.hostile ? 14 : 10;
    switch (random.below(kinds)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return this.operate();
      case 4:
      case 5:
      case 6:
        return this.inject();
      case 7:
        return this.receive();
      case 8:
        return this.look();
      case 9:
        if (random.oneIn(5)) await this.#call('flush', () => this.dpif.flowFlush());
        return;
      case 10:
        return this.#call('handlers', () => this.dpif.handlersSet(random.below(4)));
      case 11:
        return this.#call('recvSet', () => this.dpif.recvSet(!random.oneIn(3)));
      case 12:
        return this.#call('portDel', () => this.dpif.portDel(random.below(8)));
      default:
        return this.#call('portAdd', () => this.addPort(random.oneIn(2) ? random.below(8) : undefined));
    }
  }

  async #call(what: string, call: () => Promise<unknown>): Promise<void> {
    this.#log(what);
    await call().catch((error: unknown) => this.#mustBeKnown(what, error));
  }

  #mustBeKnown(what: string, error: unknown): void {
    if (isDpifError(error) && CODES.has(error.code)) {
      mustHold('an error is a sentence', error.message.length > 10, () => `${what}: "${error.message}"`);
      return;
    }
    if (error instanceof Error && !isDpifError(error)) throw error;
    const cause = isDpifError(error) && error.cause instanceof Error ? `\n${error.cause.stack}` : '';
    throw new Violation(
      'an operation fails with a code of its contract',
      `${what}: ${String(error)}${cause}`,
    );
  }

  async operate(): Promise<void> {
    const random = this.#random;
    const count = random.oneIn(20) ? random.below(300) : random.below(6);
    const ops = Array.from({ length: count }, () => this.#operation());
    this.#log(`operate ${ops.map(describe).join('; ')}`);
    const results = await this.dpif.operate(ops);
    mustHold(
      'there is a result for each operation',
      results.length === count,
      () => `${results.length} of ${count}`,
    );
    results.forEach(({ error, flow }, i) => {
      const op = ops[i]!;
      if (error !== undefined) this.#mustBeKnown(describe(op), error);
      else if (op.type === 'flowGet')
        mustHold('a get returns a flow', flow !== undefined, () => describe(op));
      // No actions, no work: the packet never entered.
      else if (op.type === 'execute' && op.actions.length > 0) this.#entered++;
    });
  }

  #operation(): DpifOp {
    const random = this.#random;
    const kind = random.below(10);
    if (kind < 5) {
      const [key, mask] = this.#keyAndMask();
      return {
        type: 'flowPut',
        flags: random.oneIn(4) ? random.below(16) : 1,
        key,
        mask,
        actions: this.#actions(),
      };
    }
    if (kind === 5) return { type: 'flowDel', key: this.#keyAndMask()[0] };
    if (kind === 6) return { type: 'flowGet', key: this.#keyAndMask()[0] };
    return {
      type: 'execute',
      packet: this.#frame(),
      actions: this.#actions(),
      metadata: this.#keyAndMask()[0],
      needsHelp: this.hostile && random.oneIn(3),
    };
  }

  #keyAndMask(): [Uint8Array, Uint8Array] {
    const random = this.#random;
    if (random.oneIn(2)) {
      const recirc = random.pick(['', '', '', 'recirc_id(0x1),', 'recirc_id(0x2),']);
      const flow = parseFlowKey(`${recirc}in_port(${1 + random.below(PORTS)}),eth(),${random.pick(WIDE)}`);
      return [flow.key, flow.mask];
    }
    const key = this.#bytes(this.#corpus.keys);
    return [key, random.oneIn(3) ? new Uint8Array() : this.#bytes(this.#corpus.masks)];
  }

  #actions(): Uint8Array {
    const random = this.#random;
    if (!this.hostile || random.oneIn(3)) {
      return parseActions(random.pick(SINGLE).replaceAll('P', String(1 + random.below(PORTS))));
    }
    return this.#bytes(this.#corpus.actions);
  }

  /** Bytes of the corpus, damaged more often than not. */
  #bytes(from: readonly Uint8Array[]): Uint8Array {
    const random = this.#random;
    let bytes = random.pick(from);
    for (let n = random.below(4); n > 0; n--) bytes = mutateNetlink(random, bytes, random.pick(from));
    return bytes;
  }

  #frame(): Uint8Array {
    const random = this.#random;
    const { frames } = this.#corpus;
    let frame = random.pick(frames);
    for (let n = random.below(3); n > 0; n--) frame = mutateBytes(random, frame, random.pick(frames));
    if (random.oneIn(20)) frame = new Uint8Array(random.below(70_000));
    return frame.subarray(0, 70_000);
  }

  async inject(): Promise<void> {
    const random = this.#random;
    const names: string[] = [];
    for await (const { name } of this.dpif.portDump()) names.push(name);
    const name = random.pick(names);
    const frames = Array.from({ length: random.below(50) }, () => this.#frame());
    this.#log(
      `inject into ${name}: ${frames.map((frame) => toHex(frame.subarray(0, 100))).join(' ')}`.slice(0, 2000),
    );
    this.#entered += this.#driver.device(name)?.injectMany(frames) ?? 0;
    if (random.oneIn(2)) await new Promise((resolve) => setImmediate(resolve));
  }

  async receive(): Promise<void> {
    const random = this.#random;
    this.#log('receive');
    const handler = random.below(this.hostile ? 4 : 1);
    for (let n = random.below(100); n > 0; n--) {
      const upcall = await this.dpif.recv(handler);
      if (upcall === undefined) return;
      this.#cameUp++;
      mustHold('an upcall has a key', upcall.key.length > 0, () => upcall.type);
      // What a client does, if not always wisely.
      if (random.oneIn(3)) {
        const actions = this.#actions();
        const results = await this.dpif.operate([
          { type: 'flowPut', flags: 1, key: upcall.key, actions },
          { type: 'execute', packet: upcall.packet, actions, metadata: upcall.key },
        ]);
        for (const { error } of results)
          if (error !== undefined) this.#mustBeKnown('an upcall sent back', error);
        if (results[1]!.error === undefined && actions.length > 0) this.#entered++;
      }
    }
  }

  /** Dump, get and statistics agree. */
  async look(): Promise<void> {
    this.#log('look');
    const { flows, masks = 0 } = await this.dpif.getDpStats();
    let dumped = 0;
    for await (const { key, mask } of this.dpif.flowDump()) {
      dumped++;
      const again = await this.dpif.flowGet(key).catch((error: unknown) => String(error));
      mustHold(
        'a flow that is dumped can be got',
        typeof again !== 'string',
        () => `${toHex(key)}: ${again}`,
      );
      if (typeof again !== 'string') {
        mustHold('a get and a dump say the same mask', toHex(again.mask) === toHex(mask), () => toHex(key));
      }
    }
    mustHold(
      'dump and statistics agree on the flows',
      dumped === flows,
      () => `${dumped} dumped, ${flows} counted`,
    );
    mustHold('no more masks than flows', masks <= flows, () => `${masks} masks, ${flows} flows`);
  }

  // --- the end

  async settle(): Promise<void> {
    this.#log('settle');
    const pool = this.#pool;
    const back = (): boolean => pool.free === FRAMES && pool.freeLarge === LARGE_FRAMES;
    let balance = '';
    for (let turn = 0; turn < QUIET_TURNS; turn++) {
      await new Promise((resolve) => setImmediate(resolve));
      if (turn % 10 !== 9) continue;
      balance = this.hostile ? '' : await this.#balance();
      if (balance === '' && back()) break;
    }
    mustHold(
      'every packet buffer comes back',
      back(),
      () => `${pool.free} of ${FRAMES}, ${pool.freeLarge} of ${LARGE_FRAMES}`,
    );
    mustHold('what came in went out, came up or was dropped', balance === '', () => balance);
    await this.look();
    await this.dpif.delete();
    await this.dpif.close();
  }

  /** What is missing or too much; empty when all packets are accounted for. */
  async #balance(): Promise<string> {
    for (let next = await this.dpif.recv(0); next !== undefined; next = await this.dpif.recv(0))
      this.#cameUp++;
    let sent = 0;
    let dropped = 0;
    const drops = [await this.dpif.portGetDrops(0xffff_ffff)];
    for await (const { name, portNo } of this.dpif.portDump()) {
      sent += (await this.#driver.device(name)!.getStats()).txPackets ?? 0;
      drops.push(await this.dpif.portGetDrops(portNo));
    }
    for (const reasons of drops) for (const count of Object.values(reasons)) dropped += count;
    const [entered, cameUp] = [this.#entered, this.#cameUp];
    if (entered === sent + cameUp + dropped) return '';
    return `${entered} in, ${sent} out, ${cameUp} up, ${dropped} dropped: ${JSON.stringify(drops)}`;
  }
}

function describe(op: DpifOp): string {
  switch (op.type) {
    case 'flowPut':
      return `put ${op.flags} ${toHex(op.key)} / ${toHex(op.mask ?? new Uint8Array())} -> ${toHex(op.actions)}`;
    case 'execute': {
      const help = op.needsHelp === true ? ' with help' : '';
      return `execute${help} ${toHex(op.packet.subarray(0, 200))} ${toHex(op.metadata ?? new Uint8Array())} -> ${toHex(op.actions)}`;
    }
    default:
      return `${op.type} ${toHex(op.key)}`;
  }
}

export function operate(read: ReadVectors): Sequence {
  const records = read('execute');
  const corpus: Corpus = {
    keys: read('keys').flatMap((record) => hexField(record, 'key_hex')),
    masks: read('keys').flatMap((record) => hexField(record, 'mask_hex')),
    actions: [...read('actions'), ...records].flatMap((record) => hexField(record, 'actions_hex')),
    frames: [...records, ...read('extract')].flatMap((record) => hexField(record, 'packet_hex')),
  };
  return {
    async episode(random, log) {
      const world = await World.make(random, corpus, log);
      for (let step = 0; step < STEPS; step++) await world.step();
      await world.settle();
    },
  };
}
