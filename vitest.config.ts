import { fileURLToPath } from 'node:url';

import { defineConfig } from 'vitest/config';

const source = (path: string) => fileURLToPath(new URL(`./src/${path}`, import.meta.url));

export default defineConfig({
  resolve: {
    // The package under its own name is the source, so that nothing has to be built before the tests.
    alias: [
      { find: /^rune-runtime\/testing\/vitest$/, replacement: source('testing/vitest.ts') },
      { find: /^rune-runtime\/(schemas|store|informer|controller|testing)$/, replacement: source('$1/index.ts') },
      { find: /^rune-runtime$/, replacement: source('index.ts') },
    ],
  },
  test: {
    include: ['test/**/*.test.ts'],
    // LMDB holds native handles and tests kill processes: a process for each file, two at a time.
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 15_000,
    hookTimeout: 15_000,
    teardownTimeout: 5_000,
    // A mock or an environment variable never leaks from one test into the next.
    restoreMocks: true,
    unstubEnvs: true,
    unstubGlobals: true,
    typecheck: {
      enabled: true,
      include: ['test/types/**/*.test-d.ts'],
      tsconfig: 'tsconfig.json',
      // Faults elsewhere are reported by `npm run types`, once, and not by each run of a single test.
      ignoreSourceErrors: true,
    },
    coverage: {
      provider: 'v8',
      include: ['src/**/*.ts'],
      exclude: ['src/**/index.ts'],
      reporter: ['text-summary', 'html', 'json-summary'],
    },
  },
});
