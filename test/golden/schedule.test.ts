import { describe, expect, it } from 'vitest'
import { configSchema } from '../../lib/config/schema.ts'
import { learningRateAt } from '../../lib/train/schedule.ts'
import { titleOf } from './model.ts'
import { goldenJson, hasGolden } from './set.ts'

const FILE = 'schedule/cosine_lr.json'

type Schedule = {
  name: string
  base_lr: number
  warmup_lr: number
  min_lr: number
  t_initial: number
  warmup_t: number
  lr_used_by_optimizer_step: number[]
}

describe('golden schedule', () => {
  it.skipIf(!hasGolden(FILE))(titleOf('gives every step the learning rate of the reference', [FILE]), () => {
    const schedules = goldenJson<Schedule[]>(FILE)
    expect(schedules.length).toBeGreaterThan(0)
    for (const golden of schedules) {
      const { train } = configSchema.parse({
        train: {
          steps: golden.t_initial,
          warmup: golden.warmup_t / golden.t_initial,
          learningRate: golden.base_lr,
          warmupLearningRate: golden.warmup_lr,
          minLearningRate: golden.min_lr,
        },
      })
      golden.lr_used_by_optimizer_step.forEach((expected, step) => {
        const error = Math.abs(learningRateAt(step, train) - expected) / golden.base_lr
        expect(error, `${golden.name}, step ${step}`).toBeLessThan(1e-9)
      })
    }
  })
})
