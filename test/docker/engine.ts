/**
 * A Docker engine for tests: the one that answers, or else one that is started here and goes away with all it
 * holds. The latter gets its image of Debian from debootstrap rather than from a registry of images, and
 * leaves the machine's packet filter alone.
 */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, openSync, readFileSync, watch } from 'node:fs'
import { cp, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { run } from '../support/command.js'

const CACHE = resolve(import.meta.dirname, '../../.cache/docker')

/** An engine that answers. */
export interface Engine {
  /** Environment of `docker` and `docker-compose`, and of what docker-compose.yml reads. */
  readonly env: Readonly<Record<string, string>>
  close(): Promise<void>
}

/** Finds the engine that this user may use, or starts one, which takes root. */
export async function openEngine(): Promise<Engine> {
  const here = await run('docker', ['version']).catch(() => undefined)
  if (here !== undefined) return { env: {}, close: async () => undefined }
  if (process.getuid?.() !== 0) {
    throw new Error(
      'no Docker engine answers, and only root can start one. Start it and join its group ' +
        '(sudo systemctl start docker; sudo usermod --append --groups docker $USER), or run this as root',
    )
  }
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-engine-'))
  const stop = await startDaemon(directory)
  // No bridge leads out of this engine: builds use the machine's own network.
  const env = { DOCKER_HOST: `unix://${directory}/docker.sock`, HOLDFAST_BUILD_NETWORK: 'host' }
  const close = async () => {
    await stop()
    await rm(directory, { recursive: true, force: true, maxRetries: 9 })
  }
  try {
    await run('docker', ['import', await makeDebian(), 'debian:bookworm-slim'], env)
  } catch (error) {
    await close()
    throw error
  }
  return { env, close }
}

/**
 * Starts dockerd and waits until it listens; gives what ends it. In namespaces of its own, so that all it has started
 * and mounted ends with it, and it with this process.
 */
async function startDaemon(directory: string): Promise<() => Promise<void>> {
  const files = ['data-root', 'exec-root', 'pidfile'].map((name) => `--${name}=${join(directory, name)}`)
  const flags = ['--iptables=false', '--ip6tables=false', '--ip-forward=false', '--bridge=none']
  const log = join(directory, 'log')
  const daemon = spawn(
    'setpriv',
    [
      ...['--pdeathsig', 'KILL', 'unshare', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'],
      ...['dockerd', `--host=unix://${directory}/docker.sock`, ...files, ...flags],
    ],
    { stdio: ['ignore', 'ignore', openSync(log, 'w')] },
  )
  const ended = once(daemon, 'exit')
  const watcher = watch(log)
  const ready = await new Promise<boolean>((decide) => {
    watcher.on('change', () => readFileSync(log, 'utf8').includes('API listen on') && decide(true))
    void ended.then(() => decide(false))
  })
  watcher.close()
  if (!ready) {
    throw new Error(`this machine cannot run containers, says dockerd: ${readFileSync(log, 'utf8')}`)
  }
  return async () => {
    daemon.kill('SIGKILL')
    await ended
  }
}

/** A tar archive of the smallest Debian 12, made once; with the authorities that this machine trusts besides Debian's. */
async function makeDebian(): Promise<string> {
  const archive = join(CACHE, `debian-bookworm-${process.arch}.tar`)
  if (existsSync(archive)) return archive
  await mkdir(CACHE, { recursive: true })
  const root = await mkdtemp(join(tmpdir(), 'holdfast-debian-'))
  try {
    await run('debootstrap', ['--variant=minbase', 'bookworm', root], {}, 300_000)
    const authorities = 'usr/local/share/ca-certificates'
    if (existsSync(join('/', authorities))) {
      await cp(join('/', authorities), join(root, authorities), { recursive: true })
    }
    // As in Debian's own image: a layer need not survive a power failure.
    await writeFile(join(root, 'etc/dpkg/dpkg.cfg.d/unsafe-io'), 'force-unsafe-io\n')
    const leftOut = ['./var/cache/apt/archives/*.deb', './var/lib/apt/lists/*'].map(
      (name) => `--exclude=${name}`,
    )
    await run('tar', ['--create', '--file', `${archive}.new`, '--directory', root, ...leftOut, '.'])
    await rename(`${archive}.new`, archive)
  } finally {
    await rm(root, { recursive: true, force: true })
  }
  return archive
}
