/** What a CA issues and lists: numbers, records, dates; what a signer or a clock that is wrong cannot do. */

import assert from 'node:assert/strict'
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Authority, createAuthority } from '../../src/ca/authority.js'
import {
  issueCertificate,
  issueList,
  listIssued,
  readIssued,
  revokeCertificate,
} from '../../src/ca/register.js'
import { type CertificateRequest, readRequest } from '../../src/ca/request.js'
import { type CaSigner, createKeySigner } from '../../src/ca/signer.js'
import { run } from '../support/command.js'

const DAY_MS = 86_400_000
const uid = process.geteuid!()
const NOW = new Date('2030-01-01T12:00:00.500Z')
const at = (days: number) => new Date(NOW.getTime() + days * DAY_MS)
const clock = { now: NOW, buildDate: new Date('2026-01-01') }

describe('the register of a CA', function () {
  this.timeout(60_000)
  let folder: string
  let authority: Authority
  let signer: CaSigner
  let request: CertificateRequest
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'holdfast-register-'))
    const csr = join(folder, 'edge.csr')
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', `${csr}.key`]
    request = await readRequest(
      Buffer.from(await run('openssl', ['req', '-new', ...key, '-subj', '/CN=edge'])),
    )
  })
  after(() => rmSync(folder, { recursive: true }))
  beforeEach(async () => {
    const directory = mkdtempSync(join(folder, 'ca-'))
    signer = createKeySigner(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey)
    const ca = {
      directory,
      subject: [{ type: 'CN', value: 'CA' }],
      uid,
      notBefore: at(-1),
      notAfter: at(100),
    }
    authority = await createAuthority(ca, signer, { name: 'key-1.pem', text: '' })
  })

  const issue = (days = 10, random = randomBytes) =>
    issueCertificate(authority, signer, request, { ...clock, days, uid, random })
  const revoke = (serialNumber: string, revokedAt = NOW) =>
    revokeCertificate(authority, { serialNumber, revokedAt, reason: 'keyCompromise', uid })
  const list = (now: Date) => issueList(authority, signer, { days: 7, uid, now })
  const records = (kind: string) => readdirSync(join(authority.directory, kind))

  describe('issueCertificate', () => {
    it('gives whole seconds, from five minutes ago, and not beyond the CA', async () => {
      const { notBefore, notAfter } = await issue(10)
      assert.deepEqual(
        [notBefore.toJSON(), notAfter.toJSON()],
        ['2030-01-01T11:55:00.000Z', '2030-01-11T12:00:00.000Z'],
      )
      assert.equal((await issue(1000)).notAfter.getTime(), authority.certificate.notAfter.getTime())
    })

    it('takes another number where one is taken', async () => {
      const taken = randomBytes(16)
      const { serialNumber } = await issue(10, () => Buffer.from(taken))
      const numbers = [taken, taken, randomBytes(16)]
      const second = await issue(10, () => Buffer.from(numbers.shift()!))
      assert.notEqual(second.serialNumber, serialNumber)
      assert.equal(records('issued').length, 2)
    })

    it('gives no number twice, whatever the random source says', async () => {
      const same = () => Buffer.alloc(16, 7)
      const both = await Promise.allSettled([issue(10, same), issue(10, same)])
      assert.deepEqual(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
      assert.equal(records('issued').length, 1)
    })

    it('gives positive numbers of 16 bytes', async () => {
      for (const byte of [0, 0x7f, 0x80, 0xff]) {
        const { serialNumber, path } = await issue(10, (size) => Buffer.alloc(size, byte))
        assert.match(serialNumber, /^[4-7][0-9a-f]{31}$/)
        const shown = await run('openssl', ['x509', '-in', path, '-noout', '-serial'])
        assert.equal(shown.trim().toLowerCase(), `serial=${serialNumber}`)
      }
    })

    it('issues nothing that is signed by another key than the CA has', async () => {
      const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
      signer = { ...signer, sign: createKeySigner(privateKey).sign }
      await assert.rejects(issue(), { code: 'SIGNATURE_INVALID' })
      await assert.rejects(list(NOW), { code: 'SIGNATURE_INVALID' })
      assert.deepEqual([...records('issued'), ...records('crl')], [])
    })

    it('refuses a clock from before the program was made', async () => {
      const early = issueCertificate(authority, signer, request, {
        now: NOW,
        buildDate: at(1),
        days: 10,
        uid,
      })
      await assert.rejects(early, { code: 'CLOCK_WRONG' })
      assert.deepEqual(records('issued'), [])
    })
  })

  describe('listIssued', () => {
    it('gives all certificates, in the order in which they end', async () => {
      for (const days of [20, 5, 10]) await issue(days)
      const ends = listIssued(authority, uid).map(({ notAfter }) => notAfter)
      assert.deepEqual(
        ends,
        [5, 10, 20].map((days) => new Date(Math.floor(at(days).getTime() / 1000) * 1000)),
      )
    })
  })

  describe('readIssued', () => {
    it('refuses a record under the number of another', async () => {
      const { serialNumber, pem } = await issue()
      assert.equal(readIssued(authority, serialNumber, uid).pem, pem)
      const other = serialNumber.replace(/.$/, (digit) => (digit === '0' ? '1' : '0'))
      assert.throws(() => readIssued(authority, other, uid), { code: 'CERTIFICATE_NOT_FOUND' })
      writeFileSync(join(authority.directory, `issued/${other}.pem`), pem, { mode: 0o600 })
      assert.throws(() => readIssued(authority, other, uid), { code: 'CA_DAMAGED' })
    })
  })

  describe('issueList', () => {
    it('keeps a certificate until a list after its end has had it', async () => {
      const short = await issue(10)
      const long = await issue(50)
      for (const { serialNumber } of [short, long]) revoke(serialNumber)
      const counts: number[] = []
      for (const days of [1, 9, 11, 12, 60, 61]) counts.push((await list(at(days))).revoked)
      assert.deepEqual(counts, [2, 2, 2, 1, 1, 0])
    })

    it('lists a certificate that was revoked after its end once', async () => {
      const { serialNumber } = await issue(10)
      await list(at(11))
      revoke(serialNumber, at(12))
      assert.equal((await list(at(13))).revoked, 1)
      assert.equal((await list(at(14))).revoked, 0)
    })

    it('keeps one whose record is gone', async () => {
      const { serialNumber, path } = await issue(10)
      revoke(serialNumber)
      await list(at(11))
      rmSync(path)
      assert.equal((await list(at(12))).revoked, 1)
    })

    it('refuses a clock that has gone back since the list before', async () => {
      await list(at(2))
      await assert.rejects(list(at(1)), { code: 'CLOCK_WRONG', message: /list 1 / })
      assert.equal((await list(at(2))).number, 2)
    })

    it('holds some 4500 certificates within the 300000 bytes that Roles Anywhere takes', async () => {
      const sizes: number[] = []
      for (const count of [200, 400]) {
        for (let index = count - 200; index < count; index++) {
          revoke((0x40000000000000000000000000000000n + BigInt(index)).toString(16))
        }
        const { revoked, pem, path } = await list(NOW)
        assert.equal(revoked, count)
        const shown = await run('openssl', ['crl', '-in', path, '-noout', '-text'])
        assert.equal(shown.match(/Serial Number:/g)!.length, count)
        sizes.push(pem.length)
      }
      const room = (300_000 - sizes[0]!) / ((sizes[1]! - sizes[0]!) / 200) + 200
      assert.ok(room > 4400 && room < 5000, `${room}`)
    })
  })
})
