/**
 * Sockets that systemd has opened and passes to this program, each with the name that its unit gives it.
 * @see https://www.freedesktop.org/software/systemd/man/latest/sd_listen_fds.html
 */

const FIRST_FD = 3

/** File descriptors by name; none if the variables are another process's. @param pid of this process */
export function parseListenFds(
  env: Readonly<Record<string, string | undefined>>,
  pid: number,
): Map<string, number> {
  const { LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES } = env
  if (LISTEN_PID !== String(pid) || !/^\d{1,3}$/.test(LISTEN_FDS ?? '')) return new Map()
  const names = (LISTEN_FDNAMES ?? '').split(':').slice(0, Number(LISTEN_FDS))
  return new Map(names.map((name, index) => [name, FIRST_FD + index]))
}
