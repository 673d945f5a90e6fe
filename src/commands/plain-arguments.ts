/**
 * Reads a command line on which nothing is unusual with what Node brings. yargs, which knows all forms that a flag may
 * have and says what is wrong with the others, takes longer to load than a token takes to sign.
 */

import { parseArgs } from 'node:util'
import { FLAGS, type IdentityArguments, toCamelCase } from './options.js'

const ALIASES: Readonly<Record<string, string>> = { 'pkcs11-lib': 'pkcs11-module' }

const options = Object.fromEntries([
  ...Object.entries(FLAGS).map(([name, flag]) => [
    name,
    { type: 'type' in flag && flag.type === 'boolean' ? 'boolean' : 'string' },
  ]),
  ...Object.keys(ALIASES).map((alias) => [alias, { type: 'string' }]),
  ['config', { type: 'string' }],
  ['debug', { type: 'boolean' }],
]) as Record<string, { type: 'boolean' | 'string' }>

/**
 * What yargs would make of a command line that consists of flags of an identity, each once and written out, and at
 * most one name. Undefined for any other, also for a wrong one: that is for yargs.
 */
export function findPlainArguments(args: readonly string[]): IdentityArguments | undefined {
  const plain: Record<string, unknown> = {}
  try {
    for (const token of parseArgs({ args: [...args], options, allowPositionals: true, tokens: true })
      .tokens) {
      if (token.kind === 'option-terminator') return undefined
      // After a flag without a value, yargs takes these for one.
      if (token.kind === 'positional' && (token.value === 'true' || token.value === 'false')) return undefined
      const name = token.kind === 'positional' ? 'name' : (ALIASES[token.name] ?? token.name)
      const value = parseValue(name, token.value)
      if (value === undefined || name in plain) return undefined
      plain[name] = value
    }
  } catch {
    return undefined
  }
  const fields = Object.entries(plain).map(([name, value]) => [toCamelCase(name), value])
  return { verifySsl: true, debug: false, ...Object.fromEntries(fields) }
}

function parseValue(name: string, text: string | undefined): unknown {
  if (text === undefined) return true
  const flag = FLAGS[name as keyof typeof FLAGS] ?? {}
  if ('choices' in flag && !flag.choices.includes(text as 'on' | 'off')) return undefined
  if ('type' in flag && flag.type === 'number') return /^[1-9]\d{0,8}$/.test(text) ? Number(text) : undefined
  // yargs takes quotation marks away.
  return /^["'-]|^$/.test(text) ? undefined : text
}
