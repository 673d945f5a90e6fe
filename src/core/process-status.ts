/**
 * One line of `/proc/PID/stat`, as far as it is needed: is this process in the terminal's foreground, and does another one
 * still live that has written down who it is.
 * @see proc_pid_stat(5)
 */

/** Numbers in the reader's PID namespace. `startTime` is in clock ticks since boot, so it tells two users of one PID apart. */
export interface ProcessStatus {
  readonly pid: number
  /** One letter; `Z` and `X` are dead processes. */
  readonly state: string
  readonly processGroup: number
  /** Device number of the controlling terminal; 0 without one. */
  readonly terminal: number
  /** Foreground process group of the controlling terminal; -1 without one. */
  readonly terminalProcessGroup: number
  readonly startTime: string
}

/** What tells one process from all others that have run or will run on this machine. What is not known is 0 or empty. */
export interface ProcessIdentity {
  readonly pid: number
  /** As in {@link ProcessStatus}. */
  readonly startTime: string
  readonly bootId: string
}

/** Reads the line; undefined if it has another form. */
export function findProcessStatus(line: string): ProcessStatus | undefined {
  // The second field is the program's name in parentheses and may itself hold blanks and parentheses.
  const nameEnd = line.lastIndexOf(')')
  const pid = Number.parseInt(line, 10)
  const [state, , processGroup, , terminal, terminalProcessGroup, ...rest] = line
    .slice(nameEnd + 2)
    .split(' ')
  const startTime = rest[13]
  if (nameEnd === -1 || Number.isNaN(pid) || state === undefined || startTime === undefined) return undefined
  return {
    pid,
    state,
    processGroup: Number(processGroup),
    terminal: Number(terminal),
    terminalProcessGroup: Number(terminalProcessGroup),
    startTime,
  }
}
