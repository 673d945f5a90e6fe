/**
 * mocha's own report, then what the run left out (scripts/test says it), then one line with the counts.
 */

import mocha from 'mocha'

export default class Reporter extends mocha.reporters.Spec {
  override epilogue(): void {
    super.epilogue()
    const leftOut = process.env.HOLDFAST_LEFT_OUT
    if (leftOut) console.log(`Left to scripts/test --all:\n${leftOut}\n`)
    const { passes, failures } = this.stats
    console.log(`${passes} passed, ${failures} failed`)
  }
}
