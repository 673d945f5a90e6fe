/**
 * The systemd units, in a container that systemd runs: hardened, started, hung, asked by the right users and by others.
 */

import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { appendFile, cp, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { type Authority, createAuthority } from '../support/certificates.js'
import { findLibrary } from '../support/command.js'
import { until } from '../support/outcome.js'
import { createSoftHsmToken } from '../support/softhsm.js'
import {
  bootSystemd,
  installUnits,
  SOURCES,
  type SystemdMachine,
  setEnvironment,
  startMachineEmulator,
  startMachineTpm,
  storePin,
} from '../support/systemd.js'

const UNITS = resolve(import.meta.dirname, '../../scripts/systemd')
const services = readdirSync(UNITS).filter((name) => name.endsWith('.service'))

/** State of the agent. */
const STATE = '/var/lib/holdfast-agent'

/** What `systemd-analyze security` may call a unit at most, times ten: 0 is no exposure, 100 all. */
const EXPOSURE_CEILING = 25

describe('scripts/systemd', function () {
  this.timeout(300_000)
  let machine: SystemdMachine
  let authority: Authority

  before(async () => {
    machine = await bootSystemd()
    await installUnits(machine)
    await layToken()
    await startEmulator()
  })
  after(() => machine?.dispose())

  /** A SoftHSM token in the agent's state folder, whose PIN is a credential and in no other file. */
  async function layToken(): Promise<void> {
    const token = await createSoftHsmToken()
    authority = await createAuthority()
    await token.importCertificate(await authority.issue(await token.generateKey('P-256')))
    const state = machine.path(STATE)
    await mkdir(state, { recursive: true })
    await cp(join(token.directory, 'tokens'), join(state, 'tokens'), { recursive: true })
    await writeFile(machine.path('/etc/ca.pem'), authority.certificatePem)
    const conf = `${STATE}/softhsm2.conf`
    await writeFile(machine.path(conf), `directories.tokendir = ${STATE}/tokens\n`)
    await machine.run('chown', '--recursive', 'holdfast:', STATE)
    await storePin(machine, token.pin)
    await setEnvironment(machine, `SOFTHSM2_CONF=${conf}`, 'holdfast', 'holdfast-update@')
    await token.dispose()
  }

  /** Roles Anywhere in the machine, and an identity for it. */
  async function startEmulator(): Promise<void> {
    const { url, trustAnchorArn, profileArn, roleArn } = await startMachineEmulator(machine, '/etc/ca.pem')
    await mkdir(machine.path('/etc/holdfast'), { recursive: true })
    await writeFile(
      machine.path('/etc/holdfast/config.toml'),
      `[identity.edge]
pkcs11-uri = "pkcs11:token=edge;id=%01"
pkcs11-module = "${findLibrary('softhsm/libsofthsm2.so')}"
trust-anchor-arn = "${trustAnchorArn}"
profile-arn = "${profileArn}"
role-arn = "${roleArn}"
endpoint = "${url}"
socket-group = "holdfast"
`,
    )
  }

  /** A TPM in software, and a token on it that belongs to the agent's user. */
  async function layTpmToken(module: string): Promise<void> {
    const tcti = await startMachineTpm(machine)
    const tool = `runuser -u holdfast -- env TPM2_PKCS11_STORE=${STATE}/tpm2_pkcs11 ${tcti} pkcs11-tool --module ${module}`
    await machine.shell(`printf '[Service]\\nEnvironment=${tcti}\\n' > /etc/systemd/system/holdfast.service.d/tpm.conf
      systemctl daemon-reload
      runuser -u holdfast -- mkdir ${STATE}/tpm2_pkcs11`)
    const login = `${tool} --token-label tpm --login --pin 12345678`
    await machine.shell(`${tool} --slot-index 0 --init-token --label tpm --so-pin 87654321
      ${tool} --token-label tpm --login --login-type so --so-pin 87654321 --init-pin --new-pin 12345678
      ${login} --keypairgen --key-type EC:prime256v1 --id 01 --label key
      ${login} --read-object --type pubkey --id 01 --output-file /tmp/key.der`)
    const certificate = await authority.issue(await readFile(machine.path('/tmp/key.der')))
    await writeFile(machine.path('/tmp/certificate.der'), certificate)
    await machine.shell(`${login} --write-object /tmp/certificate.der --type cert --id 01`)
  }

  const journal = (unit: string) => machine.journal(unit)
  const show = (unit: string, property: string) => machine.show(unit, property)
  const as = (user: string, ...command: string[]) => machine.run('runuser', '-u', user, '--', ...command)
  const getAs = async (user: string) => JSON.parse(await as(user, 'holdfast', 'credential-process', 'edge'))

  it('has units in which systemd finds nothing wrong', async () => {
    const listed = await machine.shell('ls /etc/systemd/system/holdfast*.{service,socket,timer}')
    assert.equal(await machine.run('systemd-analyze', 'verify', ...listed.trim().split('\n')), '')
    const user =
      'XDG_RUNTIME_DIR=/run systemd-analyze verify --user /etc/systemd/user/holdfast-agent.service 2>&1'
    assert.equal(await machine.shell(user), '')
  })

  for (const service of services) {
    it(`has ${service} hardened`, async () => {
      const rate = (ceiling: number) =>
        machine.run(
          'systemd-analyze',
          'security',
          '--offline=yes',
          `--threshold=${ceiling}`,
          `${SOURCES}/scripts/systemd/${service}`,
        )
      await rate(EXPOSURE_CEILING)
      await assert.rejects(rate(10))
    })
  }

  describe('holdfast.service', () => {
    before(() => machine.run('systemctl', 'start', 'holdfast'))
    after(() => machine.run('systemctl', 'stop', 'holdfast'))

    it('is ready when the sockets are there, and gives credentials to the group alone', async () => {
      assert.match((await getAs('reader')).AccessKeyId, /^ASIA/)
      await assert.rejects(getAs('stranger'), /you may not use the agent's socket/)
      assert.match(await machine.run('holdfast', 'status'), /^edge: unattended$/m)
    })

    it('runs as a user of its own, without capabilities', async () => {
      const status = await machine.shell(`cat /proc/${await show('holdfast', 'MainPID')}/status`)
      const uid = (await machine.run('id', '--user', 'holdfast')).trim()
      assert.match(status, new RegExp(`^Uid:\\t${uid}\\t${uid}\\t${uid}\\t${uid}$`, 'm'))
      assert.match(status, /^CapBnd:\t0+$/m)
      assert.match(status, /^NoNewPrivs:\t1$/m)
    })

    it('renews when it is reloaded, without an end', async () => {
      const pid = await show('holdfast', 'MainPID')
      const { AccessKeyId } = await getAs('reader')
      await machine.run('systemctl', 'reload', 'holdfast')
      await until(async () => (await getAs('reader')).AccessKeyId !== AccessKeyId)
      assert.equal(await show('holdfast', 'MainPID'), pid)
    })

    it('is started anew when it hangs, and not before', async () => {
      await machine.shell(`mkdir --parents /run/systemd/system/holdfast.service.d
        printf '[Service]\\nWatchdogSec=4\\nRestartSec=1\\n' > /run/systemd/system/holdfast.service.d/watchdog.conf
        systemctl daemon-reload
        systemctl restart holdfast`)
      const pid = await show('holdfast', 'MainPID')
      const start = Date.now()
      await until(() => Date.now() - start > 10_000)
      assert.equal(await show('holdfast', 'MainPID'), pid)
      await machine.run('kill', '-STOP', pid)
      await until(async () => !['0', pid].includes(await show('holdfast', 'MainPID')))
      assert.match(await journal('holdfast'), /Watchdog timeout/)
      await until(async () => (await show('holdfast', 'ActiveState')) === 'active')
      assert.match((await getAs('reader')).AccessKeyId, /^ASIA/)
    })

    it('signs with a TPM, whose store is in its state folder', async () => {
      const module = findLibrary('pkcs11/libtpm2_pkcs11.so')
      await layTpmToken(module)
      const text = await readFile(machine.path('/etc/holdfast/config.toml'), 'utf8')
      const identity = text.replace('[identity.edge]', '[identity.tpm]').replace('token=edge', 'token=tpm')
      await appendFile(
        machine.path('/etc/holdfast/config.toml'),
        identity.replace(/^pkcs11-module = .*$/m, `pkcs11-module = "${module}"`),
      )
      await machine.run('systemctl', 'restart', 'holdfast')
      const get = () => as('reader', 'holdfast', 'credential-process', 'tpm')
      assert.match(JSON.parse(await get()).AccessKeyId, /^ASIA/)

      // And not where it could not be written.
      await machine.shell(`mv ${STATE}/tpm2_pkcs11 /etc/tpm2_pkcs11
        printf '[Service]\\nEnvironment=TPM2_PKCS11_STORE=/etc/tpm2_pkcs11\\n' > /run/systemd/system/holdfast.service.d/store.conf
        systemctl daemon-reload; systemctl restart holdfast`)
      await assert.rejects(get(), /STORE_UNUSABLE/)
    })

    it('starts where there is no PIN to be loaded', async () => {
      await machine.shell(`mv /etc/credstore.encrypted /etc/hidden
        systemctl restart holdfast; systemctl is-active holdfast
        mv /etc/hidden /etc/credstore.encrypted`)
    })
  })

  it('has sockets on which answers go one hop', async () => {
    await machine.run('systemctl', 'start', 'holdfast-imds.socket', 'holdfast-container.socket')
    try {
      const capture = `
import socket, struct, threading, urllib.request
url, name = "http://127.0.0.1:9911/latest/api/token", "x-aws-ec2-metadata-token-ttl-seconds"
request = urllib.request.Request(url, method="PUT", headers={name: "60"})
packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
packets.bind(("lo", 0))
packets.settimeout(30)
threading.Thread(target=lambda: urllib.request.urlopen(request).read()).start()
while True:
    packet = packets.recv(65535)[14:]
    if packet[9] == 6 and struct.unpack("!H", packet[20:22])[0] == 9911 and len(packet) > 100:
        print("TTL", packet[8], "of", packet[52:].split(b"\\r\\n")[0].decode())
        break
`
      assert.equal(await machine.run('python3', '-c', capture), 'TTL 1 of HTTP/1.1 200 OK\n')
      const ask = "fetch('http://127.0.0.1:9912/credentials/edge').then(({ status }) => console.log(status))"
      assert.equal(await machine.run('node', '--eval', ask), '401\n')
    } finally {
      await machine.run('systemctl', 'stop', 'holdfast-imds.socket', 'holdfast-container.socket', 'holdfast')
    }
  })

  describe('holdfast-update@.service', () => {
    const file = '/run/holdfast-update/edge/credentials'
    before(() => machine.run('systemctl', 'start', 'holdfast-update@edge'))
    const read = (user: string) => as(user, 'cat', file)

    it('keeps credentials in a file in memory, for the group alone, also while it starts anew', async () => {
      await until(async () => /^aws_session_token = /m.test(await read('reader')))
      await assert.rejects(read('stranger'), /Permission denied/)
      assert.match(await machine.run('stat', '--file-system', '--format=%T', file), /tmpfs/)
      const text = await read('reader')
      await machine.run('systemctl', 'restart', 'holdfast-update@edge')
      assert.match(await read('reader'), /^aws_session_token = /m)
      await until(async () => (await read('reader')) !== text)
      assert.doesNotMatch(await journal('holdfast-update@edge'), /warning/)
    })

    it('takes the file away when it is stopped', async () => {
      await machine.run('systemctl', 'stop', 'holdfast-update@edge')
      await assert.rejects(read('reader'), /No such file/)
    })
  })

  it('has an agent for one user', async () => {
    const home = machine.path('/home/reader')
    await cp(machine.path(`${STATE}/tokens`), join(home, 'tokens'), { recursive: true })
    await writeFile(join(home, 'softhsm2.conf'), 'directories.tokendir = /home/reader/tokens\n')
    await writeFile(join(home, 'pin'), '12345678', { mode: 0o600 })
    const uid = (await machine.run('id', '--user', 'reader')).trim()
    const control = 'env XDG_RUNTIME_DIR=/run/user/$UID systemctl --user'
    await machine.shell(`mkdir --parents /home/reader/.config/holdfast
      sed 's#^socket-group.*#pin-file = "/home/reader/pin"#' /etc/holdfast/config.toml > /home/reader/.config/holdfast/config.toml
      chown --recursive reader: /home/reader
      systemctl start user@${uid}
      runuser -u reader -- bash -c '${control} set-environment SOFTHSM2_CONF=/home/reader/softhsm2.conf
        ${control} start holdfast-agent'`)
    const get = 'XDG_RUNTIME_DIR=/run/user/$UID holdfast credential-process edge'
    const { AccessKeyId } = JSON.parse(await as('reader', 'bash', '-c', get))
    assert.match(AccessKeyId, /^ASIA/)
    assert.match(
      await as('reader', 'bash', '-c', 'XDG_RUNTIME_DIR=/run/user/$UID holdfast status'),
      /^edge: /m,
    )
  })
})
