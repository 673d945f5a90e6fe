/**
 * Renewal as a service, in a container that systemd runs: with a key in a TPM whose store belongs to the agent's user and
 * an EST server, and with SoftHSM and the local CA; not due, due, refused, at its time, and taken up by what runs.
 */

import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { findLibrary } from '../support/command.js'
import { until } from '../support/outcome.js'
import {
  bootSystemd,
  installUnits,
  type MachineEmulator,
  SOURCES,
  type SystemdMachine,
  setEnvironment,
  startMachineEmulator,
  startMachineTpm,
  storePin,
} from '../support/systemd.js'

const STATE = '/var/lib/holdfast-agent'
const STORE = `TPM2_PKCS11_STORE=${STATE}/tpm2_pkcs11`
const SOFTHSM = `SOFTHSM2_CONF=${STATE}/softhsm2.conf`
const CONFIG = '/etc/holdfast/config.toml'
const CA = '/var/lib/holdfast/ca'
const CA_FLAGS = `--ca ${CA} --passphrase-file /etc/holdfast/ca-passphrase`
const PIN = '12345678'

describe('scripts/systemd/holdfast-renew@.service', function () {
  this.timeout(300_000)
  let machine: SystemdMachine
  let emulator: MachineEmulator
  let [estUrl, tcti] = ['', '']

  before(async () => {
    machine = await bootSystemd()
    await installUnits(machine)
    await storePin(machine, PIN)
    await machine.run('install', '-d', '-o', 'holdfast', '-g', 'holdfast', '-m', '700', STATE)
    await machine.run('mkdir', '--parents', '/etc/holdfast/renew')
    await write('/etc/holdfast/ca-passphrase', 'correct horse')
    await machine.shell(`holdfast ca init --subject CN=ca ${CA_FLAGS}`)
    estUrl = await startEst()
    await machine.shell(`cat ${CA}/ca.pem /etc/est-ca.pem > /etc/cas.pem`)
    emulator = await startMachineEmulator(machine, '/etc/cas.pem')
    tcti = await startMachineTpm(machine)
    await setEnvironment(machine, `${SOFTHSM} ${tcti}`, 'holdfast', 'holdfast-renew@')
  })
  after(() => machine?.dispose())

  const write = (file: string, text: string) => writeFile(machine.path(file), text, { mode: 0o600 })
  const readConfig = () => readFile(machine.path(CONFIG), 'utf8')
  const renew = (name: string) => machine.run('systemctl', 'start', `holdfast-renew@${name}`)
  /** What the service has said in its last run. */
  const said = async (name: string) =>
    (await machine.journal(`holdfast-renew@${name}`)).split(/^Starting /m).at(-1)!
  /** Serial numbers of the certificates with which the agent has got sessions, the last one last. */
  const serials = async (name: string) => {
    const lines = (await machine.journal('holdfast')).matchAll(/ refreshed identity=(\w+) .*serial=(\w+)$/gm)
    return [...lines].filter(([, identity]) => identity === name).map(([, , serial]) => serial!)
  }
  const enroll = (name: string, variables: string, flags: string) =>
    machine.shell(`env ${variables} HOLDFAST_PIN=${PIN} holdfast enroll ${name} --token ${name} ${flags} \
      --trust-anchor-arn ${emulator.trustAnchorArn} --profile-arn ${emulator.profileArn} \
      --role-arn ${emulator.roleArn} --endpoint ${emulator.url}`)
  const assertAllIsTheAgents = async () =>
    assert.equal(await machine.shell(`find ${STATE} ! -user holdfast -o ! -group holdfast`), '')

  /** An EST server in the machine, whose certificates first last for 20 days. @returns its URL */
  async function startEst(): Promise<string> {
    await write('/etc/est-days', '20')
    await write('/etc/est-password', 'password')
    const est = ['node', '--import', 'tsx', 'test/support/est-program.ts', '/etc/est-ca.pem', '/etc/est-days']
    await machine.run('systemd-run', '--unit=est', `--working-directory=${SOURCES}`, '--', ...est)
    let url: string | undefined
    await until(async () => {
      url = /^https:.*$/m.exec(await machine.journal('est'))?.[0]
      return url !== undefined
    })
    return url!
  }

  describe('with a TPM and EST', () => {
    before(async () => {
      const flags = `--est-url ${estUrl} --est-ca /etc/est-ca.pem --est-user edge --est-password-file /etc/est-password`

      // As the README says.
      await write('/run/pin', PIN)
      await machine.shell(`chown holdfast /run/pin
        install -d -o holdfast -g holdfast -m 700 ${STATE}/tpm2_pkcs11
        runuser -u holdfast -- env ${STORE} ${tcti} holdfast token init --module tpm2 --label edge \
          --so-pin-file /run/pin --new-pin-file /run/pin
        rm /run/pin`)
      await enroll('edge', `${STORE} ${tcti}`, `--module tpm2 ${flags}`)
      await write('/etc/holdfast/renew/edge.env', `ENROLL_FLAGS=${flags}\n`)
      await machine.run('systemctl', 'start', 'holdfast')
      await until(async () => (await serials('edge')).length === 1)
    })

    it('leaves all as it is where no certificate is issued, and says why', async () => {
      const config = await readConfig()
      await write('/etc/est-password', 'wrong')
      await assert.rejects(renew('edge'))
      assert.equal(await machine.show('holdfast-renew@edge', 'ActiveState'), 'failed')
      const text = await said('edge')
      assert.match(text, /^holdfast: the EST server \S+ answered 401 .*\(ISSUER_REFUSED\)$/m)
      assert.match(text, /^holdfast: warning: the renewal of edge has begun.* run the same command again/m)
      assert.equal(await readConfig(), config)
      await machine.run('systemctl', 'reload', 'holdfast')
      await until(async () => (await serials('edge')).length === 2)
      assert.equal(new Set(await serials('edge')).size, 1)
    })

    it('renews, and an agent that runs takes it up', async () => {
      const pid = await machine.show('holdfast', 'MainPID')
      await write('/etc/est-password', 'password')
      await write('/etc/est-days', '90')
      await renew('edge')
      assert.match(await said('edge'), /^edge is renewed:$/m)
      assert.match(await readConfig(), /^pkcs11-uri = "pkcs11:token=edge;id=%02"$/m)
      await until(async () => new Set(await serials('edge')).size === 2)
      assert.equal(await machine.show('holdfast', 'MainPID'), pid)
      await assertAllIsTheAgents()
    })

    it('does nothing while there is time, but to remove the old pair', async () => {
      const config = await readConfig()
      await renew('edge')
      const text = await said('edge')
      assert.match(text, /^holdfast: removed pkcs11:token=edge;id=%01, which had been replaced$/m)
      assert.match(text, /^the certificate .* of edge is valid for another 89 days: nothing to do$/m)
      await renew('edge')
      assert.doesNotMatch(await said('edge'), /removed|renewed|request/)
      assert.equal(await readConfig(), config)
    })

    it('is started by its timer', async () => {
      await machine.shell(`mkdir /etc/systemd/system/holdfast-renew@.timer.d
        printf '[Timer]\\nOnActiveSec=1s\\nRandomizedDelaySec=0\\nAccuracySec=1s\\n' > /etc/systemd/system/holdfast-renew@.timer.d/soon.conf
        systemctl daemon-reload`)
      const runs = async () => (await machine.journal('holdfast-renew@edge')).split('Finished').length
      const former = await runs()
      await machine.run('systemctl', 'enable', '--now', 'holdfast-renew@edge.timer')
      await until(async () => (await runs()) > former)
      assert.match(
        await machine.run('systemctl', 'list-timers'),
        /holdfast-renew@edge\.timer +holdfast-renew@edge\.service/,
      )
      const daily = 'OnCalendar=*-*-* 00:00:00'
      assert.ok((await machine.show('holdfast-renew@edge.timer', 'TimersCalendar')).includes(daily))
    })
  })

  describe('with SoftHSM and the local CA', () => {
    it('leaves key, certificate and configuration to those who could read them before', async () => {
      const sign = `holdfast ca sign ${CA_FLAGS}`
      await machine.shell(`printf 'directories.tokendir = ${STATE}/tokens\\n' > ${STATE}/softhsm2.conf
        mkdir ${STATE}/tokens
        ${SOFTHSM} softhsm2-util --init-token --free --label soft --pin ${PIN} --so-pin ${PIN}`)
      await enroll(
        'soft',
        SOFTHSM,
        `--module ${findLibrary('softhsm/libsofthsm2.so')} --certificate-out /etc/holdfast/soft.pem --issue-command "${sign} --days 20"`,
      )
      await machine.shell(`chown --recursive holdfast: ${STATE}
        chown root:holdfast ${CONFIG}; chmod 640 ${CONFIG}`)
      await write('/etc/holdfast/renew/soft.env', `ENROLL_FLAGS=--issue-command "${sign}"\n`)
      await machine.run('systemctl', 'restart', 'holdfast')
      await until(async () => (await serials('soft')).length === 1)

      await renew('soft')
      await until(async () => new Set(await serials('soft')).size === 2)
      await assertAllIsTheAgents()
      assert.equal(await machine.run('stat', '--format=%a %U %G', CONFIG), '640 root holdfast\n')
    })
  })
})
