/**
 * What every judge has to get out of the profiles of an AWS config file, and what it has to show its user where
 * there is nothing to get.
 */

import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { formatCommand } from '../../src/core/aws-files/aws-config.js'
import type { Judge } from './judges.js'
import { createMachine, type Machine } from './machine.js'

/** Adds the tests of the judges, on one machine for all. */
export function describeProfiles(judges: readonly Judge[]): void {
  let machine: Machine
  before(async () => {
    machine = await createMachine()
    await writeProfiles(machine)
  })
  after(() => machine?.dispose())

  for (const judge of judges) {
    describe(judge.name, () => {
      const callService = (profile: string) =>
        machine.execute(judge.callService(profile, machine.services.url))

      /** One more session was given out, and it was this one that the service was called with. */
      async function assertServed(profile: string): Promise<void> {
        const count = machine.sessions().length
        const { stdout, stderr, status } = await callService(profile)
        assert.equal(status, 0, stderr)
        const [session, ...more] = machine.sessions().slice(count)
        assert.equal(stdout.trim(), session?.accessKeyId)
        assert.deepEqual(more, [])
      }

      /** It fails, and shows this to its user. */
      async function assertShown(profile: string, ...texts: string[]): Promise<void> {
        const { stdout, stderr, status } = await callService(profile)
        assert.notEqual(status, 0)
        for (const text of texts) {
          assert.ok(`${stdout}${stderr}`.includes(text), `no ${JSON.stringify(text)} in ${stderr}`)
        }
      }

      it('is served with a URI that configure has put into quotes', () => assertServed('uri'))

      it('is served with an identity of the configuration', () => assertServed('identity'))

      it(`shows ${judge.saysInstead === undefined ? 'our error in one piece' : 'that the command failed'}`, async () => {
        const { stderr } = await machine.execute(nowhere(machine))
        assert.match(stderr, /^holdfast: .* \(TOKEN_NOT_FOUND\)\n$/)
        await assertShown('nowhere', judge.saysInstead ?? stderr.trim())
      })

      it('is served with key and certificate from openssl', () => assertServed('edge-workload'))

      if (judge.continuation === 'joined') {
        it('is served where the command goes on over several lines', () => assertServed('continued'))
      } else {
        it('shows the right line where the command goes on over several', async () => {
          const right = formatCommand(workload(machine))
          const what =
            judge.continuation === 'whole'
              ? [
                  `AWS config files have no line continuation: write it on one line: credential_process = ${right} (`,
                ]
              : [
                  'AWS config files have no line continuation, and what follows the backslash is lost: write it on one line: credential_process = holdfast credential-process ',
                  ' … (',
                ]
          await assertShown('continued', ...what)
        })
      }

      if (judge.takesKeys) {
        it('uses the set that update wrote last', async () => {
          for (const _ of ['first', 'next']) {
            await update(machine, 'written')
            const count = machine.sessions().length
            const { stdout, stderr } = await callService('written')
            assert.equal(stdout.trim(), machine.sessions().at(-1)?.accessKeyId, stderr)
            assert.equal(machine.sessions().length, count)
          }
        })
      }

      it('is served with a certificate of an intermediate only if the file has the chain', async () => {
        await assertServed('full-chain')
        const { stderr } = await machine.execute(workload(machine, machine.workload.chained))
        assert.match(stderr, /\(REFUSED_UNTRUSTED_CERTIFICATE\)\n$/)
      })

      const { printCredentials } = judge
      if (printCredentials === undefined) return
      it('hands on exactly what Roles Anywhere gave out', async () => {
        const { stdout, stderr, status } = await machine.execute(printCredentials('uri'))
        assert.equal(status, 0, stderr)
        const printed = JSON.parse(stdout)
        const { accessKeyId, secretAccessKey, sessionToken, expiration } = machine.sessions().at(-1)!
        assert.equal(printed.AccessKeyId, accessKeyId)
        assert.equal(printed.SecretAccessKey, secretAccessKey)
        assert.equal(printed.SessionToken, sessionToken)
        assert.equal(Date.parse(printed.Expiration), Date.parse(expiration))
      })
    })
  }
}

/** The command of the workload, with its files or others. */
function workload(
  { workload }: Machine,
  { certificate, privateKey }: { certificate: string; privateKey: string } = workload,
): string[] {
  const { trustAnchorArn, profileArn, roleArn } = workload.arns
  return [
    ...['holdfast', 'credential-process', '--certificate', certificate, '--private-key', privateKey],
    ...['--trust-anchor-arn', trustAnchorArn, '--profile-arn', profileArn, '--role-arn', roleArn],
  ]
}

/** The command for a token that does not exist. */
function nowhere({ arns, edge }: Machine): string[] {
  return [
    ...['holdfast', 'credential-process', '--pkcs11-uri', 'pkcs11:token=nowhere%3B;id=%01'],
    ...['--pkcs11-module', edge.token.modulePath, '--trust-anchor-arn', arns.trustAnchorArn],
    ...['--profile-arn', arns.profileArn, '--role-arn', arns.roleArn],
  ]
}

async function writeProfiles(machine: Machine): Promise<void> {
  const { uri, arns, edge } = machine
  const { fullChain, privateKey } = machine.workload.chained
  const module = edge.token.modulePath
  const { trustAnchorArn, profileArn, roleArn } = arns
  await machine.writeConfig('# mine\n')
  await configure(machine, 'uri', [
    ...['--pkcs11-uri', uri, '--pkcs11-module', module, '--trust-anchor-arn', trustAnchorArn],
    ...['--profile-arn', profileArn, '--role-arn', roleArn],
  ])
  const settings = {
    'pkcs11-uri': uri,
    'pkcs11-module': module,
    'trust-anchor-arn': trustAnchorArn,
    'profile-arn': profileArn,
    'role-arn': roleArn,
  }
  const toml = Object.entries(settings).map(([key, value]) => `${key} = ${JSON.stringify(value)}\n`)
  await writeFile(machine.path('holdfast.toml'), `[identity.identity]\n${toml.join('')}`, { mode: 0o600 })
  await configure(machine, 'identity', ['--config', machine.path('holdfast.toml')])
  const profile = (name: string, command: string) =>
    machine.writeConfig(`\n[profile ${name}]\ncredential_process = ${command}\nregion = us-east-1\n`)
  await profile('nowhere', formatCommand(nowhere(machine)))
  await profile('edge-workload', formatCommand(workload(machine)))
  await profile('full-chain', formatCommand(workload(machine, { certificate: fullChain, privateKey })))
  // As instructions for a shell break the line, and as people then copy it.
  await profile('continued', formatCommand(workload(machine)).replaceAll(' --', ' \\\n  --'))
}

async function configure({ execute }: Machine, name: string, flags: readonly string[]): Promise<void> {
  const { status, stderr } = await execute(['holdfast', 'configure', name, ...flags])
  assert.equal(stderr, '')
  assert.equal(status, 0)
}

async function update({ execute, path }: Machine, profile: string): Promise<void> {
  const identity = ['identity', '--config', path('holdfast.toml')]
  const { status, stderr } = await execute([
    'holdfast',
    'update',
    ...identity,
    '--once',
    '--profile',
    profile,
  ])
  assert.equal(status, 0, stderr)
}
