/**
 * Ways in which tokens differ and are still right: extra slots, padding, equal labels and ids, hidden certificates, odd
 * PINs, thousands of objects, a touch. The built program on SoftHSM, tpm2-pkcs11, and p11-kit's proxy and socket; what
 * none of them shows, by the module that injects it (more of that in bad-module.test.ts).
 */

import assert from 'node:assert/strict'
import { copyFile, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { certificatePem, createFileKey } from '../support/certificates.js'
import { findLibrary, run } from '../support/command.js'
import { createEdge, credentialProcess, type Edge } from '../support/edge.js'
import { createFaultyModules } from '../support/faulty-module.js'
import { assertCredentials, assertFailure } from '../support/outcome.js'
import { startP11KitServer } from '../support/p11-kit.js'
import { type ProgramResult, runHoldfast } from '../support/program.js'
import { createSoftHsmToken } from '../support/softhsm.js'
import { createTpmToken, TPM_WARNING } from '../support/swtpm.js'
import type { TestToken, TokenOptions } from '../support/token.js'

/** One way to a token. */
interface Way {
  readonly name: string
  create(options?: TokenOptions): Promise<TestToken>
  /** Module and environment of the client, and what it says on stderr of a good run. */
  reach(token: TestToken): Promise<{ modulePath: string; env: Readonly<Record<string, string>> }>
  readonly warnings?: RegExp
}

const WAYS: readonly Way[] = [
  { name: 'SoftHSM', create: createSoftHsmToken, reach: async (token) => token },
  { name: 'tpm2-pkcs11', create: createTpmToken, reach: async (token) => token, warnings: TPM_WARNING },
  {
    name: 'p11-kit’s proxy',
    create: createSoftHsmToken,
    reach: async ({ env }) => ({ modulePath: findLibrary('p11-kit-proxy.so'), env }),
  },
  { name: 'p11-kit through a socket', create: createSoftHsmToken, reach: startP11KitServer },
]

for (const way of WAYS) {
  describe(`holdfast credential-process with ${way.name}`, function () {
    this.timeout(120_000)
    let edge: Edge
    let module: Awaited<ReturnType<Way['reach']>>
    const pin = 'crypto_user:pass:word'
    before(async () => {
      edge = await createEdge({ token: await way.create({ label: 'edge', pin }) })
      module = await way.reach(edge.token)
    })
    after(() => edge.dispose())

    const runWith = (changes: Record<string, string | undefined> = {}): Promise<ProgramResult> =>
      runHoldfast(credentialProcess(edge, { '--pkcs11-module': module.modulePath, ...changes }), {
        env: { ...edge.env, ...module.env },
      })
    const uriWith = (attributes: string) => `pkcs11:${attributes}?pin-source=file:${edge.token.pinFile}`

    it('finds the token beside a slot that is not initialised', async () => {
      const tool = ['--module', module.modulePath, '--list-slots']
      const slots = await run('pkcs11-tool', tool, { ...edge.env, ...module.env })
      assert.match(slots, /uninitialized/)
      assertCredentials(await runWith({ '--pkcs11-uri': uriWith('id=%01') }), way.warnings)
    })

    it('takes a PIN with colons', async () => {
      assert.equal((await readFile(edge.token.pinFile, 'utf8')).trim(), pin)
      assertCredentials(await runWith(), way.warnings)
    })

    it('matches every field of the token, however it is padded', async () => {
      const { stderr } = await runWith({ '--pkcs11-uri': 'pkcs11:token=none' })
      const [, manufacturer, serial] = /manufacturer "(.*?)", serial "(.*?)"/.exec(stderr)!
      const tool = ['--module', module.modulePath, '--list-token-slots']
      const model = /token model +: (.*)/.exec(
        await run('pkcs11-tool', tool, { ...edge.env, ...module.env }),
      )![1]!
      const attributes = { token: 'edge', manufacturer, serial, model: model.trimEnd() }
      const path = Object.entries(attributes).map(([name, value]) => `${name}=${encodeURIComponent(value!)}`)
      assertCredentials(await runWith({ '--pkcs11-uri': uriWith(`${path.join(';')};id=%01`) }), way.warnings)
      const wrong = uriWith(`${path.join(';').replace('model=', 'model=X')};id=%01`)
      assertFailure(await runWith({ '--pkcs11-uri': wrong }), 'TOKEN_NOT_FOUND', 3)
    })

    it('tells two keys of one label apart by the certificate', async () => {
      const key = await edge.token.generateKey('P-256', { id: '02', label: 'edge' })
      const file = join(edge.token.directory, 'second.pem')
      await writeFile(file, certificatePem(await edge.authority.issue(key)))
      const byLabel = uriWith('token=edge;object=edge')
      for (const certificate of [file, undefined]) {
        const changes = { '--certificate': certificate, '--pkcs11-uri': byLabel }
        assertCredentials(await runWith(changes), way.warnings)
      }
      const stranger = await createFileKey('P-256')
      await writeFile(file, certificatePem(await edge.authority.issue(stranger.publicKey)))
      assertFailure(await runWith({ '--certificate': file, '--pkcs11-uri': byLabel }), 'KEY_MISMATCH', 4)
    })

    it('finds the key that has no public key object, if its certificate is in a file', async () => {
      const { token } = edge
      const key = await token.generateKey('RSA-2048', { id: '03', label: 'lonely' })
      await token.pkcs11Tool('--delete-object', '--type', 'pubkey', '--id', '03').catch((error) => {
        // tpm2-pkcs11 has both halves in one row.
        assert.match(String(error), /CKR_/)
      })
      const file = join(token.directory, 'lonely.pem')
      await writeFile(file, certificatePem(await edge.authority.issue(key)))
      const changes = { '--certificate': file, '--pkcs11-uri': uriWith('token=edge;id=%03') }
      assertCredentials(await runWith(changes), way.warnings)
    })
  })
}

describe('holdfast credential-process', function () {
  this.timeout(120_000)
  let edge: Edge
  before(async () => {
    edge = await createEdge({ token: await createSoftHsmToken() })
  })
  after(() => edge.dispose())
  const runWith = (changes: Record<string, string | undefined>, env = {}) =>
    runHoldfast(credentialProcess(edge, changes), { env: { ...edge.env, ...env } })

  it('logs in to find a certificate that is hidden before, on the only token that matches', async () => {
    const module = (await createFaultyModules(edge.token))('C_FindObjectsInit=hide-until-login:1')
    const runHidden = (uri: string) =>
      runWith({ '--pkcs11-module': module.modulePath, '--pkcs11-uri': uri }, module.env)
    assertCredentials(await runHidden(edge.uri))

    // With another token that matches as well, a login would be a guess.
    const anywhere = edge.uri.replace('token=edge;', '')
    assertCredentials(await runHidden(anywhere))
    await createSoftHsmToken({ label: 'twin', beside: edge.token })
    assertFailure(await runHidden(anywhere), 'CERTIFICATE_NOT_FOUND', 4)
    assertCredentials(await runHidden(edge.uri))
  })

  it('passes over an attestation certificate, which has the id and the key of the real one', async () => {
    const attestation = await layAttestation(edge, '01')
    // As ykcs11 has it, not on the token; and as a copy on the token, where only its label tells.
    const createFaulty = await createFaultyModules(edge.token)
    const { modulePath, env } = createFaulty('C_OpenSession=attest:0x01')
    const session = await runWith(
      { '--pkcs11-module': modulePath },
      { ...env, FAULTY_ATTESTATION: attestation },
    )
    assertCredentials(session)
    const label = 'X.509 Certificate for PIV Attestation 9a'
    await edge.token.importCertificate(await readFile(attestation), { id: '01', label })
    assertCredentials(await runWith({}))

    await edge.token.importCertificate(await readFile(attestation), { id: '01', label: 'no attestation' })
    assertFailure(await runWith({}), 'CERTIFICATE_AMBIGUOUS', 4)
    await edge.token.pkcs11Tool('--delete-object', '--type', 'cert', '--label', 'no attestation')
  })

  it('finds its key among 3,000 objects', async () => {
    const crowded = await createEdge({ token: await createSoftHsmToken() })
    try {
      await crowd(crowded, 3000)
      const find = (uri: string) =>
        runHoldfast(credentialProcess(crowded, { '--pkcs11-uri': uri }), { env: crowded.env })
      assertCredentials(await find(crowded.uri))
      assertFailure(await find(crowded.uri.replace('id=%01', 'id=%99')), 'CERTIFICATE_NOT_FOUND', 4)
    } finally {
      await crowded.dispose()
    }
  })

  describe('with a key that waits for a touch', () => {
    let createFaulty: Awaited<ReturnType<typeof createFaultyModules>>
    before(async () => {
      createFaulty = await createFaultyModules(edge.token)
    })
    const runFaulty = (faults: string, env = {}, changes = {}) => {
      const module = createFaulty(faults)
      return runWith({ '--pkcs11-module': module.modulePath, ...changes }, { ...module.env, ...env })
    }

    const notices: [policy: string, faults: string, stderr: RegExp][] = [
      [
        'always',
        'C_GetInfo=yubico C_GetAttributeValue=touch:2',
        /^holdfast: warning: touch your key: token "edge" waits for it\n$/,
      ],
      [
        'cached',
        'C_GetInfo=yubico C_GetAttributeValue=touch:3',
        /^holdfast: warning: touch your key if it blinks: .*\n$/,
      ],
      ['never', 'C_GetInfo=yubico C_GetAttributeValue=touch:1', /^$/],
      ['unknown', 'C_GetInfo=yubico', /^$/],
      ['that is not asked for', 'C_GetAttributeValue=touch:2', /^$/],
    ]
    for (const [policy, faults, stderr] of notices) {
      it(`says so where the policy is one (${policy})`, async () => {
        assertCredentials(await runFaulty(faults), stderr)
      })
    }

    it('says so where only the attestation of the key tells it', async () => {
      for (const [policies, stderr] of [
        ['0202', /touch your key: /],
        ['0201', /^$/],
      ] as const) {
        const file = await layAttestation(edge, policies === '0202' ? '02' : '01')
        const env = { FAULTY_ATTESTATION: file }
        assertCredentials(await runFaulty('C_GetInfo=yubico C_OpenSession=attest:0x01', env), stderr)
      }
    })

    it('has said so before it waits, and what happened when nobody came', async () => {
      const faults = 'C_GetInfo=yubico C_GetAttributeValue=touch:2 C_Sign=hang'
      const result = await runFaulty(faults, {}, { '--token-timeout': '3' })
      assertFailure(result, 'TOKEN_TIMEOUT', 3, /is it waiting for a touch/)
      assert.match(result.stderr, /^holdfast: warning: touch your key: /)
    })
  })
})

/** A certificate of the edge's key as a YubiKey attests it: PIN policy once, and a touch policy. DER, in a file. */
async function layAttestation(edge: Edge, touchPolicy: string): Promise<string> {
  const { directory } = edge.token
  const [key, der, config] = ['attester.pem', `attestation-${touchPolicy}.der`, 'attester.cnf'].map((name) =>
    join(directory, name),
  )
  const extensions = `basicConstraints = critical, CA:FALSE\n1.3.6.1.4.1.41482.3.8 = DER:02${touchPolicy}`
  await writeFile(
    config!,
    `[req]\ndistinguished_name = name\nx509_extensions = extensions\n[name]\n[extensions]\n${extensions}\n`,
  )
  await run('openssl', [
    ...['req', '-x509', '-config', config!, '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'],
    ...['-keyout', key!, '-subj', '/CN=YubiKey PIV Attestation 9a', '-outform', 'DER', '-out', der!],
  ])
  return der!
}

/** Fills the token with copies of a private key, its public key and its certificate. */
async function crowd({ authority, token }: Edge, count: number): Promise<void> {
  // SoftHSM keeps each object in a file, and one is like the other.
  const [name] = await readdir(join(token.directory, 'tokens'))
  const folder = join(token.directory, 'tokens', name!)
  const listObjects = async () => (await readdir(folder)).filter((file) => file.endsWith('.object'))
  const before = await listObjects()
  const place = { id: '77', label: 'crowd' }
  await token.importCertificate(await authority.issue(await token.generateKey('P-256', place)), place)
  const files = (await listObjects()).filter((file) => !before.includes(file))
  assert.equal(files.length, 3)
  for (let index = 0; index < count; index++) {
    await copyFile(join(folder, files[index % 3]!), join(folder, `${crypto.randomUUID()}.object`))
  }
}
