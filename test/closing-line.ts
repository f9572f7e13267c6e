import type { Reporter, TestModule } from 'vitest/node'

/** Ends the output with `N passed, N failed, N skipped` alone on a line, which any log reader can find. */
export default class ClosingLine implements Reporter {
  onTestRunEnd(modules: ReadonlyArray<TestModule>): void {
    const count = { passed: 0, failed: 0, skipped: 0 }
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        const state = test.result().state
        count[state === 'passed' || state === 'failed' ? state : 'skipped'] += 1
      }
      if (module.state() === 'failed' && module.errors().length > 0) count.failed += 1
    }
    process.on('exit', () => {
      process.stdout.write(`\n${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped\n`)
    })
  }
}
