/**
 * Reads a command line on which nothing is unusual. yargs, which knows all forms that a flag may have and says what is
 * wrong with the others, takes longer to load than a token takes to sign.
 */

import { FLAGS, type IdentityArguments, toCamelCase } from './options.js'

interface Kind {
  readonly type?: string
  readonly choices?: readonly string[]
}

const KINDS: ReadonlyMap<string, Kind> = new Map<string, Kind>([
  ...Object.entries(FLAGS),
  ['config', { type: 'string' }],
  ['debug', { type: 'boolean' }],
  ['agent-dir', { type: 'string' }],
])
const ALIASES: ReadonlyMap<string, string> = new Map([
  ['pkcs11-lib', 'pkcs11-module'],
  ['module', 'pkcs11-module'],
])

/**
 * What yargs would make of a command line that consists of flags of an identity, each once and written out, and at
 * most one name. Undefined for any other, also for a wrong one: that is for yargs.
 */
export function findPlainArguments(args: readonly string[]): IdentityArguments | undefined {
  const values = new Map<string, unknown>()
  for (let index = 0; index < args.length; index++) {
    const [, flag, inline] = /^--([a-z\d-]+)(?:=(.*))?$/s.exec(args[index]!) ?? []
    const name = flag === undefined ? 'name' : (ALIASES.get(flag) ?? flag)
    const kind = flag === undefined ? {} : KINDS.get(name)
    if (kind === undefined || values.has(name)) return undefined
    const isSwitch = kind.type === 'boolean' && inline === undefined
    const text = inline ?? (flag === undefined || isSwitch ? args[index] : args[++index])
    const value = isSwitch ? true : parseValue(kind, text)
    if (value === undefined) return undefined
    values.set(name, value)
  }
  const fields = [...values].map(([name, value]) => [toCamelCase(name), value])
  return { verifySsl: true, debug: false, agent: true, ...Object.fromEntries(fields) }
}

function parseValue({ type, choices }: Kind, text = ''): unknown {
  if (type === 'boolean' || choices?.includes(text) === false) return undefined
  if (type === 'number') return /^[1-9]\d{0,8}$/.test(text) ? Number(text) : undefined
  // yargs takes quotation marks away, and the last two, after a flag without a value, for one.
  return /^["'-]|^$|^(?:true|false)$/.test(text) ? undefined : text
}
