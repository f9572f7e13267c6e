// Compiles the native backend with whatever C++17 compiler there is: `node lib/backends/native/build.cjs [--debug FLAGS]`.
// It runs when the package is installed and never fails the installation: without a compiler, or with a broken one, it
// leaves the reason in build/gvx_native.txt, which `gvx doctor` shows, and gvx uses the wasm backend.
'use strict'
const { spawnSync } = require('node:child_process')
const { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } = require('node:fs')
const { dirname, join } = require('node:path')

const root = packageRoot(__dirname)
const build = join(root, 'build')
const target = join(build, 'gvx_native.node')
const reasonFile = join(build, 'gvx_native.txt')
const sources = ['addon.cc', 'elementwise.cc', 'encoder.cc', 'gemm.cc', 'isa.cc', 'layers.cc', 'pool.cc', 'profile.cc']
const FLAGS = [
  '-std=c++17',
  '-O3',
  '-fPIC',
  '-shared',
  '-pthread',
  '-fvisibility=hidden',
  '-fopenmp-simd',
  '-ffp-contract=fast',
  '-fno-math-errno',
  '-fno-trapping-math',
  '-Wno-psabi',
  '-Wno-unknown-warning-option',
]

main()

function main() {
  mkdirSync(build, { recursive: true })
  const reason = compile()
  if (reason === null) {
    rmSync(reasonFile, { force: true })
    console.log(`gvx: the native backend is built (${target})`)
  } else {
    rmSync(target, { force: true })
    writeFileSync(reasonFile, `${reason}\n`)
    console.log(`gvx: no native backend: ${reason.split('\n')[0]}. gvx will use wasm; to try again: npm rebuild`)
  }
}

/** Null, or why there is no binary. */
function compile() {
  if (process.env.GVX_SKIP_NATIVE) return 'GVX_SKIP_NATIVE is set'
  if (process.platform === 'win32') return 'there is no build for Windows yet'
  let headers
  try {
    headers = require('node-api-headers').include_dir
  } catch {
    return 'the package node-api-headers is not installed'
  }
  const compilers = process.env.CXX ? [process.env.CXX] : ['g++', 'clang++', 'c++']
  const compiler = compilers.find((name) => spawnSync(name, ['--version']).status === 0)
  if (!compiler) return `no C++ compiler: tried ${compilers.join(', ')}`
  // A name of its own, then a rename: a running gvx keeps the file it has loaded, and two builds cannot mix.
  const output = join(build, `gvx_native.${process.pid}.tmp`)
  const link = process.platform === 'darwin' ? ['-undefined', 'dynamic_lookup'] : []
  const args = [...FLAGS, ...link, `-I${headers}`, ...sources.map((name) => join(__dirname, 'src', name)), '-o', output]
  const result = spawnSync(compiler, args, { encoding: 'utf8', timeout: 900_000 })
  if (result.status !== 0) {
    rmSync(output, { force: true })
    return `${compiler} failed\n${result.error?.message ?? result.stderr}`
  }
  renameSync(output, target)
  return null
}

/** The folder of package.json: this script lies in lib/ in a checkout and in the published package alike. */
function packageRoot(from) {
  return existsSync(join(from, 'package.json')) ? from : packageRoot(dirname(from))
}
