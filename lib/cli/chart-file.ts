import { writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { TopLevelSpec } from 'vega-lite'

/** Kinds of files that a chart can be written as. */
export const CHART_FORMATS = ['.svg', '.png', '.json'] as const
export type ChartFormat = (typeof CHART_FORMATS)[number]

/** Pixels of a PNG for a pixel of the chart. */
const PNG_SCALE = 2

/** Writes a chart as a picture, or (`.json`) the specification that pictures are drawn from. */
export async function writeChart(spec: TopLevelSpec, file: string, format: ChartFormat): Promise<void> {
  switch (format) {
    case '.json':
      return writeFileSync(file, `${JSON.stringify(spec, null, 1)}\n`)
    case '.svg':
      return writeFileSync(file, `${await chartSvg(spec)}\n`)
    case '.png':
      return writeFileSync(file, await chartPng(spec))
    default:
      return format satisfies never
  }
}

/** The chart as an SVG document. Vega is loaded here, not by commands that draw nothing. */
export async function chartSvg(spec: TopLevelSpec): Promise<string> {
  const [{ parse, View }, { compile }] = await Promise.all([import('vega'), import('vega-lite')])
  const view = new View(parse(compile(spec).spec), { renderer: 'none' })
  try {
    return await view.toSVG()
  } finally {
    view.finalize()
  }
}

/**
 * The chart as a PNG file. Text is drawn in a font that comes with gvx and in no other, so that pictures are the same on
 * every machine, and those without fonts have text as well.
 */
async function chartPng(spec: TopLevelSpec): Promise<Uint8Array> {
  const [svg, { Resvg }] = await Promise.all([chartSvg(spec), import('@resvg/resvg-js')])
  const font = createRequire(import.meta.url).resolve('dejavu-fonts-ttf/ttf/DejaVuSans.ttf')
  const resvg = new Resvg(svg, {
    font: { loadSystemFonts: false, fontFiles: [font], defaultFontFamily: 'DejaVu Sans' },
    fitTo: { mode: 'zoom', value: PNG_SCALE },
  })
  return resvg.render().asPng()
}
