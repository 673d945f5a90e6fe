/**
 * A machine of its own under systemd: a container with the files of this one, whose changes are in memory and go away with
 * it, without a network but its loopback interface. Takes root.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { run } from './command.js'
import { until } from './outcome.js'

const ROOT = resolve(import.meta.dirname, '../..')

/** Where the sources are in the machine. */
export const SOURCES = '/opt/holdfast'

/** A machine that has started. */
export interface SystemdMachine {
  /** A path as it is called here of a file in the machine. */
  path(inside: string): string
  /** Runs a command in the machine as root; gives its stdout. Throws unless its status is 0. */
  run(command: string, ...args: string[]): Promise<string>
  /** Runs shell commands. */
  shell(script: string): Promise<string>
  /** What a unit and systemd have said of it. */
  journal(unit: string): Promise<string>
  /** A property of a unit. */
  show(unit: string, property: string): Promise<string>
  dispose(): Promise<void>
}

/** Layers memory over the files of this machine, and starts systemd there. */
const BOOT = `set -e
mount --make-rprivate /
mount -t tmpfs -o mode=0755 tmpfs "$1"
mkdir "$1"/upper "$1"/work "$1"/root
mount -t overlay overlay -o lowerdir=/,upperdir="$1"/upper,workdir="$1"/work "$1"/root
systemd-id128 new > "$1"/root/etc/machine-id
exec systemd-nspawn --quiet --boot --directory="$1"/root --bind-ro="$2":${SOURCES} \\
  --bind-ro="$3":/usr/local/bin/node --private-network --register=no --keep-unit --settings=no \\
  --link-journal=no --resolv-conf=off --timezone=off --console=pipe -- --unit=basic.target`

/** Starts one, with \`holdfast\` on its PATH. */
export async function bootSystemd(): Promise<SystemdMachine> {
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-systemd-'))
  const boot = ['unshare', '--mount', 'bash', '-c', BOOT, 'boot', directory, ROOT, process.execPath]
  // It ends with this process.
  const container = spawn('setpriv', ['--pdeathsig', 'TERM', ...boot], { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  for (const output of [container.stdout, container.stderr]) {
    output.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
  }
  const ended = once(container, 'exit')
  const dispose = async () => {
    if (container.exitCode === null) container.kill('SIGTERM')
    await ended
    await rm(directory, { recursive: true, force: true })
  }
  try {
    const init = await findInit(container, () => said)
    const enter = ['--target', String(init), '--mount', '--pid', '--uts', '--ipc', '--net', '--root']
    const surroundings = ['env', '-i', '-C', '/', 'HOME=/root', 'LANG=C.UTF-8']
    const PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
    const machine: SystemdMachine = {
      path: (inside) => `/proc/${init}/root${inside}`,
      run: (...command) => run('nsenter', [...enter, ...surroundings, PATH, ...command], {}, 120_000),
      shell: (script) => machine.run('bash', '-euc', script),
      journal: (unit) => machine.run('journalctl', '--unit', unit, '--no-pager', '--output=cat'),
      show: async (unit, property) =>
        (await machine.run('systemctl', 'show', '--property', property, '--value', unit)).trim(),
      dispose,
    }
    await until(() =>
      machine.run('systemctl', 'is-system-running').then(
        () => true,
        () => false,
      ),
    )
    await machine.run('ln', '-s', `${SOURCES}/dist/bin.cjs`, '/usr/local/bin/holdfast')
    return machine
  } catch (error) {
    await dispose()
    throw error
  }
}

/** Installs the units as the README says, and makes two users: `reader`, who may use the agent, and `stranger`. */
export async function installUnits(machine: SystemdMachine): Promise<void> {
  await machine.shell(`cd ${SOURCES}/scripts/systemd
    install -D -m 644 holdfast.sysusers.conf /usr/lib/sysusers.d/holdfast.conf
    install -m 644 -t /etc/systemd/system *.service *.socket *.timer
    install -D -m 644 -t /etc/systemd/user user/*.service
    systemd-sysusers
    useradd --groups holdfast --create-home reader
    useradd stranger
    systemctl daemon-reload`)
}

/** Makes the PIN a credential of the services, which is in no file that can be read. */
export async function storePin(machine: SystemdMachine, pin: string): Promise<void> {
  await machine.shell(`mkdir --parents /etc/credstore.encrypted
    printf ${pin} | systemd-creds encrypt --with-key=host --name=holdfast.pin - /etc/credstore.encrypted/holdfast.pin`)
}

/** Sets variables for units, over what their files say. */
export async function setEnvironment(
  machine: SystemdMachine,
  variables: string,
  ...units: string[]
): Promise<void> {
  for (const unit of units) {
    await machine.shell(`mkdir --parents /etc/systemd/system/${unit}.service.d
      printf '[Service]\\nEnvironment=${variables}\\n' > /etc/systemd/system/${unit}.service.d/test.conf`)
  }
  await machine.run('systemctl', 'daemon-reload')
}

/** Where Roles Anywhere is in the machine, and its names. */
export interface MachineEmulator {
  readonly url: string
  readonly trustAnchorArn: string
  readonly profileArn: string
  readonly roleArn: string
}

/** Starts Roles Anywhere in the machine. @param ca path of the certificate of whom it trusts */
export async function startMachineEmulator(machine: SystemdMachine, ca: string): Promise<MachineEmulator> {
  const flags = ['--ca', ca, '--role-arn', 'arn:aws:iam::111122223333:role/edge', '--json']
  await machine.run('systemd-run', '--unit=emulator', '--', 'holdfast', 'emulator', ...flags)
  let ready = ''
  await until(async () => {
    ready = /^\{"url".*\}$/m.exec(await machine.journal('emulator'))?.[0] ?? ''
    return ready !== ''
  })
  return JSON.parse(ready)
}

/** Starts a TPM in software that belongs to the agent's user. @returns the variable that leads there */
export async function startMachineTpm(machine: SystemdMachine): Promise<string> {
  const socket = '/run/tpm/socket'
  await machine.shell(`mkdir /run/tpm /run/tpm/state
    systemd-run --unit=tpm --property=User=holdfast --property=PermissionsStartOnly=yes \\
      --property='ExecStartPre=+chown --recursive holdfast: /run/tpm' -- \\
      swtpm socket --tpm2 --tpmstate dir=/run/tpm/state --server type=unixio,path=${socket} \\
      --ctrl type=unixio,path=${socket}.ctrl --flags not-need-init,startup-clear`)
  await until(() =>
    machine.run('test', '-S', socket).then(
      () => true,
      () => false,
    ),
  )
  return `TPM2_PKCS11_TCTI=swtpm:path=${socket}`
}

/** The first process of the container. */
async function findInit({ pid, exitCode }: ChildProcess, said: () => string): Promise<number> {
  let init = Number.NaN
  await until(async () => {
    if (exitCode !== null) throw new Error(`no container: ${said()}`)
    const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '')
    init = Number.parseInt(children, 10)
    const name = await readFile(`/proc/${init}/comm`, 'utf8').catch(() => '')
    return name === 'systemd\n'
  })
  return init
}
