/**
 * What every test token can do, whatever its module: keys are made in it, and certificates put into it,
 * with OpenSC's pkcs11-tool, so that tests read what others wrote.
 */

import { createPublicKey, randomUUID } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { KeyAlgorithm } from './certificates.js'
import { run } from './command.js'

/** A token that tests may fill and read; `dispose` removes it. */
export interface TestToken {
  readonly label: string
  readonly pin: string
  readonly soPin: string
  /** Path of the PKCS#11 module. */
  readonly modulePath: string
  /** Environment that makes the module find the token. */
  readonly env: Readonly<Record<string, string>>
  /** A 0600 file with the PIN and a line end. */
  readonly pinFile: string
  /** A folder that goes away with the token. */
  readonly directory: string
  /** Runs pkcs11-tool on this token, logged in; gives its stdout. */
  pkcs11Tool(...args: string[]): Promise<string>
  /** What pkcs11-tool prints about one object. Throws if there is none, or more. */
  showObject(type: 'privkey' | 'pubkey' | 'cert', id: string): Promise<string>
  /** Makes a key pair in the token: sensitive, not extractable, sign-only. Gives its DER SubjectPublicKeyInfo. */
  generateKey(algorithm: KeyAlgorithm, options?: KeyOptions): Promise<Uint8Array>
  /** Puts a DER certificate into the token. */
  importCertificate(certificate: Uint8Array, options?: ObjectOptions): Promise<void>
  dispose(): Promise<void>
}

/** Where an object lies in the token. */
export interface ObjectOptions {
  /** CKA_ID in hexadecimal; `01` if not given. */
  id?: string
  /** CKA_LABEL; `edge` if not given. */
  label?: string
}

/** Where a key lies, and what it asks for. */
export interface KeyOptions extends ObjectOptions {
  /** Sets CKA_ALWAYS_AUTHENTICATE: each signature wants the PIN. */
  alwaysAuthenticate?: boolean
}

/** How to make a token. */
export interface TokenOptions {
  label?: string
  pin?: string
  soPin?: string
}

/** A token's own facts, how pkcs11-tool is pointed at it, and how it goes away. */
export interface TokenFacts
  extends Omit<TestToken, 'pkcs11Tool' | 'showObject' | 'generateKey' | 'importCertificate'> {
  /** Arguments that make pkcs11-tool choose the token. */
  readonly select: readonly string[]
}

const KEY_TYPES = {
  'RSA-2048': 'rsa:2048',
  'P-256': 'EC:secp256r1',
  'P-384': 'EC:secp384r1',
  'P-521': 'EC:secp521r1',
} satisfies Record<KeyAlgorithm, string>

/** Adds what pkcs11-tool can do to a token's own facts. */
export function createTestToken({ select, ...token }: TokenFacts): TestToken {
  const { modulePath, pin, directory, env } = token
  const pkcs11Tool = (...args: string[]) =>
    run('pkcs11-tool', ['--module', modulePath, ...select, '--login', '--pin', pin, ...args], env)
  const showObject: TestToken['showObject'] = async (type, id) => {
    const objects = (await pkcs11Tool('--list-objects', '--type', type)).split(/^(?=\S)/m)
    const found = objects.filter((object) => object.includes(` ${id}\n`))
    if (found.length !== 1) throw new Error(`${found.length} objects have id ${id}`)
    return found[0]!
  }
  return {
    ...token,
    pkcs11Tool,
    showObject,
    generateKey: async (algorithm, { id = '01', label = 'edge', alwaysAuthenticate = false } = {}) => {
      const attributes = ['--usage-sign', '--sensitive', ...(alwaysAuthenticate ? ['--always-auth'] : [])]
      const kind = ['--key-type', KEY_TYPES[algorithm]]
      await pkcs11Tool('--keypairgen', ...kind, '--id', id, '--label', label, ...attributes)
      if (algorithm !== 'RSA-2048') return ecPublicKey(algorithm, await showObject('pubkey', id))
      const file = join(directory, `${randomUUID()}.der`)
      await pkcs11Tool('--read-object', '--type', 'pubkey', '--id', id, '--output-file', file)
      return readFile(file)
    },
    importCertificate: async (certificate, { id = '01', label = 'edge' } = {}) => {
      const file = join(directory, `${randomUUID()}.der`)
      await writeFile(file, certificate)
      await pkcs11Tool('--write-object', file, '--type', 'cert', '--id', id, '--label', label)
    },
  }
}

/** DER SubjectPublicKeyInfo of the point that pkcs11-tool prints: 0.23 cannot write that of P-384 itself. */
function ecPublicKey(crv: string, shown: string): Uint8Array {
  const octets = Buffer.from(shown.match(/EC_POINT:\s+([0-9a-f]+)/)?.[1] ?? '', 'hex')
  const size = Math.ceil(Number(crv.slice(2)) / 8)
  const [x, y] = [octets.subarray(-2 * size, -size), octets.subarray(-size)].map((n) =>
    n.toString('base64url'),
  )
  const key = { kty: 'EC', crv, x: x!, y: y! }
  return createPublicKey({ key, format: 'jwk' }).export({ type: 'spki', format: 'der' })
}
