/** Puts taps on the ports of one thread, between bursts, and takes them away. Control path. */

import type { PacketArena } from '@etherloom/core/data';
import type { Output } from '../output.hot.js';
import { SharedRing } from '../pmd/ring.hot.js';
import type { TapMemory } from './source.js';
import { Tap, type TapSpec } from './tap.hot.js';

/** One with the same id is replaced: a thread that takes another one's place may be told twice. */
export function addTap(output: Output, arena: PacketArena, spec: TapSpec, memory: TapMemory): void {
  const { ring, missed, bell } = memory;
  const tap = new Tap(spec, arena, new SharedRing(ring), new Float64Array(missed), new Int32Array(bell));
  removeTap(output, spec.id);
  output.taps = [...output.taps, tap];
}

/** Nothing happens when there is none with that id. */
export function removeTap(output: Output, id: number): void {
  output.taps = output.taps.filter((tap) => tap.id !== id);
}
