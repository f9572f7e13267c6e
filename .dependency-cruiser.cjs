// The layers of ARCHITECTURE.md, bottom to top. A module may import from its own layer's folder and from the layers below.
const LAYERS = [
  ['core'],
  ['config'],
  ['tensor', 'backends'],
  ['nn'],
  ['data', 'model'],
  ['train', 'eval'],
  ['run', 'store'],
  ['launch'],
  ['sweep'],
  ['bench'],
  ['tui', 'cli'],
]
const below = (i) =>
  LAYERS.slice(i + 1)
    .flat()
    .join('|')
const npm = (name) => `node_modules/${name}`
/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    ...LAYERS.slice(0, -1).map((layer, i) => ({
      name: `${layer.join('-')}-knows-nothing-above`,
      severity: 'error',
      from: { path: `^lib/(${layer.join('|')})/` },
      to: { path: `^lib/(${below(i)})/` },
    })),
    {
      name: 'sql-only-in-store',
      severity: 'error',
      from: { pathNot: '^lib/store/' },
      to: { path: npm('better-sqlite3') },
    },
    {
      name: 'ink-only-in-tui',
      severity: 'error',
      from: { pathNot: '^lib/(tui|cli)/' },
      to: { path: npm('(ink|react)/') },
    },
    {
      name: 'tfjs-only-behind-its-door',
      severity: 'error',
      from: { pathNot: '^lib/(tensor|backends)/' },
      to: { path: npm('@tensorflow/') },
    },
    { name: 'yargs-only-in-cli', severity: 'error', from: { pathNot: '^lib/cli/' }, to: { path: npm('yargs') } },
    {
      name: 'core-has-no-dependency',
      severity: 'error',
      from: { path: '^lib/core/' },
      to: { dependencyTypes: ['npm', 'core'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'require', 'node', 'default'] },
  },
}
