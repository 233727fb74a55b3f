import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  FRAME_HEADROOM,
  LARGE_FRAME_SIZE,
  MAX_PACKET,
  PacketArena,
  SMALL_FRAME_ROOM,
  SMALL_FRAME_SIZE,
} from '../../src/packet/arena.js';
import { FramePool } from '../../src/packet/frame-pool.hot.js';

describe('PacketArena', () => {
  it('lays frames out on pages, apart from each other and from the reference counts', () => {
    const arena = PacketArena.create({ frames: 5, largeFrames: 3 });
    expect(arena.smallBase % 4096).toBe(0);
    expect(arena.largeBase % 4096).toBe(0);
    expect(arena.refs.byteLength).toBeLessThanOrEqual(arena.smallBase);
    const ends = Array.from({ length: 8 }, (_, i) => arena.frameEnd(arena.frameStart(i)));
    for (let i = 0; i < 8; i++) {
      const start = arena.frameStart(i);
      expect(ends[i]! - start).toBe(i < 5 ? SMALL_FRAME_SIZE : LARGE_FRAME_SIZE);
      expect(arena.frameIndex(start)).toBe(i);
      expect(arena.frameIndex(ends[i]! - 1)).toBe(i);
      if (i > 0) expect(start).toBeGreaterThanOrEqual(ends[i - 1]!);
    }
    expect(ends[7]).toBeLessThanOrEqual(arena.bytes.length);
    expect(LARGE_FRAME_SIZE - FRAME_HEADROOM).toBeGreaterThanOrEqual(MAX_PACKET);
  });

  it('is the same memory for whoever attaches it', () => {
    const arena = PacketArena.create({ frames: 2, largeFrames: 1 });
    const attached = PacketArena.attach(structuredClone(arena.descriptor()));
    arena.bytes[arena.frameStart(1)] = 42;
    expect(attached.bytes[attached.frameStart(1)]).toBe(42);
  });

  it('refuses sizes that cannot be, naming them', () => {
    expect(() => PacketArena.create({ frames: 0 })).toThrow(/0 frames/);
    expect(() => PacketArena.create({ frames: 1.5 })).toThrow(/1\.5 frames/);
    expect(() => PacketArena.create({ frames: 2 ** 21 })).toThrow(/2 GiB/);
  });
});

describe('FramePool', () => {
  it('hands out every frame once and says -1 when it has none', () => {
    const pool = new FramePool(PacketArena.create({ frames: 4, largeFrames: 2 }));
    const small = [1, 2, 3, 4].map(() => pool.alloc());
    expect(new Set(small).size).toBe(4);
    expect(pool.alloc()).toBe(-1);
    const large = [pool.allocFor(SMALL_FRAME_ROOM + 1), pool.allocFor(MAX_PACKET)];
    expect(new Set(large).size).toBe(2);
    expect(pool.allocLarge()).toBe(-1);
    for (const frame of [...small, ...large]) pool.release(frame);
    expect([pool.free, pool.freeLarge]).toEqual([4, 2]);
  });

  it('keeps ranges of one arena apart', () => {
    const arena = PacketArena.create({ frames: 6, largeFrames: 2 });
    const pools = [new FramePool(arena, 0, 3, 0, 1), new FramePool(arena, 3, 3, 1, 1)];
    const frames = pools.flatMap((pool) => [pool.alloc(), pool.alloc(), pool.alloc(), pool.allocLarge()]);
    expect(new Set(frames.map((frame) => arena.frameIndex(frame))).size).toBe(8);
  });

  it('returns a frame exactly when its last owner lets go, whatever the order', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(3), fc.constantFrom('alloc', 'retain', 'release')), { maxLength: 200 }),
        (steps) => {
          const pool = new FramePool(PacketArena.create({ frames: 4, largeFrames: 0 }));
          const owners = new Map<number, number>();
          for (const [pick, what] of steps) {
            const held = [...owners.keys()];
            const frame = held[pick % Math.max(held.length, 1)];
            if (what === 'alloc') {
              const fresh = pool.alloc();
              expect(fresh === -1).toBe(held.length === 4);
              if (fresh !== -1) owners.set(fresh, 1);
            } else if (frame !== undefined) {
              const count = owners.get(frame)! + (what === 'retain' ? 1 : -1);
              // Any offset inside the frame names it, as after a push or pop of headers.
              if (what === 'retain') pool.retain(frame + 100);
              else pool.release(frame - 100);
              if (count === 0) owners.delete(frame);
              else {
                owners.set(frame, count);
                expect(pool.isShared(frame)).toBe(count > 1);
              }
            }
            expect(pool.free).toBe(4 - owners.size);
          }
        },
      ),
    );
  });
});
