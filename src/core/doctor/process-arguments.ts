/**
 * What the words of a `credential_process` mean to this program, read without its command line parser, which a diagnosis
 * could not stand on. It knows each flag, whether it has a value, and what an identity is made of; values are judged by
 * whoever uses them.
 */

import { SETTINGS, type ServedIdentity } from '../config/config.js'
import { HoldfastError } from '../errors.js'

/** What stands behind the program. */
export interface ProcessArguments {
  readonly name: string | undefined
  /** The fields of an identity that flags say. */
  readonly flags: ServedIdentity
  readonly config: string | undefined
  /** False goes without the agent. */
  readonly agent: boolean
  readonly agentDir: string | undefined
}

/** Only the agent has a use for these, so they are no flags. */
const NO_FLAGS = ['on-demand', 'socket-group', 'agent-user']

const BOOLEANS = ['agent', 'verify-ssl', 'debug', 'reuse-pin', 'with-proxy']

/** All flags of the command: true for those that have a value. */
export const PROCESS_FLAGS: ReadonlyMap<string, boolean> = new Map([
  ...SETTINGS.filter(({ key }) => !NO_FLAGS.includes(key)).map(
    ({ key, kind }) => [key, kind !== 'boolean'] as const,
  ),
  ...['pkcs11-lib', 'module', 'config', 'agent-dir'].map((flag) => [flag, true] as const),
  ...BOOLEANS.map((flag) => [flag, false] as const),
])

/**
 * The words that stand behind this program, whatever it is called; undefined if another one is run, which may run it.
 * @param programPath the file of this program
 */
export function findArguments(words: readonly string[], programPath: string): readonly string[] | undefined {
  const [first = '', second] = words
  if (first === programPath || /(?:^|\/)holdfast$/.test(first)) return words.slice(1)
  return second === programPath ? words.slice(2) : undefined
}

/**
 * Reads the words behind the program. No message repeats a value.
 * @throws HoldfastError USAGE
 */
export function parseProcessArguments([command = '', ...args]: readonly string[]): ProcessArguments {
  if (command !== 'credential-process') {
    throw usage(`${JSON.stringify(command)} does not print credentials: the command is credential-process`)
  }
  const values = new Map<string, string | boolean>()
  const set = (name: string, value: string | boolean) => {
    if (values.has(name)) throw usage(name === '' ? 'two names are given' : `--${name} is given twice`)
    values.set(name, value)
  }
  for (let index = 0; index < args.length; index++) {
    const arg = args[index]!
    const [, written, inline] = /^--([^=]+)(?:=(.*))?$/s.exec(arg) ?? []
    if (written === undefined) {
      if (arg.startsWith('-')) throw usage('a flag has one dash where it should have two')
      set('', arg)
      continue
    }
    const { flag, isOff } = readFlag(written)
    const hasValue = PROCESS_FLAGS.get(flag)
    if (hasValue === undefined) throw usage(`there is no flag --${written}`)
    if (hasValue) {
      const value = inline ?? args[++index]
      if (isOff || !value || (inline === undefined && value.startsWith('-'))) {
        throw usage(`--${written} has no value`)
      }
      set(flag, value)
    } else {
      set(flag, isOff ? false : inline !== 'false')
    }
  }
  return toArguments(values)
}

/** yargs takes flags in camel case as well, and `no-` before those that are true or false. */
function readFlag(written: string): { readonly flag: string; readonly isOff: boolean } {
  const flag = written.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
  return flag.startsWith('no-') ? { flag: flag.slice(3), isOff: true } : { flag, isOff: false }
}

function toArguments(values: ReadonlyMap<string, string | boolean>): ProcessArguments {
  const fields = SETTINGS.flatMap(({ key, field, kind }) => {
    const value = values.get(key)
    if (value === undefined) return []
    return [[field, kind === 'seconds' ? Number(value) : value] as const]
  })
  const text = (name: string) => values.get(name) as string | undefined
  return {
    name: text(''),
    flags: Object.fromEntries(fields),
    config: text('config'),
    agent: values.get('agent') !== false,
    agentDir: text('agent-dir'),
  }
}

function usage(message: string): HoldfastError {
  return new HoldfastError('USAGE', message)
}
