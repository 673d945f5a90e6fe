/**
 * The containers of docker-compose.yml, in a running engine: the suite inside, and the token from outside.
 */

import assert from 'node:assert/strict'
import { chmod, chown, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createAuthority } from '../support/certificates.js'
import { findLibrary, run } from '../support/command.js'
import { createDockerToken } from '../support/docker.js'
import { runHoldfast } from '../support/program.js'
import { type Engine, openEngine } from './engine.js'

const ROOT = resolve(import.meta.dirname, '../..')
const MINUTE = 60_000
/** The user of the containers, a normal one. */
const UID = process.getuid!() || 1000
const GID = process.getgid!() || 1000

describe('docker-compose.yml', function () {
  this.timeout(45 * MINUTE)
  let engine: Engine
  let env: Record<string, string>
  let compose: (...args: string[]) => Promise<string>

  before(async () => {
    engine = await openEngine()
    env = { ...engine.env, UID: String(UID), GID: String(GID), HOLDFAST_EMULATOR_PORT: '0' }
    const plugin = await run('docker', ['compose', 'version']).catch(() => undefined)
    const [command, ...first] = plugin === undefined ? ['docker-compose'] : ['docker', 'compose']
    const project = ['--project-directory', ROOT, '--project-name', 'holdfast-heavy']
    compose = (...args) => run(command!, [...first, ...project, ...args], env, 45 * MINUTE)
    await compose('build')
  })
  after(async () => {
    await compose?.('down', '--volumes')
    await engine?.close()
  })

  it('runs the suite in a container without a network, with the token of another', async () => {
    const output = await compose('run', '--rm', '-T', 'test')
    assert.match(output, /^\d\d+ passed, 0 failed$/m)
  })

  describe('with a folder for the socket', () => {
    let sockets: string
    let address: string
    before(async () => {
      sockets = await mkdtemp(join(tmpdir(), 'holdfast-sockets-'))
      await chmod(sockets, 0o755)
      await chown(sockets, UID, GID)
      address = `unix:path=${sockets}/pkcs11`
      env.HOLDFAST_TEST_SOCKETS = sockets
      await compose('down', '--volumes')
      await compose('up', '--detach', 'softhsm', 'emulator')
      await untilHealthy()
    })
    after(() => rm(sockets, { recursive: true, force: true }))

    /** The `test` service starts no sooner. */
    const untilHealthy = () => compose('run', '--rm', '-T', 'test', 'true')
    const listSlots = ['pkcs11-tool', '--module', findLibrary('pkcs11/p11-kit-client.so'), '--list-slots']
    const testCommand = () =>
      run(
        join(ROOT, 'node_modules/.bin/mocha'),
        ['--bail', 'test/commands/credential-process.test.ts'],
        {
          HOLDFAST_TEST_TOKEN: 'docker',
          P11_KIT_SERVER_ADDRESS: address,
        },
        MINUTE * 3,
      )

    it('lends the token to the tests of this machine', async () => {
      assert.match(await testCommand(), /^ {2}\d\d+ passing/m)
    })

    it('lends it to the user that it runs as', async () => {
      const user = ['setpriv', '--reuid', String(UID), '--regid', String(GID), '--keep-groups']
      const [command, ...args] = process.getuid!() === 0 ? [...user, ...listSlots] : listSlots
      const said = await run(command!, args, { P11_KIT_SERVER_ADDRESS: address })
      assert.match(said, /token label +: edge\n/)
      assert.doesNotMatch(said, /uninitialized/)
    })

    it('lends it to no other user', async () => {
      const inside = ['--network', 'none', '--env', 'P11_KIT_SERVER_ADDRESS=unix:path=/run/p11-kit/pkcs11']
      const stranger = ['run', '--rm', ...inside, '--volume', `${sockets}:/run/p11-kit`, '--user']
      const listing = run('docker', [...stranger, String(UID + 1), 'holdfast-test', ...listSlots], env)
      await assert.rejects(listing, /^No slots\.$/m)
    })

    it('makes the token once, and keeps what is in it', async () => {
      const token = await createDockerToken({ P11_KIT_SERVER_ADDRESS: address })
      await token.generateKey('P-256', { id: '0a' })
      await compose('restart', 'softhsm')
      await untilHealthy()
      assert.match(await token.showObject('privkey', '0a'), /never extractable/)
      await token.dispose()
    })

    it('gets a session of the emulator in the third container', async () => {
      const token = await createDockerToken({ P11_KIT_SERVER_ADDRESS: address })
      const authority = await createAuthority()
      await token.importCertificate(await authority.issue(await token.generateKey('P-256')))
      const endpoint = `http://${(await compose('port', 'emulator', '8480')).trim()}`
      const args = ['credential-process', '--endpoint', endpoint, '--pkcs11-module', token.modulePath]
      args.push('--pkcs11-uri', `pkcs11:token=edge;id=%01?pin-source=file:${token.pinFile}`)
      args.push(...(await setUp(endpoint, authority.certificatePem)))
      const { stdout, stderr, status } = await runHoldfast(args, { env: token.env })
      await token.dispose()
      assert.equal(stderr, '')
      assert.equal(status, 0)
      assert.match(JSON.parse(stdout).AccessKeyId, /^ASIA/)
    })

    it('is missed by the tests of this machine once it is gone', async () => {
      await compose('stop', 'softhsm')
      await assert.rejects(testCommand, /pkcs11 does not exist: docker-compose\.yml says how to start it/)
    })
  })
})

/** A trust anchor, a role and a profile in a running emulator; gives the flags that name them. */
async function setUp(endpoint: string, x509CertificateData: string): Promise<string[]> {
  const call = async (method: string, path: string, body: object) => {
    const reply = await fetch(endpoint + path, { method, body: JSON.stringify(body) })
    assert.ok(reply.ok, await reply.clone().text())
    return (await reply.json()) as Record<string, Record<string, string>>
  }
  const roleArn = 'arn:aws:iam::111122223333:role/edge'
  const Statement = { Effect: 'Allow', Principal: '*', Action: 'sts:*' }
  const assumeRolePolicyDocument = { Version: '2012-10-17', Statement }
  await call('PUT', '/_emulator/roles', { roleArn, assumeRolePolicyDocument })
  const source = { sourceType: 'CERTIFICATE_BUNDLE', sourceData: { x509CertificateData } }
  const { trustAnchor } = await call('POST', '/trustanchors', { name: 'docker', enabled: true, source })
  const { profile } = await call('POST', '/profiles', { name: 'docker', enabled: true, roleArns: [roleArn] })
  const { trustAnchorArn } = trustAnchor!
  const { profileArn } = profile!
  return ['--trust-anchor-arn', trustAnchorArn!, '--profile-arn', profileArn!, '--role-arn', roleArn]
}
