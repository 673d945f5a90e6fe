/**
 * Preloaded into a program (NODE_OPTIONS=--require), kills it with SIGKILL at the step of DIE_AT that it takes to change
 * the disk, counted from 1: before the step, or for `half` after a write of half the bytes.
 */

const fs = require('node:fs')

const [at, half] = (process.env.DIE_AT ?? '').split(' ')
let step = 0

function die() {
  process.kill(process.pid, 'SIGKILL')
  for (;;); // it comes at once, and not in the middle of the next line
}

for (const name of ['mkdirSync', 'writeFileSync', 'fsyncSync', 'linkSync', 'renameSync', 'unlinkSync']) {
  const real = fs[name]
  fs[name] = (...args) => {
    if (++step === Number(at)) {
      if (half && name === 'writeFileSync') fs.writeSync(args[0], args[1].slice(0, args[1].length / 2))
      die()
    }
    return real(...args)
  }
}
