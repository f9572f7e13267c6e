import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.{ts,tsx}'],
    testTimeout: 30_000,
    // Two cores: more workers only make the tensor tests slower.
    maxWorkers: 2,
  },
})
