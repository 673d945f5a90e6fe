/**
 * The main command as a user runs it: the built program, real tokens, the emulator as judge, and OpenSC's
 * pkcs11-spy counting what the module is asked.
 */

import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { certificatePem, createAuthority, createFileKey, type KeyAlgorithm } from '../support/certificates.js'
import { createEdge, type Edge, type EdgeOptions } from '../support/edge.js'
import { assertCredentials, assertFailure } from '../support/outcome.js'
import { runHoldfast } from '../support/program.js'
import { createSoftHsmToken } from '../support/softhsm.js'
import { createSpy, type Spy } from '../support/spy.js'
import { createTpmToken } from '../support/swtpm.js'

async function withEdge(options: EdgeOptions, use: (edge: Edge) => Promise<void>): Promise<void> {
  const edge = await createEdge(options)
  try {
    await use(edge)
  } finally {
    await edge.dispose()
  }
}

/** The edge's flags, without some and with others. */
function flags(edge: Edge, without: readonly string[], ...more: string[]): string[] {
  const kept: string[] = []
  for (let index = 0; index < edge.args.length; index += 2) {
    if (!without.includes(edge.args[index]!)) kept.push(edge.args[index]!, edge.args[index + 1]!)
  }
  return ['credential-process', ...kept, ...more]
}

/** Waits until the child has finalized the module: it ends after the program. */
async function finalCalls(spy: Spy): Promise<Record<string, number>> {
  for (;;) {
    const counts = await spy.counts()
    if (counts.C_Finalize) return counts
    await new Promise(setImmediate)
  }
}

const ONE_OF_EACH = { C_Initialize: 1, C_Login: 1, C_SignInit: 1, C_Sign: 1, C_Finalize: 1 }

async function assertCounts(edge: Edge, expected: Record<string, number | undefined>): Promise<void> {
  const spy = createSpy(edge.token)
  const args = flags(edge, ['--pkcs11-module'], '--pkcs11-module', spy.modulePath)
  assertCredentials(await runHoldfast(args, { env: { ...edge.env, ...spy.env } }))
  const counts = await finalCalls(spy)
  const relevant = Object.fromEntries(Object.keys(expected).map((name) => [name, counts[name]]))
  assert.deepEqual(relevant, expected)
  assert.equal(edge.emulator.journal.length, 1)
  assert.equal(edge.emulator.connections, 1)
}

describe('holdfast credential-process', () => {
  describe('with a key in SoftHSM', () => {
    for (const algorithm of ['P-256', 'P-384', 'P-521', 'RSA-2048'] satisfies KeyAlgorithm[]) {
      it(`prints credentials for a ${algorithm} key`, () =>
        withEdge({ algorithm }, async (edge) => {
          assertCredentials(await runHoldfast(flags(edge, []), { env: edge.env }))
        }))
    }

    it('costs one of each: initialization, login, signature, connection, request', () =>
      withEdge({}, (edge) => assertCounts(edge, ONE_OF_EACH)))

    it('logs in a second time only for a key that always wants the PIN', () =>
      withEdge({ key: { alwaysAuthenticate: true } }, (edge) =>
        assertCounts(edge, { ...ONE_OF_EACH, C_Login: 2 }),
      ))

    it('says in one line when the certificate ends soon', () => {
      const [day, now] = [86_400_000, Date.now()]
      const certificate = { notBefore: new Date(now - 90 * day), notAfter: new Date(now + 10.5 * day) }
      return withEdge({ certificate }, async (edge) => {
        const warning =
          /^holdfast: warning: the certificate with serial [\da-f]+ expires in 10 days, at \S+Z: renew it, .* enroll NAME --renew\n$/
        assertCredentials(await runHoldfast(flags(edge, []), { env: edge.env }), warning)
      })
    })

    it('takes the certificate from a file with the whole chain', () =>
      withEdge({}, async (edge) => {
        const file = join(edge.token.directory, 'chain.pem')
        const intermediate = await edge.authority.intermediate('Issuing')
        const key = await edge.token.generateKey('P-256', { id: '07', label: 'second' })
        const leaf = await intermediate.issue(key)
        await writeFile(file, certificatePem(leaf, intermediate.certificate, edge.authority.certificate))
        const uri = edge.uri.replace('id=%01', 'id=%07')
        const result = await runHoldfast(
          flags(edge, ['--pkcs11-uri'], '--certificate', file, '--private-key', uri),
          { env: edge.env },
        )
        assertCredentials(result)
      }))

    it('finds the chain beside the certificate in the token', () =>
      withEdge({}, async (edge) => {
        const intermediate = await edge.authority.intermediate('Issuing')
        const key = await edge.token.generateKey('P-256', { id: '07', label: 'second' })
        await edge.token.importCertificate(await intermediate.issue(key), { id: '07', label: 'second' })
        const args = flags(edge, ['--pkcs11-uri'], '--pkcs11-uri', edge.uri.replace('id=%01', 'id=%07'))
        assertFailure(await runHoldfast(args, { env: edge.env }), 'REFUSED_UNTRUSTED_CERTIFICATE', 5)
        await edge.token.importCertificate(intermediate.certificate, { id: '70', label: 'issuing' })
        assertCredentials(await runHoldfast(args, { env: edge.env }))
      }))

    it('says what there is instead of the certificate or the key that the URI names', () =>
      withEdge({}, async (edge) => {
        const named = async (id: string, ...more: string[]) => {
          const uri = edge.uri.replace('id=%01', id)
          return runHoldfast(flags(edge, ['--pkcs11-uri'], '--private-key', uri, ...more), { env: edge.env })
        }
        const there = /pkcs11:.*token=edge;id=%01;object=edge;type=/.source
        const certificate = new RegExp(
          `; an id in hexadecimal is written as id=%01, .*Certificates there: ${there}cert`,
        )
        assertFailure(
          await named('id=01', '--certificate', edge.uri.replace('id=%01', 'id=01')),
          'CERTIFICATE_NOT_FOUND',
          4,
          certificate,
        )
        const key = new RegExp(`; an id in hexadecimal is written as id=%01\\. Keys there: ${there}private`)
        assertFailure(await named('id=01', '--certificate', edge.uri), 'KEY_NOT_FOUND', 4, key)
        const slot =
          /correct its label, or slot-id, .*Tokens present: token "edge" \(slot-id \d+, manufacturer/
        assertFailure(await named('slot-id=77'), 'TOKEN_NOT_FOUND', 3, slot)
      }))

    it('refuses to choose between two certificates, and lists their URIs', () =>
      withEdge({}, async (edge) => {
        const key = await edge.token.generateKey('P-256', { id: '02', label: 'other' })
        await edge.token.importCertificate(await edge.authority.issue(key), { id: '02', label: 'other' })
        const args = flags(edge, ['--pkcs11-uri'], '--pkcs11-uri', edge.uri.replace('id=%01', ''))
        const unclear = args.map((arg) => arg.replace(';?', '?'))
        const result = await runHoldfast(unclear, { env: edge.env })
        assertFailure(result, 'CERTIFICATE_AMBIGUOUS', 4)
        assert.match(result.stderr, /id=%01;object=edge/)
        assert.match(result.stderr, /id=%02;object=other/)
      }))

    it('refuses to choose between two tokens of one label, and takes the serial', async () =>
      withEdge({ token: await createSoftHsmToken() }, async (edge) => {
        const twin = await createSoftHsmToken({ beside: edge.token })
        const key = await twin.generateKey('P-256')
        await twin.importCertificate(await edge.authority.issue(key))
        const result = await runHoldfast(flags(edge, []), { env: edge.env })
        assertFailure(result, 'CERTIFICATE_AMBIGUOUS', 4)
        const serial = /serial=([0-9a-f]+)/.exec(result.stderr)![1]
        const exact = edge.uri.replace('pkcs11:', `pkcs11:serial=${serial};`)
        const args = flags(edge, ['--pkcs11-uri'], '--pkcs11-uri', exact)
        assertCredentials(await runHoldfast(args, { env: edge.env }))
      }))

    it('refuses a certificate of another key, and sends nothing', () =>
      withEdge({}, async (edge) => {
        const file = join(edge.token.directory, 'other.pem')
        const { publicKey } = await createFileKey('P-256')
        await writeFile(file, certificatePem(await edge.authority.issue(publicKey)))
        const result = await runHoldfast(flags(edge, [], '--certificate', file), { env: edge.env })
        assertFailure(result, 'KEY_MISMATCH', 4)
        assert.equal(edge.emulator.journal.length, 0)
      }))
  })

  describe('with a module that is not named by a flag', () => {
    let edge: Edge
    before(async () => {
      edge = await createEdge({ token: await createSoftHsmToken() })
    })
    after(() => edge.dispose())
    const withUri = (addition: string, ...more: string[]) =>
      runHoldfast(
        flags(edge, ['--pkcs11-module', '--pkcs11-uri'], '--pkcs11-uri', edge.uri + addition, ...more),
        {
          env: edge.env,
        },
      )

    it('finds the token through p11-kit’s proxy', async () => {
      assertCredentials(await withUri(''))
    })

    it('lets the URI choose the module only by leave', async () => {
      for (const addition of ['&module-name=softhsm2', `&module-path=${edge.token.modulePath}`]) {
        assertFailure(await withUri(addition), 'USAGE', 2)
        assertCredentials(await withUri(addition, '--allow-uri-module'))
      }
    })

    it('looks for module-name in the folder that module-path names', async () => {
      const folder = dirname(edge.token.modulePath)
      assertCredentials(await withUri(`&module-path=${folder}&module-name=softhsm2`, '--allow-uri-module'))
      const wrong = await withUri('&module-path=/etc&module-name=softhsm2', '--allow-uri-module')
      assertFailure(wrong, 'MODULE_NOT_FOUND', 3)
    })
  })

  describe('with a key in a TPM', () => {
    for (const algorithm of ['P-256', 'RSA-2048'] satisfies KeyAlgorithm[]) {
      it(`costs one of each for a ${algorithm} key`, async () => {
        const token = await createTpmToken()
        await withEdge({ token, algorithm }, (edge) => assertCounts(edge, ONE_OF_EACH))
      }).timeout(60_000)
    }
  })

  describe('with a key in a file', () => {
    it('loads no PKCS#11 module and prints credentials', () =>
      withEdge({ tls: false }, async (edge) => {
        const key = await createFileKey('RSA-2048')
        const [certificate, privateKey] = [
          join(edge.token.directory, 'c.pem'),
          join(edge.token.directory, 'k.pem'),
        ]
        await writeFile(certificate, certificatePem(await edge.authority.issue(key.publicKey)))
        await writeFile(privateKey, key.privateKeyPem, { mode: 0o600 })
        const args = flags(
          edge,
          ['--pkcs11-uri', '--pkcs11-module'],
          ...['--certificate', certificate, '--private-key', privateKey],
        )
        // A module that does not exist would be noticed.
        assertCredentials(
          await runHoldfast([...args, '--pkcs11-module', '/nonexistent.so'], { env: edge.env }),
        )
      }))
  })

  it('asks for the session that the flags describe', () =>
    withEdge({}, async (edge) => {
      const short = await runHoldfast(flags(edge, [], '--session-duration', '900'), { env: edge.env })
      const life = Date.parse(JSON.parse(short.stdout).Expiration) - Date.now()
      assert.ok(life > 800_000 && life <= 900_000, `${life} ms`)
      const named = await runHoldfast(flags(edge, [], '--role-session-name', 'line-4'), { env: edge.env })
      assertFailure(named, 'REFUSED_SESSION_NAME', 5)
    }))

  it('says in AWS’s own words, with the request id, why a certificate is not trusted', () =>
    withEdge({}, async (edge) => {
      const stranger = await createAuthority('Stranger')
      const file = join(edge.token.directory, 'stranger.pem')
      const key = await edge.token.generateKey('P-256', { id: '09', label: 'ninth' })
      await writeFile(file, certificatePem(await stranger.issue(key)))
      const uri = edge.uri.replace('id=%01', 'id=%09')
      const args = flags(edge, ['--pkcs11-uri'], '--certificate', file, '--pkcs11-uri', uri)
      const result = await runHoldfast(args, { env: edge.env })
      assertFailure(result, 'REFUSED_UNTRUSTED_CERTIFICATE', 5)
      assert.match(result.stderr, /Untrusted signing certificate/i)
      assert.ok(result.stderr.includes(edge.emulator.journal.at(-1)!.requestId))
    }))
})
