import type { Config } from '../config/schema.ts'

/**
 * Learning rate of optimizer step `step`, counted from 0: linear warm-up, then a cosine from the peak to the minimum.
 * As in the reference (timm's CosineLRScheduler, advanced *after* each step), which has two quirks: the cosine does not
 * begin where the warm-up ends but has run since step 0, and the schedule lags a step behind, so that steps 0 and 1
 * both use its first value.
 */
export function learningRateAt(step: number, train: Config['train']): number {
  const t = Math.max(0, step - 1)
  const { steps, learningRate: peak, minLearningRate: least, warmupLearningRate: first } = train
  const warmup = Math.round(train.warmup * steps)
  if (t < warmup) return first + (t * (peak - first)) / warmup
  if (t >= steps) return least
  return least + 0.5 * (peak - least) * (1 + Math.cos((Math.PI * t) / steps))
}
