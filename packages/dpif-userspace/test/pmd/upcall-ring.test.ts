/** The upcall ring: what a thread writes is what clients get, and a flood on one port leaves room for the others. */

import {
  type ActionProgram,
  compileActions,
  DROP_NO_HANDLER,
  DROP_UPCALL_FULL,
  PacketArena,
  PacketBatch,
  PacketState,
} from '@etherloom/core';
import { KEY_WORDS, W_IN_PORT, W_PACKET_TYPE } from '@etherloom/odp-codec';
import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { CONTROL_WORDS, WORD_LISTENING } from '../../src/pmd/layout.hot.js';
import { ringBytes, SharedRing } from '../../src/pmd/ring.hot.js';
import { UpcallReader } from '../../src/pmd/upcall-reader.js';
import { UpcallWriter } from '../../src/pmd/upcall-writer.hot.js';
import type { OffloadedPacket } from '../../src/upcall-packets.js';
import type { Upcalls } from '../../src/upcalls.js';

const ACCEPTED = -1;
/** Without offloads the rest means nothing. */
const PLAIN = { offload: 0, csumStart: 0, csumOffset: 0, gsoSize: 0, gsoHeader: 0 };

interface Seen {
  readonly key: Int32Array;
  readonly bytes: Uint8Array;
  readonly packet: Omit<OffloadedPacket, 'data'>;
  readonly pid: number | undefined;
  readonly userdata: Uint8Array | undefined;
  readonly actions: Uint8Array | undefined;
}

let arena: PacketArena;
let control: Int32Array;
let writer: UpcallWriter;
let ring: SharedRing;
let consumer: SharedRing;
let seen: Seen[];
let reader: UpcallReader;

function make(words: number): void {
  const memory = new SharedArrayBuffer(ringBytes(words));
  arena = PacketArena.create({ frames: 1, largeFrames: 1 });
  control = new Int32Array(CONTROL_WORDS);
  control[WORD_LISTENING] = 1;
  ring = new SharedRing(memory);
  consumer = new SharedRing(memory);
  writer = new UpcallWriter(ring, control, arena);
  seen = [];
  const packets = { bytes: new Uint8Array() };
  const pass: Upcalls['pass'] = (keys, _base, { data, ...packet }, pid, userdata, actions) => {
    const bytes = packets.bytes.slice(data, data + packet.length);
    seen.push({
      key: keys.slice(),
      bytes,
      packet,
      pid,
      userdata: userdata?.slice(),
      actions: actions?.slice(),
    });
    return ACCEPTED;
  };
  const missed: Upcalls['missed'] = (keys, base, data, length) =>
    pass(keys, base, { data, length, packetType: keys[base + W_PACKET_TYPE]!, cut: 0, ...PLAIN });
  reader = new UpcallReader({ pass, missed }, packets);
}

const keyOf = (port: number): Int32Array => {
  const key = new Int32Array(KEY_WORDS);
  key[W_IN_PORT] = port;
  return key;
};

/** A batch of one packet at the start of the large frame. */
function batchOf(length: number): PacketBatch {
  const batch = new PacketBatch(1);
  batch.push(arena.largeBase, length);
  return batch;
}

const miss = (port: number, length = 60): number => writer.miss(keyOf(port), 0, batchOf(length), 0);

function stateOf(length: number): PacketState {
  const state = new PacketState(arena, new Int32Array(KEY_WORDS));
  state.data = arena.largeBase;
  state.length = length;
  return state;
}

function program(pid: number, userdata: Uint8Array | undefined, withActions: boolean): ActionProgram {
  const base = compileActions(new Uint8Array());
  return {
    ...base,
    actions: Uint8Array.from([1, 2, 3, 4, 5, 6, 7, 8]),
    userspace: [
      { pid, withActions, attribute: new Uint8Array(), ...(userdata !== undefined && { userdata }) },
    ],
  };
}

beforeEach(() => make(1 << 14));

describe('upcall ring', () => {
  it('brings keys, packets, their metadata, userdata and actions across as they are', () => {
    const word = fc.integer({ min: 0, max: 0x7fff_ffff });
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 3000 }),
        fc.array(fc.tuple(fc.nat({ max: KEY_WORDS - 1 }), fc.integer()), { maxLength: 30 }),
        fc.record({ offload: word, csumStart: word, csumOffset: word, gsoSize: word, gsoHeader: word }),
        fc.option(fc.uint8Array({ maxLength: 50 }), { nil: undefined }),
        fc.boolean(),
        fc.boolean(),
        fc.nat({ max: 0xffff_ffff }),
        (packet, words, metadata, userdata, withActions, isAction, pid) => {
          const key = new Int32Array(KEY_WORDS);
          for (const [place, value] of words) key[place] = value;
          arena.bytes.set(packet, arena.largeBase);
          seen = [];
          const base = 7;
          const rows = new Int32Array(KEY_WORDS + base);
          rows.set(key, base);
          const batch = batchOf(packet.length);
          const state = stateOf(packet.length);
          Object.assign(state, metadata, { packetType: 0x10800, cut: 5, cutPending: true });
          for (const name of ['offload', 'csumStart', 'csumOffset', 'gsoSize', 'gsoHeader'] as const) {
            batch[name][0] = metadata[name];
          }
          const reason = isAction
            ? writer.action(rows, base, state, program(pid, userdata, withActions), 0)
            : writer.miss(rows, base, batch, 0);
          expect(reason).toBe(ACCEPTED);
          ring.publish();
          expect(reader.read(consumer, 10, () => expect.unreachable())).toBe(1);
          const { length } = packet;
          expect(seen).toEqual([
            isAction
              ? {
                  key,
                  bytes: packet,
                  packet: { ...metadata, length, packetType: 0x10800, cut: 5 },
                  pid,
                  userdata,
                  actions: withActions ? program(0, undefined, true).actions : undefined,
                }
              : {
                  key,
                  bytes: packet,
                  packet: {
                    ...(metadata.offload === 0 ? PLAIN : metadata),
                    length,
                    packetType: key[W_PACKET_TYPE],
                    cut: 0,
                  },
                  pid: undefined,
                  userdata: undefined,
                  actions: undefined,
                },
          ]);
        },
      ),
    );
  });

  it('takes nothing while nobody listens', () => {
    control[WORD_LISTENING] = 0;
    expect(miss(1)).toBe(DROP_NO_HANDLER);
    expect(ring.publish()).toBe(false);
  });

  it('a packet that no ring of this size can hold is refused, whatever room there is', () => {
    make(256);
    expect(miss(1, 2000)).toBe(DROP_UPCALL_FULL);
    expect(miss(1)).toBe(ACCEPTED);
  });

  it.each([1, 2, 5, 20])('%i floods leave room for one port more, and for a named queue', (floods) => {
    const taken = new Array<number>(floods).fill(0);
    for (let round = 0; round < 2000; round++) {
      for (let port = 1; port <= floods; port++) if (miss(port) === ACCEPTED) taken[port - 1]!++;
    }
    // No flood gets more than the others, and what all of them leave is as much as one of them has.
    expect(Math.max(...taken) - Math.min(...taken)).toBeLessThanOrEqual(1);
    let quiet = 0;
    while (miss(1000) === ACCEPTED) quiet++;
    expect(quiet).toBeGreaterThan(taken[0]! / 4);
    expect(writer.action(keyOf(0), 0, stateOf(60), program(77, undefined, false), 0)).toBe(ACCEPTED);
    // What was read is free again.
    ring.publish();
    while (reader.read(consumer, 100, () => expect.unreachable()) > 0);
    for (let port = 1; port <= floods; port++) expect(miss(port)).toBe(ACCEPTED);
    expect(seen.length).toBe(taken.reduce((a, b) => a + b, 0) + quiet + 1);
  });

  it('says which port and why when the queues behind it refuse', () => {
    const refusals: [number, number, boolean][] = [];
    const refuse = (): number => DROP_UPCALL_FULL;
    const refusing = new UpcallReader({ pass: refuse, missed: refuse }, { bytes: new Uint8Array() });
    miss(5);
    writer.action(keyOf(6), 0, stateOf(60), program(1, undefined, false), 0);
    ring.publish();
    refusing.read(consumer, 10, (...refusal) => refusals.push(refusal));
    expect(refusals).toEqual([
      [5, DROP_UPCALL_FULL, true],
      [6, DROP_UPCALL_FULL, false],
    ]);
  });
});
