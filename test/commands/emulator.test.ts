/** `holdfast emulator`: its flags, what it prints when it is ready, and how it ends. */
import 'reflect-metadata'
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import yargs from 'yargs'
import type { Context } from '../../src/commands/context.js'
import { builder, type EmulatorArguments, run } from '../../src/commands/emulator.js'
import { makeCa, makeLeaf } from '../emulator/pki.js'
import { signedRequest } from '../emulator/request-signer.js'

const ROLE = 'arn:aws:iam::111122223333:role/edge'
const ANYONE = JSON.stringify({
  Version: '2012-10-17',
  Statement: { Effect: 'Allow', Principal: '*', Action: 'sts:*' },
})

describe('holdfast emulator', () => {
  let folder: string
  let path: (name: string) => string

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'emulator-command-'))
    path = (name) => join(folder, name)
    writeFileSync(path('ca.pem'), (await makeCa()).pem)
    writeFileSync(path('policy.json'), ANYONE)
  })
  after(() => rmSync(folder, { recursive: true }))

  /** Runs the command until it has printed that it is ready, uses it, and ends it as a signal would. */
  async function withCommand(
    args: readonly string[],
    use: (output: string, stderr: readonly string[]) => Promise<void> = async () => undefined,
  ): Promise<void> {
    const ending = new AbortController()
    const stderr: string[] = []
    const argv = await builder(yargs([]))
      .strict()
      .fail((message, error) => {
        throw error ?? new Error(message)
      })
      .parseAsync([...args])
    let running: Promise<void> | undefined
    const ready = new Promise<string>((resolve, reject) => {
      const context = {
        stdout: async (text: string) => resolve(text),
        stderr: (line: string) => void stderr.push(line),
        signal: ending.signal,
        now: () => new Date(),
      } as unknown as Context
      running = run(argv as unknown as EmulatorArguments, context)
      running.catch(reject)
    })
    try {
      await use(await ready, stderr)
    } finally {
      ending.abort()
    }
    await running
  }

  const refuses = (args: readonly string[], expected: object) => assert.rejects(withCommand(args), expected)

  it('says where it listens, serves, and ends when it is told to', async () => {
    let url = ''
    await withCommand([], async (output) => {
      const [first, last] = output.trimEnd().split('\n')
      assert.equal(first, 'Roles Anywhere emulator for us-east-1, account 111122223333')
      url = /^Listening on (http:\/\/127\.0\.0\.1:\d+)$/.exec(last!)![1]!
      assert.equal((await fetch(`${url}/profiles`)).status, 200)
    })
    await assert.rejects(fetch(`${url}/profiles`))
  })

  it('makes the anchor, the profile and the role, and gives their ARNs as text or JSON', async () => {
    const args = ['--ca', path('ca.pem'), '--role-arn', ROLE]
    await withCommand(args, async (output) => {
      assert.match(output, /^trustAnchorArn arn:aws:rolesanywhere:us-east-1:111122223333:trust-anchor\/.*$/m)
      assert.match(output, /^profileArn arn:aws:rolesanywhere:us-east-1:111122223333:profile\/.*$/m)
      assert.match(output, /^roleArn arn:aws:iam::111122223333:role\/edge$/m)
    })
    const flags = [
      '--region',
      'eu-west-1',
      '--account',
      '444455556666',
      '--session-duration',
      '900',
      '--accept-role-session-name',
    ]
    await withCommand(
      [...args.with(3, ROLE.replace('111122223333', '444455556666')), ...flags, '--json'],
      async (output) => {
        const { url, trustAnchorArn, profileArn, region, account } = JSON.parse(output)
        assert.deepEqual([region, account], ['eu-west-1', '444455556666'])
        assert.match(trustAnchorArn, /^arn:aws:rolesanywhere:eu-west-1:444455556666:trust-anchor/)
        const reply = (await (await fetch(`${url}/profile/${profileArn.split('/')[1]}`)).json()) as {
          profile: object
        }
        const { durationSeconds, acceptRoleSessionName } = reply.profile as Record<string, unknown>
        assert.deepEqual([durationSeconds, acceptRoleSessionName], [900, true])
      },
    )
  })

  it('logs each request on stderr, with the reason of a refusal', async () => {
    const ca = await makeCa()
    writeFileSync(path('own-ca.pem'), ca.pem)
    const args = [
      '--ca',
      path('own-ca.pem'),
      '--role-arn',
      ROLE,
      '--trust-policy',
      path('policy.json'),
      '--json',
    ]
    await withCommand(args, async (output, stderr) => {
      const { url, ...body } = JSON.parse(output)
      for (const identity of [await makeLeaf(ca), await makeLeaf(await makeCa())]) {
        const request = signedRequest(identity, { body, host: new URL(url).host })
        const headers = Object.fromEntries([...request.headers].map(([name, [value]]) => [name, value!]))
        await fetch(`${url}/sessions`, { method: 'POST', headers, body: new Uint8Array(request.body) })
      }
      assert.equal(stderr[0], 'POST /sessions 201')
      assert.match(
        stderr[1]!,
        /^POST \/sessions 403 AccessDeniedException: no valid path leads from X-Amz-X509/,
      )
    })
  })

  it('serves HTTPS and writes the CA that clients must trust', async () => {
    await withCommand(
      ['--https', '--tls-ca-out', path('https.pem'), '--tls-name', 'emulator,10.0.0.1'],
      async (output) => {
        assert.match(output, /^tlsCa .*https\.pem\nListening on https:\/\/127\.0\.0\.1:\d+\n$/m)
        assert.match(readFileSync(path('https.pem'), 'utf8'), /^-----BEGIN CERTIFICATE-----/)
        assert.equal(statSync(path('https.pem')).mode & 0o777, 0o644)
      },
    )
    await withCommand(['--https', '--json'], async (output) => {
      assert.match(JSON.parse(output).tlsCaPem, /^-----BEGIN CERTIFICATE-----/)
    })
  })

  it('keeps its state, with nobody else able to read it', async () => {
    const args = ['--state', path('state.json'), '--ca', path('ca.pem'), '--role-arn', ROLE, '--json']
    const arns: string[] = []
    for (const _ of [1, 2])
      await withCommand(args, async (output) => void arns.push(JSON.parse(output).trustAnchorArn))
    assert.equal(arns[0], arns[1])
    assert.equal(statSync(path('state.json')).mode & 0o777, 0o600)
  })

  it('adds a role alone', async () => {
    await withCommand(
      ['--role-arn', ROLE, '--trust-policy', path('policy.json'), '--max-session-duration', '7200', '--json'],
      async (output) => {
        const { url, trustAnchorArn } = JSON.parse(output)
        assert.equal(trustAnchorArn, undefined)
        const { roles } = (await (await fetch(`${url}/_emulator/roles`)).json()) as { roles: object[] }
        assert.deepEqual(roles, [
          { roleArn: ROLE, assumeRolePolicyDocument: JSON.parse(ANYONE), maxSessionDuration: 7200 },
        ])
      },
    )
  })

  it('lets the first sessions fail', async () => {
    await withCommand(
      ['--fail-first', '2:throttle,1:unavailable', '--latency', '1', '--json'],
      async (output) => {
        const statuses = []
        for (const _ of [1, 2, 3, 4]) {
          statuses.push((await fetch(`${JSON.parse(output).url}/sessions`, { method: 'POST' })).status)
        }
        assert.deepEqual(statuses, [429, 429, 503, 400])
      },
    )
  })

  describe('refuses', () => {
    it('flags that do not go together', async () => {
      for (const [args, message] of [
        [['--tls-ca-out', 'x'], /need --https/],
        [['--tls-name', 'x'], /need --https/],
        [['--https'], /--https needs --tls-ca-out/],
        [['--ca', 'x'], /--ca needs --role-arn/],
        [['--role-arn', ROLE], /--role-arn needs --ca or --trust-policy/],
      ] as const) {
        await refuses(args, { code: 'USAGE', message })
      }
    })

    it('values that cannot be', async () => {
      for (const args of [
        ['--port', '70000'],
        ['--port', 'x'],
        ['--latency', '-1'],
        ['--latency', '600001'],
        ['--region', 'nowhere'],
        ['--account', '12'],
        ['--fail-first', '0:throttle'],
        ['--fail-first', '1:rain'],
        ['--fail-first', '1:throttle,'],
        ['--ca', path('ca.pem'), '--role-arn', 'x'],
        ['--ca', path('ca.pem'), '--role-arn', ROLE, '--session-duration', '5'],
        ['--ca', path('ca.pem'), '--role-arn', ROLE, '--max-session-duration', '5'],
        ['--ca', path('ca.pem'), '--role-arn', ROLE, '--trust-policy', path('ca.pem')],
        ['--ca', path('policy.json'), '--role-arn', ROLE],
        ['--state', path('policy.json')],
      ]) {
        await refuses(args, { code: 'USAGE' })
      }
    })

    it('files that are not there, or cannot be written', async () => {
      await refuses(['--ca', path('none'), '--role-arn', ROLE], {
        code: 'FILE_UNREADABLE',
        message: /none does not exist/,
      })
      await refuses(['--ca', folder, '--role-arn', ROLE], { code: 'FILE_UNREADABLE' })
      await refuses(['--state', path('none/state.json')], { code: 'OUTPUT_FAILED' })
      await refuses(['--https', '--tls-ca-out', path('none/ca.pem')], { code: 'OUTPUT_FAILED' })
    })

    it('a port that is taken, or an address that is not here', async () => {
      const other = createServer().listen(0, '127.0.0.1')
      await new Promise((resolve) => other.once('listening', resolve))
      const { port } = other.address() as AddressInfo
      await refuses(['--port', String(port)], { code: 'NETWORK_FAILED', message: /EADDRINUSE/ })
      await new Promise((resolve) => other.close(resolve))
      await refuses(['--host', '192.0.2.1'], { code: 'NETWORK_FAILED' })
    })
  })
})
