/**
 * One line of `/proc/PID/stat`, as far as the PIN needs it: is this process in the terminal's foreground,
 * and does the process that wrote a record still live.
 * @see proc_pid_stat(5)
 */

/** Numbers in the reader's PID namespace. `startTime` is in clock ticks since boot, so it tells two users of one PID apart. */
export interface ProcessStatus {
  readonly pid: number
  /** One letter; `Z` and `X` are dead processes. */
  readonly state: string
  readonly processGroup: number
  /** Foreground process group of the controlling terminal; -1 without one. */
  readonly terminalProcessGroup: number
  readonly startTime: string
}

/** Reads the line; undefined if it has another form. */
export function findProcessStatus(line: string): ProcessStatus | undefined {
  // The second field is the program's name in parentheses and may itself hold blanks and parentheses.
  const nameEnd = line.lastIndexOf(')')
  const pid = Number.parseInt(line, 10)
  const [state, , processGroup, , , terminalProcessGroup, ...rest] = line.slice(nameEnd + 2).split(' ')
  const startTime = rest[13]
  if (nameEnd === -1 || Number.isNaN(pid) || state === undefined || startTime === undefined) return undefined
  return {
    pid,
    state,
    processGroup: Number(processGroup),
    terminalProcessGroup: Number(terminalProcessGroup),
    startTime,
  }
}
