import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: { include: ['test/e2e/**/*.test.ts'], globalSetup: ['test/e2e/support/programs.ts'], pool: 'forks', fileParallelism: false, testTimeout: 900_000, hookTimeout: 900_000, bail: 1, reporters: ['verbose'] },
});
