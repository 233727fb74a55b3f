import { defineConfig } from 'vitest/config';

/** Tests read the sources of every package (condition `@etherloom/source`), so a change needs no build to be seen. */
const source = {
  resolve: { conditions: ['@etherloom/source'] },
  ssr: { resolve: { conditions: ['@etherloom/source'], externalConditions: ['@etherloom/source'] } },
};

export default defineConfig({
  ...source,
  test: {
    include: [
      'packages/*/test/**/*.test.ts',
      'apps/*/test/**/*.test.ts',
      'bench/test/**/*.test.ts',
      'tools/*/test/**/*.test.ts',
      'scripts/test/**/*.test.ts',
    ],
    pool: 'forks',
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
