/** Every target holds for what it starts from: a sample of the vectors that Open vSwitch made. */

import { describe, expect, it } from 'vitest';
import { readVectors } from '../src/store.js';
import { TARGETS } from '../src/targets/index.js';

/** Inputs of one target. */
const SAMPLE = 200;

describe('targets', () => {
  for (const entry of TARGETS) {
    if (!('load' in entry)) continue;
    it(`${entry.name} holds for its seeds`, async () => {
      const target = await entry.load();
      const seeds = target.seeds(readVectors);
      expect(seeds.length).toBeGreaterThan(SAMPLE);
      const step = Math.floor(seeds.length / SAMPLE);
      for (let i = 0; i < seeds.length; i += step) target.run(seeds[i]!);
    });
  }
});
