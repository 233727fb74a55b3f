/** Lookup of bursts against its oracle: `extractFrame` and a linear scan over all flows. */

import { KEY_WORDS, W_ETH, W_IN_PORT, W_TP, W_VLAN0 } from '@etherloom/odp-codec';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BurstLookup } from '../../src/classifier/burst/burst-lookup.hot.js';
import { Classifier } from '../../src/classifier/classifier.js';
import {
  extractFrame,
  LAYER_L2_5,
  LAYER_L2_PAD,
  LAYER_L3,
  LAYER_L4,
  LAYER_WORDS,
  tcpFlagsOf,
} from '../../src/flow/extract.hot.js';
import { PacketBatch } from '../../src/packet/batch.hot.js';
import { vectorFrames } from '../flow/frames.js';

/** Packets looked up in one table or another, by each of the properties. */
const CASES = process.env.ETHERLOOM_LONG === '1' ? 500_000 : 10_000;
const BURST = 32;
const ROOM = 2048;
const VECTORS = vectorFrames().filter((frame) => frame.length <= ROOM);

/** Frames around the shapes that generated code knows, sound and just not; few values per field, so that flows meet. */
const plainFrame: fc.Arbitrary<Uint8Array> = fc
  .record({
    mac: fc.constantFrom(1, 2),
    tags: fc.constantFrom([], [], [0x8100], [0x88a8], [0x8100, 0x8100], [0x88a8, 0x8100, 0x8100]),
    type: fc.constantFrom(0x0800, 0x0800, 0x0800, 0x86dd, 0x86dd, 0x0806, 0x8847, 0x894f, 0x05dc),
    first: fc.constantFrom(0x45, 0x45, 0x45, 0x46, 0x44, 0x4f, 0x65),
    tos: fc.constantFrom(0, 0xb8),
    lengthError: fc.constantFrom(0, 0, 0, -30, -14, -1, 1),
    fragment: fc.constantFrom(0, 0, 0, 0x4000, 0x8000, 0x2000, 1),
    ttl: fc.constantFrom(64, 1),
    proto: fc.constantFrom(6, 6, 17, 17, 1, 2, 58, 132, 0, 43, 44, 51, 60, 50),
    address: fc.constantFrom(0, 1, 2),
    ports: fc.constantFrom(0, 0x03e8_0035, 0x0050_03e8, 0x8700_0000 | 0),
    control: fc.constantFrom(0x5002, 0x5010, 0x6018, 0x4002, 0xf010, 0x0000, 0x5fff),
    payload: fc.constantFrom(0, 1, 7, 8, 12, 19, 20, 24, 40, 60),
    padding: fc.constantFrom(0, 0, 6, 18),
  })
  .map((f) => {
    const bytes = new Uint8Array(256);
    const view = new DataView(bytes.buffer);
    bytes.fill(f.payload);
    view.setUint16(4, f.mac);
    view.setUint16(10, f.mac);
    let at = 12;
    for (const tpid of f.tags) {
      view.setUint16(at, tpid);
      view.setUint16(at + 2, 0x0005);
      at += 4;
    }
    view.setUint16(at, f.type);
    at += 2;
    if (f.type === 0x86dd) {
      view.setUint32(at, 0x6000_0000 | (f.tos << 20) | f.ttl);
      view.setUint16(at + 4, Math.max(0, f.payload + f.lengthError));
      bytes.set([f.proto, f.ttl], at + 6);
      for (let word = 0; word < 8; word++) view.setUint32(at + 8 + word * 4, word === 3 ? f.address : word);
      at += 40;
    } else {
      bytes.set([f.first, f.tos], at);
      view.setUint16(at + 2, Math.max(0, 20 + f.payload + f.lengthError));
      view.setUint16(at + 6, f.fragment);
      bytes.set([f.ttl, f.proto], at + 8);
      view.setUint32(at + 12, 0x0a00_0000 | f.address);
      view.setUint32(at + 16, 0x0a01_0000 | f.address);
      at += 20;
    }
    view.setInt32(at, f.ports);
    view.setUint16(at + 12, f.control);
    return bytes.slice(0, at + f.payload + f.padding);
  });

/** A frame of the vectors, sound or with damage. */
const vectorFrame: fc.Arbitrary<Uint8Array> = fc
  .tuple(
    fc.constantFrom(...VECTORS),
    fc.array(fc.tuple(fc.nat(80), fc.integer({ min: 0, max: 255 })), { maxLength: 2 }),
    fc.option(fc.nat(80), { freq: 4 }),
  )
  .map(([frame, damage, cut]) => {
    const copy = frame.slice(0, cut ?? frame.length);
    for (const [at, byte] of damage) if (at < copy.length) copy[at] = byte;
    return copy;
  });

const anyFrame = fc.oneof({ weight: 3, arbitrary: plainFrame }, { weight: 1, arbitrary: vectorFrame });

/** Words that flows match on: those of plain traffic mostly, the others of a frame, and metadata. */
const maskedWord = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 3, max: W_TP }) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 58 }) },
);
const maskOf = fc
  .tuple(
    fc.array(fc.tuple(maskedWord, fc.constantFrom(-1, -1, 0xff, 0xffff, 0xffff_0000 | 0, 0xfff)), {
      minLength: 1,
      maxLength: 7,
    }),
    fc.constantFrom(-1, -1, -1, -1, 0, 1),
  )
  .map(([words, port]) => {
    const mask = new Int32Array(KEY_WORDS);
    for (const [word, bits] of words) mask[word] = bits;
    mask[W_IN_PORT] = port;
    return mask;
  });

/** Frames and masks by number: modulo how many there are. */
type Step =
  | { readonly kind: 'put'; readonly like: number; readonly port: number; readonly mask: number }
  | { readonly kind: 'remove'; readonly pick: number }
  | { readonly kind: 'rank' }
  | {
      readonly kind: 'burst';
      readonly frames: readonly number[];
      readonly port: number;
      readonly compile: boolean;
    };

const port = fc.constantFrom(1, 1, 1, 1, 2);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constant('put' as const), like: fc.nat(), port, mask: fc.nat() }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('remove' as const), pick: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('rank' as const) }) },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('burst' as const),
      frames: fc.array(fc.nat(), { minLength: 1, maxLength: BURST }),
      port,
      compile: fc.constantFrom(true, true, true, false),
    }),
  },
);

interface ModelFlow {
  readonly id: number;
  readonly key: Int32Array;
  readonly mask: Int32Array;
}

function matches(flow: ModelFlow, key: Int32Array): boolean {
  for (let i = 0; i < KEY_WORDS; i++) if (((key[i]! ^ flow.key[i]!) & flow.mask[i]!) !== 0) return false;
  return true;
}

const bytesOf = (words: Int32Array, at: number, count: number): Buffer =>
  Buffer.from(words.buffer, words.byteOffset + at * 4, count * 4);
/** Whether `part` stands at `all[at]`. */
const startsAt = (all: Int32Array, at: number, part: Int32Array): boolean =>
  bytesOf(all, at, part.length).equals(bytesOf(part, 0, part.length));

/** A batch, and memory for its frames, full of other bytes. */
class Frames {
  readonly batch = new PacketBatch(BURST);
  readonly #bytes = new Uint8Array(new SharedArrayBuffer((BURST + 1) * ROOM));
  readonly view = new DataView(this.#bytes.buffer);

  put(frames: readonly Uint8Array[]): void {
    this.#bytes.fill(0xa5);
    this.batch.count = 0;
    frames.forEach((frame, i) => {
      const at = i * ROOM + 64 + (i % 7);
      this.#bytes.set(frame, at);
      this.batch.push(at, frame.length);
    });
  }
}

/** The flow of each packet, by the groups of the last run. */
function flowsOf(lookup: BurstLookup, groups: number): number[] {
  return Array.from({ length: groups }, (_, group) => {
    const first = group === 0 ? 0 : lookup.groupEnd[group - 1]!;
    return new Array<number>(lookup.groupEnd[group]! - first).fill(lookup.groupFlow[group]!);
  }).flat();
}

interface Extracted {
  readonly key: Int32Array;
  readonly layers: Int32Array;
}

function oracle(frame: Uint8Array, inPort: number, vlanLimit = 2): Extracted {
  const key = new Int32Array(KEY_WORDS);
  const layers = new Int32Array(LAYER_WORDS);
  key[W_IN_PORT] = inPort;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  extractFrame(view, 0, frame.length, 0, vlanLimit, key, 0, layers, 0);
  return { key, layers };
}

/** Looks up `frames` and holds every result against what the oracle extracts and a linear scan finds. */
function lookUp(
  memory: Frames,
  lookup: BurstLookup,
  model: readonly ModelFlow[],
  frames: readonly Uint8Array[],
  inPort: number,
  expected: readonly Extracted[],
): void {
  memory.put(frames);
  const groups = lookup.run(inPort);
  const found = flowsOf(lookup, groups);
  const shapes = [...lookup.shape];
  expect(found.length).toBe(frames.length);
  expected.forEach(({ key, layers }, i) => {
    const right = model.filter((flow) => matches(flow, key)).map(({ id }) => id);
    const shape = shapes[i]!;
    lookup.complete(i);
    const holds = {
      // Flows may overlap as masks: any of those that match is right.
      flow: right.includes(found[i]!) || (right.length === 0 && found[i] === -1),
      shape:
        shape === 0 ||
        (layers[LAYER_L2_5] === -1 &&
          shape === (layers[LAYER_L3]! | (layers[LAYER_L4]! << 8) | (layers[LAYER_L2_PAD]! << 16))),
      key: startsAt(lookup.keys, i * KEY_WORDS, key),
      layers: startsAt(lookup.layers, i * LAYER_WORDS, layers),
    };
    // An expectation takes as long as all the rest, and in the long run there are millions.
    if (holds.flow && holds.shape && holds.key && holds.layers) return;
    expect(holds).toEqual({ flow: true, shape: true, key: true, layers: true });
  });
  // Neighbours of one flow are one group, with the sums of its packets.
  const right: number[][] = [];
  found.forEach((flow, i) => {
    if (i === 0 || flow !== found[i - 1]) right.push([flow, 0, 0, 0]);
    const group = right.at(-1)!;
    group[1] = i + 1;
    group[2]! += frames[i]!.length;
    group[3]! |= tcpFlagsOf(expected[i]!.key, 0);
  });
  const { groupFlow, groupEnd, groupBytes, groupFlags } = lookup;
  expect(right).toEqual(right.map((_, g) => [groupFlow[g]!, groupEnd[g]!, groupBytes[g]!, groupFlags[g]!]));
  expect(right.length).toBe(groups);
  const hits = found.filter((flow) => flow >= 0).length;
  expect(lookup.hits).toBe(hits);
  expect(lookup.probes).toBeGreaterThanOrEqual(hits);
}

/** Returns how many packets were looked up. */
function run(
  masks: readonly Int32Array[],
  frames: readonly Uint8Array[],
  steps: readonly Step[],
  vlanLimit: number,
  seed: number,
): number {
  let packets = 0;
  const frame = (number: number): Uint8Array => frames[number % frames.length]!;
  const classifier = new Classifier({ seed });
  const memory = new Frames();
  const lookup = new BurstLookup(classifier.ports, memory.view, memory.batch, vlanLimit);
  const model: ModelFlow[] = [];
  for (const action of steps) {
    if (action.kind === 'put') {
      const { key } = oracle(frame(action.like), action.port, vlanLimit);
      const mask = masks[action.mask % masks.length]!;
      if (classifier.match(key) < 0 && classifier.find(key) < 0) {
        model.push({ id: classifier.insert(key, 0, mask), key, mask });
      }
    } else if (action.kind === 'remove' && model.length > 0) {
      const [gone] = model.splice(action.pick % model.length, 1);
      classifier.remove(gone!.id);
    } else if (action.kind === 'rank') classifier.rank();
    else if (action.kind === 'burst') {
      // Twice: the second time what the first one left in the cache is met.
      if (action.compile) {
        const own = classifier.ports.byPort.get(action.port) ?? classifier.ports.others;
        if (own.user !== lookup) own.refresh(lookup);
        own.compile();
        expect(own.code).toBeDefined();
      }
      const burst = action.frames.map(frame);
      const expected = burst.map((one) => oracle(one, action.port, vlanLimit));
      lookUp(memory, lookup, model, burst, action.port, expected);
      lookUp(memory, lookup, model, burst, action.port, expected);
      packets += burst.length * 2;
    }
  }
  return packets;
}

describe('BurstLookup', () => {
  const seed = fc.integer();
  const frames = fc.array(anyFrame, { minLength: 4, maxLength: 24 });
  /** Some flows first, so that there is something to find. */
  const put = fc.record({
    kind: fc.constant('put' as const),
    like: fc.nat(),
    port: fc.constant(1),
    mask: fc.nat(),
  });
  const steps = fc
    .tuple(fc.array(put, { minLength: 12, maxLength: 24 }), fc.array(step, { minLength: 10, maxLength: 60 }))
    .map((parts): Step[] => parts.flat());

  it.each([
    ['with few masks, whose code probes one after the other', 1, 4],
    ['with many masks, through the flow cache', 6, 9],
  ])(
    'finds what extraction and a linear scan find %s',
    (_, minLength, maxLength) => {
      const masks = fc.array(maskOf, { minLength, maxLength });
      let cases = 0;
      const property = fc.property(masks, frames, steps, fc.constantFrom(1, 2, 2), seed, (...args) => {
        cases += run(...args);
      });
      while (cases < CASES) fc.assert(property, { numRuns: 20 });
    },
    3_600_000,
  );

  it('forgets what a cached place was when its flow is gone, and knows what stands there next', () => {
    const classifier = new Classifier({ seed: 1 });
    const memory = new Frames();
    const lookup = new BurstLookup(classifier.ports, memory.view, memory.batch);
    const frameTo = (n: number): Uint8Array => Uint8Array.of(n, ...new Uint8Array(59));
    /** Six masks that all have the first byte of a frame, and one more bit each, which is 0 everywhere. */
    const masks = Array.from({ length: 6 }, (_, bit) => {
      const mask = new Int32Array(KEY_WORDS);
      mask[W_IN_PORT] = -1;
      mask[W_ETH] = 0xff00_0000 | (1 << bit);
      return mask;
    });
    const put = (n: number): number => classifier.insert(oracle(frameTo(n), 1).key, 0, masks[n % 6]!);
    const find = (numbers: readonly number[]): number[] => {
      memory.put(numbers.map(frameTo));
      return flowsOf(lookup, lookup.run(1));
    };
    const numbers = Array.from({ length: 24 }, (_, n) => n);
    const flows = new Map(numbers.map((n) => [n, put(n)]));
    const ids = (): number[] => numbers.map((n) => flows.get(n) ?? -1);
    classifier.ports.byPort.get(1)!.refresh(lookup);
    classifier.ports.byPort.get(1)!.compile();
    expect(find(numbers)).toEqual(ids());
    expect(find(numbers)).toEqual(ids());
    // The first of a subtable (the last row takes its place), the last one, and all but one (the table shrinks).
    for (const n of [0, 19, 2, 8, 14]) {
      classifier.remove(flows.get(n)!);
      flows.delete(n);
      expect(find(numbers)).toEqual(ids());
    }
    // Other flows, of the same id and in the same rows, then the old ones again.
    for (const n of [24, 43, 26, 0, 19]) flows.set(n, put(n));
    expect(find(numbers)).toEqual(ids());
    expect(find([24, 43, 26, 48])).toEqual([flows.get(24), flows.get(43), flows.get(26), -1]);
    expect(find([24, 43, 26, 48])).toEqual([flows.get(24), flows.get(43), flows.get(26), -1]);
    expect(lookup.probes).toBe(3);
  });

  it('gets code once a list of masks has lasted, and the same code again for the same masks in the same order', () => {
    const classifier = new Classifier({ seed: 1 });
    const memory = new Frames();
    const lookup = new BurstLookup(classifier.ports, memory.view, memory.batch);
    const mask = new Int32Array(KEY_WORDS);
    mask[W_IN_PORT] = -1;
    const other = mask.slice();
    other[W_VLAN0] = -1;
    const key = new Int32Array(KEY_WORDS);
    key[W_IN_PORT] = 7;
    const flow = classifier.insert(key, 0, mask);
    const frames = Array.from({ length: BURST }, () => VECTORS[0]!);
    const find = (inPort: number): number[] => {
      memory.put(frames);
      return flowsOf(lookup, lookup.run(inPort));
    };
    const port = () => classifier.ports.byPort.get(7)!;
    let bursts = 0;
    while (port().code === undefined && bursts++ < 1000) find(7);
    expect(bursts).toBeGreaterThan(1);
    const { code } = port();
    expect(code).toBeDefined();
    expect(find(7)).toEqual(frames.map(() => flow));

    key[W_IN_PORT] = 8;
    const second = classifier.insert(key, 0, mask);
    expect(find(8)).toEqual(frames.map(() => second));
    expect(classifier.ports.byPort.get(8)!.code).toBe(code);

    classifier.remove(flow);
    expect(find(7)).toEqual(frames.map(() => -1));
    key[W_IN_PORT] = 7;
    classifier.insert(key, 0, other);
    find(7);
    expect(port().code).toBeUndefined();
  });

  it('may be one of several on the same flows', () => {
    const classifier = new Classifier({ seed: 1 });
    const mask = new Int32Array(KEY_WORDS);
    mask[W_IN_PORT] = -1;
    const key = new Int32Array(KEY_WORDS);
    key[W_IN_PORT] = 1;
    const flow = classifier.insert(key, 0, mask);
    const lookups = [new Frames(), new Frames()].map((memory) => {
      memory.put([VECTORS[0]!, VECTORS[1]!]);
      return new BurstLookup(classifier.ports, memory.view, memory.batch);
    });
    for (const lookup of [...lookups, ...lookups]) {
      expect(flowsOf(lookup, lookup.run(1))).toEqual([flow, flow]);
      classifier.ports.byPort.get(1)!.compile();
      expect(flowsOf(lookup, lookup.run(1))).toEqual([flow, flow]);
      lookup.groupFlow.fill(-2);
    }
  });
});
