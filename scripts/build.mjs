#!/usr/bin/env node
/**
 * Builds what the package ships, in dist/: the program, the library with its types, the child that loads
 * PKCS#11 modules, the native addon, and the licences of everything that is bundled.
 *
 * Nothing is minified, so that the published files can be read. The same sources, dependencies and build
 * date give the same bytes; the date is SOURCE_DATE_EPOCH, else that of the last commit.
 *
 *     node scripts/build.mjs [--source src] [--out dist]
 */

import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { builtinModules, isBuiltin } from 'node:module'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import * as esbuild from 'esbuild'

const root = resolve(import.meta.dirname, '..')
const packageJson = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const addon = 'pkcs11js/build/Release/pkcs11.node'
const { values: options } = parseArgs({
  options: { source: { type: 'string', default: 'src' }, out: { type: 'string', default: 'dist' } },
})
const source = resolve(root, options.source)
const out = resolve(root, options.out)

// Built beside the target and then renamed, so that a running program never sees half a build.
mkdirSync(dirname(out), { recursive: true })
const stage = mkdtempSync(join(dirname(out), `.${basename(out)}-`))
try {
  await build(stage)
  chmodSync(stage, 0o755)
  rmSync(out, { recursive: true, force: true })
  renameSync(stage, out)
} finally {
  rmSync(stage, { recursive: true, force: true })
}

/** @param {string} outdir */
async function build(outdir) {
  /** @type {esbuild.BuildOptions} */
  const common = {
    absWorkingDir: root,
    outdir,
    bundle: true,
    platform: 'node',
    target: 'node20.19',
    mainFields: ['module', 'main'],
    alias: { 'string-width': join(root, 'scripts/string-width.mjs') },
    legalComments: 'none', // all licences are in one file
    metafile: true,
    logLevel: 'warning',
    define: {
      __HOLDFAST_VERSION__: JSON.stringify(packageJson.version),
      __HOLDFAST_BUILD_DATE__: JSON.stringify(buildDate().toISOString()),
    },
  }
  // What a command does not need is in a chunk that it does not load. The library has its own chunks: shared
  // with the program, there would be twice as many files to open for each credential.
  const split = { format: 'esm', splitting: true }
  const program = await esbuild.build({
    ...common,
    ...split,
    entryPoints: { bin: join(source, 'bin.ts') },
    chunkNames: 'chunks/bin-[name]-[hash]',
    outExtension: { '.js': '.cjs' },
    plugins: [reflectFirst()],
  })
  const library = await esbuild.build({
    ...common,
    ...split,
    entryPoints: { index: join(source, 'index.ts') },
    chunkNames: 'chunks/index-[name]-[hash]',
    // CommonJS packages inside an ES module call require() for the modules of Node itself, which are the same from
    // every folder; import.meta.url is not there once a user's bundler has made CommonJS of the library.
    banner: {
      js: "import { createRequire as __createRequire } from 'node:module';\nconst require = __createRequire('/');",
    },
  })
  const child = await esbuild.build({
    ...common,
    entryPoints: { 'token-child': join(source, 'token-child.ts') },
    format: 'cjs',
    outExtension: { '.js': '.cjs' },
    plugins: [addonBesideTheFile()],
  })
  for (const file of filesOf(library)) requireBuiltins(file)
  for (const file of filesOf(program)) await toCommonJs(file)
  for (const file of [...filesOf(program), ...filesOf(child)]) requireLate(file)
  const outputs = [program, library, child].flatMap(({ metafile }) => Object.entries(metafile.outputs))
  refuseImports(outputs)

  chmodSync(join(outdir, 'bin.cjs'), 0o755)
  if (!readFileSync(join(outdir, 'bin.cjs'), 'utf8').startsWith('#!'))
    throw new Error('src/bin.ts must begin with #!')
  copyFileSync(
    join(root, 'node_modules', addon),
    join(outdir, `pkcs11-${process.platform}-${process.arch}.node`),
  )
  writeTypes(outdir)
  writeLicences(outdir, outputs)
}

/**
 * Has an ES module require() the modules of Node itself. For an import statement Node reads every export of them,
 * also those that are costly to make: `http` then loads a whole web client, which takes longer than a signature.
 * @param {string} file
 */
function requireBuiltins(file) {
  const code = readFileSync(file, 'utf8').replaceAll(
    /^import (?:(\w+)|\* as (\w+)|(\{[^}]*\})) from "([^"]+)";$/gm,
    (statement, byDefault, all, named, path) => {
      const names = named?.replaceAll(/(\w+) as (\w+)/g, '$1: $2')
      return isBuiltin(path) ? `const ${byDefault ?? all ?? names} = require("${path}");` : statement
    },
  )
  writeFileSync(file, code)
}

/** @param {esbuild.BuildResult<{ metafile: true }>} result */
function filesOf({ metafile }) {
  return Object.keys(metafile.outputs).map((file) => join(root, file))
}

/**
 * Makes an ES module a CommonJS one, which starts faster. esbuild splits only ES modules into chunks.
 * @param {string} file
 */
async function toCommonJs(file) {
  const { code } = await esbuild.transform(readFileSync(file, 'utf8'), {
    format: 'cjs',
    platform: 'node',
    target: 'node20.19',
    supported: { 'dynamic-import': false },
    define: { 'import.meta.url': '__url' },
  })
  const url = code.includes('__url')
    ? 'const __url = require("node:url").pathToFileURL(__filename).href;\n'
    : ''
  writeFileSync(file, code.replace(/^(#!.*\n)?/, `$1"use strict";\n${url}`))
}

/**
 * Has a CommonJS file load the other files, and the modules of Node itself, when they are first used: what
 * `crypto` loads, for one, takes longer than a signature. Later uses do not ask require() again, which is slow.
 * @param {string} file
 */
function requireLate(file) {
  const late = new Set()
  const code = readFileSync(file, 'utf8').replaceAll(
    /^( *(?:var )?)(import_\w+) = (require\("([^"]+)"\));$/gm,
    (statement, start, name, load, path) => {
      if (!isBuiltin(path) && !path.startsWith('.')) return statement
      late.add(name)
      // In brackets, since a dot behind the name is a use.
      return `${start}${name} = () => ${name}["loaded"] ??= ${load};`
    },
  )
  const uses = /(\bnew )?\b(import_\w+)\./g
  const whole = code.replaceAll(uses, (use, create = '', name) => {
    if (!late.has(name)) return use
    return create ? `new (${name}()).` : `${name}().`
  })
  // Each file that imports pkcs11js would otherwise make a copy of its thousand constants.
  writeFileSync(file, whole.replaceAll('__toESM(require_pkcs11js(), 1)', '{ default: require_pkcs11js() }'))
}

/**
 * pkcs11js requires its addon by a path inside its own folder. Here it becomes: the file that this package
 * carries for the platform, else the one of a pkcs11js that is installed in it or beside it. The paths are written
 * out, because Node's own search goes on to NODE_PATH, to the home, and to folders above that may be a stranger's.
 * @returns {esbuild.Plugin}
 */
function addonBesideTheFile() {
  const contents = `
    const { basename, dirname, join } = require('node:path')
    const files = [
      join(__dirname, 'pkcs11-' + process.platform + '-' + process.arch + '.node'),
      join(__dirname, '../node_modules', '${addon}'),
    ]
    for (let folder = __dirname; folder !== dirname(folder); folder = dirname(folder)) {
      if (basename(folder) === 'node_modules') files.push(join(folder, '${addon}'))
    }
    const failures = []
    for (const file of files) {
      try {
        module.exports = require(file)
        break
      } catch (cause) {
        failures.push(cause)
      }
    }
    if (failures.length === files.length) {
      const error = new AggregateError(failures, 'no PKCS#11 addon for ' + process.platform + '-' + process.arch)
      error.code = 'PKCS11_ADDON_MISSING'
      throw error
    }`
  return {
    name: 'addon-beside-the-file',
    setup(build) {
      build.onResolve({ filter: /build\/Release\/pkcs11\.node$/ }, ({ path }) => ({
        path,
        namespace: 'addon',
      }))
      build.onLoad({ filter: /.*/, namespace: 'addon' }, () => ({ contents, resolveDir: root }))
    },
  }
}

/**
 * Makes an ES module of reflect-metadata, which @peculiar/x509 needs before its own first line: CommonJS inside a chunk
 * runs when something asks for it, after all ES modules of that chunk.
 * @returns {esbuild.Plugin}
 */
function reflectFirst() {
  const namespace = 'es-module'
  return {
    name: 'reflect-first',
    setup(build) {
      build.onResolve({ filter: /^reflect-metadata$/ }, ({ path, namespace: importer }) =>
        importer === namespace ? undefined : { path, namespace },
      )
      build.onLoad({ filter: /.*/, namespace }, ({ path }) => ({
        contents: `import '${path}'`,
        resolveDir: root,
      }))
    },
  }
}

/**
 * The package has no dependencies: nothing but Node's own modules may be left to import.
 * @param {[string, esbuild.Metafile['outputs'][string]][]} outputs
 */
function refuseImports(outputs) {
  for (const [file, { imports }] of outputs) {
    for (const { path, external } of imports) {
      if (external && !builtinModules.includes(path.replace(/^node:/, '').split('/')[0])) {
        throw new Error(`${file} still imports ${path}`)
      }
    }
  }
}

/** SOURCE_DATE_EPOCH, else the last commit's date, else now. @see https://reproducible-builds.org/specs/source-date-epoch/ */
function buildDate() {
  const epoch = process.env.SOURCE_DATE_EPOCH
  if (epoch) return new Date(Number(epoch) * 1000)
  try {
    const seconds = execFileSync('git', ['log', '-1', '--format=%ct'], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    return new Date(Number(seconds) * 1000)
  } catch {
    return new Date()
  }
}

/**
 * Declarations of the library, without those that it does not reach; none may name a package, since a
 * user of the library installs none.
 * @param {string} outdir
 */
function writeTypes(outdir) {
  const types = join(outdir, 'types')
  const config = join(outdir, 'tsconfig.json')
  writeFileSync(
    config,
    JSON.stringify({
      extends: join(root, 'tsconfig.json'),
      compilerOptions: {
        noEmit: false,
        declaration: true,
        emitDeclarationOnly: true,
        noCheck: true, // npm run check does it
        rootDir: source,
        outDir: types,
        typeRoots: [join(root, 'node_modules/@types')],
      },
      include: [],
      files: [join(source, 'index.ts')],
    }),
  )
  execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', config], {
    stdio: 'inherit',
  })
  rmSync(config)

  const reached = new Set([join(types, 'index.d.ts')])
  for (const file of reached) {
    const text = readFileSync(file, 'utf8').replaceAll(/\/\*.*?\*\//gs, '')
    for (const [, name] of text.matchAll(/(?:from|import)\s*\(?\s*['"]([^'"]+)['"]/g)) {
      if (name.startsWith('.')) reached.add(join(dirname(file), name.replace(/\.js$/, '.d.ts')))
      else throw new Error(`${relative(outdir, file)} leaks the types of ${name}`)
    }
  }
  for (const entry of readdirSync(types, { recursive: true, withFileTypes: true })) {
    const file = join(entry.parentPath, entry.name)
    if (entry.isFile() && !reached.has(file)) rmSync(file)
  }
}

/**
 * Name, version and licence text of each package that the outputs contain.
 * @param {string} outdir
 * @param {[string, esbuild.Metafile['outputs'][string]][]} outputs
 */
function writeLicences(outdir, outputs) {
  const folders = new Set()
  for (const [, { inputs }] of outputs) {
    for (const input of Object.keys(inputs)) {
      const [folder] = input.match(/^.*node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/) ?? []
      if (folder) folders.add(folder)
    }
  }
  /** @type {Map<string, string[]>} packages by the text of their licence, many have the same */
  const packages = new Map()
  for (const folder of [...folders].sort()) {
    const { name, version, license } = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'))
    const text = readdirSync(join(root, folder))
      .filter((file) => /^(licen[cs]e|notice|copying)/i.test(file))
      .sort()
      .map((file) => readFileSync(join(root, folder, file), 'utf8').trim())
      .join('\n\n')
    packages.set(text, [...(packages.get(text) ?? []), `${name} ${version} (${license})`])
  }
  const sections = [...packages].map(([text, names]) => `${names.join('\n')}\n\n${text}`)
  const opening = 'Holdfast carries these packages, or parts of them, inside its own files.'
  writeFileSync(
    join(outdir, 'THIRD-PARTY-LICENSES.txt'),
    `${[opening, ...sections].join(`\n\n${'-'.repeat(80)}\n\n`)}\n`,
  )
}
