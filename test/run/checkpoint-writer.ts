import { writeSync } from 'node:fs'
import { saveCheckpoint } from '../../lib/run/checkpoint.ts'

/** Saves checkpoints until it is killed, and prints the step of each after it is saved. */
const [dir] = process.argv.slice(2)
for (let step = 1; ; step++) {
  const data = new Float32Array(300_000).fill(step)
  saveCheckpoint(dir, step, {
    model: [['w', { shape: [data.length], data }]],
    optimizer: [['m', { shape: [data.length], data }]],
    state: { configHash: 'h', best: null, versions: {} },
    best: step % 5 === 0,
  })
  writeSync(1, `${step}\n`)
}
