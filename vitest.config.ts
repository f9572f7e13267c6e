import { defineConfig } from 'vitest/config'
import ClosingLine from './test/closing-line.ts'

export default defineConfig({
  test: {
    include: ['test/**/*.test.{ts,tsx}'],
    testTimeout: 30_000,
    // Two cores: more workers only make the tensor tests slower.
    maxWorkers: 2,
    reporters: ['default', new ClosingLine()],
  },
})
