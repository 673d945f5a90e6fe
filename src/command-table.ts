/**
 * Which commands there are. A command's code, and what it imports, is loaded only when that command runs.
 */

import type { Argv } from 'yargs'
import type { Context } from './commands/context.js'
import * as credentialProcess from './commands/credential-process.js'

/** What a command module exports: its flags, and what it does. */
interface Command {
  readonly builder: (yargs: Argv) => Argv
  readonly run: (argv: never, context: Context) => Promise<void>
}

/** One command: how it is called, what it is for, and where its code is. */
export interface CommandEntry {
  readonly command: string
  readonly describe: string
  readonly load: () => Promise<Command>
}

/** Commands that stand alone. */
export const COMMANDS: readonly CommandEntry[] = [
  {
    command: 'credential-process [name]',
    describe: 'Print credentials as AWS SDKs read them from a credential_process',
    load: async () => credentialProcess,
  },
  {
    command: 'configure <name>',
    describe: 'Write a profile with credential_process to the AWS config file',
    load: () => import('./commands/configure.js'),
  },
  {
    command: 'serve [names..]',
    describe: 'Run the agent: keep credentials fresh and hand them out on a socket',
    load: () => import('./commands/serve.js'),
  },
  {
    command: 'status',
    describe: 'Show how the agent is doing',
    load: () => import('./commands/status.js'),
  },
  {
    command: 'unlock <name>',
    describe: 'Give the agent a PIN that is typed',
    load: () => import('./commands/unlock.js'),
  },
  {
    command: 'lock <name>',
    describe: 'Have the agent forget a PIN',
    load: () => import('./commands/lock.js'),
  },
  {
    command: 'update [name]',
    describe: 'Keep credentials in a profile of the shared credentials file',
    load: () => import('./commands/update.js'),
  },
  {
    command: 'enroll <name>',
    describe: 'Get a key, its certificate and an identity that works, or renew them',
    load: () => import('./commands/enroll.js'),
  },
  {
    command: 'doctor [name]',
    describe: 'Say why credentials do not come, and what to do about it',
    load: () => import('./commands/doctor.js'),
  },
  {
    command: 'csr',
    describe: 'Make a certificate signing request for a key in a token',
    load: () => import('./commands/csr.js'),
  },
  {
    command: 'emulator',
    describe: 'Run a strict local stand-in for IAM Roles Anywhere',
    load: () => import('./commands/emulator.js'),
  },
  {
    command: 'completion [shell]',
    describe: 'Print a completion script for bash or zsh',
    load: () => import('./commands/completion.js'),
  },
  {
    command: 'version',
    describe: 'Print the version',
    load: () => import('./commands/version.js'),
  },
]

const TOKEN_COMMANDS: readonly CommandEntry[] = [
  {
    command: 'list',
    describe: 'List tokens, how their PINs are doing, and what they can do',
    load: () => import('./commands/token-list.js'),
  },
  {
    command: 'init',
    describe: 'Initialise an empty token and set its PINs',
    load: () => import('./commands/token-init.js'),
  },
  {
    command: 'set-pin',
    describe: 'Change the user PIN',
    load: () => import('./commands/token-set-pin.js'),
  },
  {
    command: 'unblock',
    describe: 'Set the user PIN as security officer, also a locked one',
    load: () => import('./commands/token-unblock.js'),
  },
  {
    command: 'retry-pin [label]',
    describe: 'Allow a PIN that a token refused to be tried again',
    load: () => import('./commands/token-retry-pin.js'),
  },
]

const KEY_COMMANDS: readonly CommandEntry[] = [
  {
    command: 'generate',
    describe: 'Make a key in a token',
    load: () => import('./commands/key-generate.js'),
  },
  {
    command: 'list',
    describe: 'List the keys in a token',
    load: () => import('./commands/key-list.js'),
  },
  {
    command: 'delete',
    describe: 'Remove a key from a token, for ever',
    load: () => import('./commands/key-delete.js'),
  },
]

const CERT_COMMANDS: readonly CommandEntry[] = [
  {
    command: 'import [file]',
    describe: 'Put a certificate beside its key in a token',
    load: () => import('./commands/cert-import.js'),
  },
  {
    command: 'list',
    describe: 'List the certificates in a token',
    load: () => import('./commands/cert-list.js'),
  },
  {
    command: 'show [file]',
    describe: 'Show what a certificate is, and what Roles Anywhere would say of it',
    load: () => import('./commands/cert-show.js'),
  },
  {
    command: 'delete',
    describe: 'Remove a certificate from a token',
    load: () => import('./commands/cert-delete.js'),
  },
]

const CONSUMER_COMMANDS: readonly CommandEntry[] = [
  {
    command: 'add <identity> <consumer>',
    describe: 'Let a program use an identity through the container endpoint',
    load: () => import('./commands/consumer-add.js'),
  },
  {
    command: 'list [identity]',
    describe: 'List the programs that may',
    load: () => import('./commands/consumer-list.js'),
  },
  {
    command: 'remove <identity> <consumer>',
    describe: 'Take a program its token away',
    load: () => import('./commands/consumer-remove.js'),
  },
]

const CA_COMMANDS: readonly CommandEntry[] = [
  {
    command: 'init',
    describe: 'Make a CA',
    load: () => import('./commands/ca-init.js'),
  },
  {
    command: 'sign [csr]',
    describe: 'Issue a certificate for a signing request',
    load: () => import('./commands/ca-sign.js'),
  },
  {
    command: 'list',
    describe: 'List the certificates that were issued',
    load: () => import('./commands/ca-list.js'),
  },
  {
    command: 'revoke <certificate>',
    describe: 'Revoke a certificate',
    load: () => import('./commands/ca-revoke.js'),
  },
  {
    command: 'crl',
    describe: 'Sign the list of revoked certificates',
    load: () => import('./commands/ca-crl.js'),
  },
]

/** A word that stands before others of a kind. */
export interface CommandGroup {
  readonly name: string
  readonly describe: string
  readonly commands: readonly CommandEntry[]
  readonly example: readonly [command: string, what: string]
}

/** Commands that stand behind a word of their own. */
export const GROUPS: readonly CommandGroup[] = [
  {
    name: 'token',
    describe: 'Work on a token',
    commands: TOKEN_COMMANDS,
    example: ['holdfast token list --module ykcs11', 'what is plugged in'],
  },
  {
    name: 'key',
    describe: 'Make, list and remove keys in a token',
    commands: KEY_COMMANDS,
    example: ['holdfast key list --token edge', 'the keys of the token "edge"'],
  },
  {
    name: 'cert',
    describe: 'Import, list, show and remove certificates in a token',
    commands: CERT_COMMANDS,
    example: ['holdfast cert show edge.pem', 'whether Roles Anywhere would take it'],
  },
  {
    name: 'consumer',
    describe: 'Say which programs may use the container endpoint',
    commands: CONSUMER_COMMANDS,
    example: ['holdfast consumer list', 'who may use which identity'],
  },
  {
    name: 'ca',
    describe: 'Keep a small CA of your own',
    commands: CA_COMMANDS,
    example: ['holdfast ca list', 'the certificates that the CA has issued'],
  },
]
