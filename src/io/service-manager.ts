/**
 * Tells systemd how the service is doing, where it wants to know. That goes to a datagram socket, which Node cannot open, so
 * systemd's own program sends it; the unit has `NotifyAccess=all`.
 * @see sd_notify(3), systemd-notify(1), sd_watchdog_enabled(3)
 */

import { spawn } from 'node:child_process'

/** What the service manager is told. */
export interface ServiceManager {
  ready(): void
  stopping(): void
  /** Sends signs of life until the end, if they are wanted. */
  keepAlive(): void
  close(): void
}

/** Where the service manager is, from its variables; without them it is told nothing. */
export interface ServiceManagerParts {
  readonly env: Readonly<Record<string, string | undefined>>
  /** Of this process. */
  readonly pid: number
  /** Is told why nothing could be told. */
  readonly onError: (message: string) => void
}

/** Finds the service manager that has started this process, if one has. */
export function createServiceManager({ env, pid, onError }: ServiceManagerParts): ServiceManager {
  let timer: NodeJS.Timeout | undefined
  const notify = (what: string) => {
    if (!env.NOTIFY_SOCKET) return
    spawn('systemd-notify', [what], { env, stdio: 'ignore' })
      .on('error', ({ message }) => onError(`systemd-notify: ${message}`))
      .on('exit', (status) => {
        if (status !== 0) onError(`systemd-notify ${what} ended with status ${status}`)
      })
      .unref()
  }
  return {
    ready: () => notify('READY=1'),
    stopping: () => notify('STOPPING=1'),
    keepAlive() {
      const limitMs = Number(env.WATCHDOG_USEC) / 1000
      const isForUs = env.WATCHDOG_PID === undefined || env.WATCHDOG_PID === String(pid)
      if (!isForUs || !(limitMs > 0)) return
      timer = setInterval(() => notify('WATCHDOG=1'), limitMs / 2)
    },
    close: () => clearInterval(timer),
  }
}
