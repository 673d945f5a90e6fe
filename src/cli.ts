/**
 * The command line: how it is read, and how an error becomes one line on stderr and an exit status. Which commands there are
 * is command-table.
 */

import type { Argv } from 'yargs'
import { COMMANDS, type CommandEntry, GROUPS } from './command-table.js'
import type { Context } from './commands/context.js'
import * as credentialProcess from './commands/credential-process.js'
import { toCamelCase } from './commands/options.js'
import { findPlainArguments } from './commands/plain-arguments.js'
import { findContinuedCommand, formatCommand } from './core/aws-files/aws-config.js'
import { HoldfastError } from './core/errors.js'
import { PIN_VALUE } from './core/printable.js'

const NO_STORE =
  'there is no access to the certificate stores of Windows and macOS: name key and certificate in a token with --pkcs11-uri, or a file with --certificate'
const NO_TPM_KEY =
  'a TPM is used through PKCS#11: name its key with --module tpm2 and --pkcs11-uri, and its PIN with --pin-file'

/** Flags and commands of aws_signing_helper that have no like here, and what to do instead. */
const FOREIGN: ReadonlyMap<string, string> = new Map([
  ['--cert-selector', NO_STORE],
  ['--system-store-name', NO_STORE],
  ['--use-latest-expiring-certificate', NO_STORE],
  ['--tpm-key-password', NO_TPM_KEY],
  [
    '--pkcs8-password',
    'encrypted key files are not read: put the key into a token, or decrypt it with openssl pkey',
  ],
  ['sign-string', 'there is no such command; holdfast doctor tries a key, with one session'],
  [
    'read-certificate-data',
    'there is no such command; holdfast cert show FILE tells more, and for a token holdfast cert list',
  ],
])

/**
 * Runs one command line (without node and script).
 * @returns the exit status; everything that went wrong has been said on stderr
 */
export async function runCli(given: readonly string[], outside: Context): Promise<number> {
  // As AWS's own helper takes it; yargs knows a flag that is denied only without a value.
  const args = given.map((arg) =>
    arg.replace(
      /^--no-([^=]+)=(true|false)$/,
      (_, name, value) => `--${value === 'true' ? 'no-' : ''}${name}`,
    ),
  )
  const context = { ...outside, stderr: withoutPins(args, outside.stderr) }
  try {
    await refuseContinuedCommand(args, context)
    await parse(args, context)
    return 0
  } catch (error) {
    // yargs hands some of its findings to fail below, and throws the others.
    const isFinding = error instanceof Error && error.name === 'YError'
    return report(isFinding ? toUsage(error.message, args) : error, context, args.includes('--debug'))
  }
}

/** Whoever quotes a URI of the command line in a message, yargs for one, does not say its PIN. */
function withoutPins(args: readonly string[], say: (line: string) => void): (line: string) => void {
  const pins = args.flatMap((arg) => arg.match(new RegExp(`${PIN_VALUE}[^&]*`, 'gi')) ?? [])
  if (pins.length === 0) return say
  // A message that quotes it in another form, escaped or folded, ends there.
  const quoted = new RegExp(`${PIN_VALUE}(?!…).*?( \\([A-Z_]+\\))?$`, 'is')
  return (line) =>
    say(
      pins.reduce((text, pin) => text.replaceAll(pin, 'pin-value=…'), line).replace(quoted, 'pin-value=…$1'),
    )
}

/** A command over several lines in an AWS config file arrives in pieces, which no parser could make sense of. */
async function refuseContinuedCommand(args: readonly string[], context: Context): Promise<void> {
  const { words, cut } = findContinuedCommand(args) ?? {}
  if (words === undefined || (words[0] ?? 'credential-process') !== 'credential-process') return
  const { findProgram } = await import('./commands/configure.js')
  const what = `AWS config files have no line continuation${cut ? ', and what follows the backslash is lost' : ''}`
  let command: string
  try {
    command = formatCommand([...(await findProgram(context)), ...words])
  } catch (cause) {
    throw new HoldfastError('USAGE', `${what}; and ${(cause as Error).message}`, { cause })
  }
  throw new HoldfastError(
    'USAGE',
    `${what}: write it on one line: credential_process = ${command}${cut ? ' …' : ''}`,
  )
}

/** What yargs found, in words that say what to do about it. */
function toUsage(finding: string, args: readonly string[]): HoldfastError {
  const lines = finding.split('\n').map((line) => line.trim())
  const text = lines.filter((line) => line !== '').join(' ')
  const [, unknown] = /^Unknown arguments?: (.*)$/.exec(text) ?? []
  const [, got] = /^Not enough non-option arguments: got (\d+)/.exec(text) ?? []
  const said =
    (unknown !== undefined && explainUnknown(unknown.split(', '))) ||
    (got !== undefined && explainMissing(args, Number(got))) ||
    text.replace(/^Did you mean /, 'there is no such command; did you mean ')
  return new HoldfastError('USAGE', said)
}

function explainUnknown(all: readonly string[]): string {
  for (const [word, instead] of FOREIGN) {
    if (all.includes(word.replace(/^--/, ''))) return `${word}: ${instead}`
  }
  // yargs gives each flag a second time, in camel case.
  const names = all.filter((name) => !all.some((other) => other !== name && toCamelCase(other) === name))
  return `Unknown argument${names.length > 1 ? 's' : ''}: ${names.join(', ')}`
}

/** @param got how many positionals there are */
function explainMissing(args: readonly string[], got: number): string | undefined {
  const group = GROUPS.find(({ name }) => name === args[0])
  const word = group === undefined ? args[0] : args[1]
  const entry = (group?.commands ?? COMMANDS).find(({ command }) => command.split(' ')[0] === word)
  const missing = entry?.command.match(/<\w+>/g)?.slice(got)
  if (missing === undefined) return undefined
  return `${missing.join(' ')} is missing: holdfast ${group === undefined ? '' : `${group.name} `}${entry!.command}`
}

/**
 * A line that begins with a command is read by that command's parser alone: for a command among others yargs
 * formats the whole help text before each run, which takes longer than a signature.
 */
async function parse(args: readonly string[], context: Context): Promise<void> {
  const plain = args[0] === 'credential-process' ? findPlainArguments(args.slice(1)) : undefined
  if (plain !== undefined) return credentialProcess.run(plain, context)
  const entry = COMMANDS.find(({ command }) => command.split(' ')[0] === args[0])
  if (entry === undefined) {
    const parser = await createParser(args, context)
    await parser.parseAsync([...args])
    return
  }
  const [name, ...positionals] = entry.command.split(' ')
  const parser = await createBareParser(args, context, `holdfast ${name}`)
  await addCommands(parser, [{ ...entry, command: ['$0', ...positionals].join(' ') }], context)
  await parser.parseAsync(args.slice(1))
}

async function createParser(args: readonly string[], context: Context): Promise<Argv> {
  const parser = (await createBareParser(args, context, 'holdfast'))
    .usage('$0 <command>\n\nShort-lived AWS credentials from a private key that stays in its token.')
    .recommendCommands()
    .demandCommand(1, 'name a command; holdfast --help lists them')
    .example('holdfast enroll --help', 'from an empty token to an identity')
    .example('holdfast credential-process edge', 'credentials of the configured identity "edge"')
    .example('holdfast doctor edge', 'why there are none')
  await addCommands(parser, COMMANDS, context)
  for (const { name, describe, commands, example } of GROUPS) {
    parser.command(name, describe, async (argv) => {
      await addCommands(argv, commands, context)
      return argv.demandCommand(1, `name a command; holdfast ${name} --help lists them`).example(...example)
    })
  }
  return parser
}

async function createBareParser(
  args: readonly string[],
  context: Context,
  scriptName: string,
): Promise<Argv> {
  const { default: yargs } = await import('yargs')
  return (
    yargs([])
      .scriptName(scriptName)
      // Otherwise LC_ALL chooses the texts, and may name a file that they are read from.
      .locale('en')
      .version(context.version)
      .alias({ h: 'help' })
      .strict()
      .parserConfiguration({ 'dot-notation': false })
      // The declared type is that of an older yargs: the second argument says of what kind the flags are.
      .check((argv, kinds) => verifyValues(argv, args, kinds as unknown as FlagKinds), true)
      .wrap(100)
      .exitProcess(false)
      .showHelpOnFail(false)
      .fail((message, error) => {
        throw error ?? toUsage(message, args)
      })
  )
}

async function addCommands(parser: Argv, entries: readonly CommandEntry[], context: Context): Promise<void> {
  for (const { command, describe, load } of entries) {
    // Loaded before it is known that it will run: completion knows only flags that are there at once.
    const { builder, run } = await load()
    parser.command({
      command,
      describe,
      builder,
      handler: (argv) => run(argv as never, context),
    })
  }
}

interface FlagKinds {
  /** Names of the flags that need no value. */
  readonly boolean: readonly string[]
  readonly number: readonly string[]
}

/** Refuses what yargs takes although nobody can tell what it means. */
function verifyValues(
  argv: object,
  args: readonly string[],
  { boolean: booleans, number: numbers }: FlagKinds,
): true {
  const verify = (isClear: boolean, what: string) => {
    if (!isClear) throw new HoldfastError('USAGE', what)
  }
  for (const [name, value] of Object.entries(argv)) {
    // yargs gives each flag a second time, in camel case.
    if (name === '_' || name !== name.toLowerCase()) continue
    const isFlag = args.some((arg) => arg.split('=')[0] === `--${name}`)
    verify(!Array.isArray(value) || !isFlag, `--${name} is given twice: give it once`)
    verify(value !== '', `${name} is empty: leave it out instead`)
    verify(value !== false || booleans.includes(name), `--no-${name} means nothing: --${name} has a value`)
  }
  args.forEach((arg, index) => {
    const [, name = '', value] = /^--([^=]+)(?:=(.*))?$/s.exec(arg) ?? []
    const isClear = !booleans.includes(name) || value === undefined || /^(?:true|false)$/.test(value)
    verify(isClear, `--${name} is true or false, or stands alone`)
    const isNumber = numbers.includes(name) && Number.isFinite(Number(value ?? args[index + 1]))
    verify(!isNumber || /^-?[\d.]+$/.test(value ?? args[index + 1]!), `--${name} is written in digits`)
  })
  return true
}

function report(error: unknown, context: Context, debug: boolean): number {
  if (error instanceof HoldfastError) {
    if (debug && error.cause !== undefined) context.stderr(`debug: caused by ${String(error.cause)}`)
    context.stderr(`${error.message} (${error.code})`)
    return error.exitStatus
  }
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
  context.stderr(`this is a bug in holdfast: ${text}${debug ? '' : '; --debug shows where'}`)
  if (debug && error instanceof Error) context.stderr(`debug: ${error.stack}`)
  return 1
}
