import { describe, expect, it } from 'vitest'
import { configSchema } from '../../lib/config/schema.ts'
import { describeModel } from '../../lib/model/describe.ts'

const millions = (n: number) => (n / 1e6).toFixed(2)

describe('the description of a model', () => {
  it("has the figures of the paper's model", () => {
    const { parameters, gflops, stages } = describeModel(configSchema.parse({}).model)
    expect(parameters.total).toBe(55_726_610)
    expect(millions(parameters.image)).toBe('28.84')
    expect(millions(parameters.text)).toBe('22.15')
    expect(millions(parameters.imageHead)).toBe('2.63')
    expect(millions(parameters.textHead)).toBe('2.11')
    expect(gflops.text.toFixed(2)).toBe('1.53')
    expect(gflops.image.toFixed(2)).toBe('7.95')
    expect(stages.map(({ tokens, groupTokens, layers, segments }) => [tokens, groupTokens, layers, segments])).toEqual([
      [196, 64, 6, 64],
      [64, 8, 3, 8],
      [8, 0, 3, null],
    ])
    expect(stages.map(({ dropPath }) => dropPath.map((rate) => rate.toFixed(4)))).toEqual([
      ['0.0000', '0.0455'],
      ['0.0545', '0.0727'],
      ['0.0818', '0.1000'],
    ])
  })

  it('describes a plain ViT as one stage without groups', () => {
    const { stages } = describeModel(configSchema.parse({ model: { stages: 0 } }).model)
    expect(stages).toMatchObject([{ tokens: 196, groupTokens: 0, layers: 12, segments: null }])
  })

  it('counts stages of different widths with what leads from one to the next', () => {
    const describeWith = (widthFactors: number[]) =>
      describeModel(configSchema.parse({ model: { widthFactors } }).model)
    const one = describeWith([1, 1, 1])
    const wider = describeWith([1, 2, 2])
    expect(wider.stages.map(({ channels }) => channels)).toEqual([384, 768, 768])
    // a norm and a bias-free matrix at the end of the first stage
    expect(wider.stages[0].parameters - one.stages[0].parameters).toBe(2 * 384 + 384 * 768)
    expect(wider.stages[0].gflops - one.stages[0].gflops).toBeCloseTo((64 * (5 * 384 + 2 * 384 * 768)) / 1e9, 9)
    expect(wider.stages[2].gflops / one.stages[2].gflops).toBeGreaterThan(3.9)
    expect(wider.parameters.imageHead - one.parameters.imageHead).toBe(384 * 4096)
  })
})
