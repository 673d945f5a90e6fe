/**
 * Who issues the certificate for a request: a person or a program that puts it at a path, a command that prints it, or an
 * EST server.
 */

import { chooseIssued } from '../core/enroll/enrolment.js'
import { readEstReply } from '../core/enroll/est.js'
import { HoldfastError } from '../core/errors.js'
import type { Certificate } from '../core/x509/certificate.js'
import { formatPem } from '../core/x509/pem.js'
import { withDeadline } from '../io/deadline.js'
import { isThere } from '../io/exchange-file.js'
import { runIssueCommand } from '../io/issue-command.js'
import { askEstServer, type EstClientOptions } from '../io/network/est.js'
import { parseCertificates, readCertificates } from '../io/pem-file.js'

/** What is asked of an issuer. */
export interface IssueRequest {
  /** PKCS#10, DER. */
  readonly request: Uint8Array
  /** DER SubjectPublicKeyInfo of its key. */
  readonly publicKey: Uint8Array
  /** The request is for the names of a certificate that is to be replaced. */
  readonly isRenewal: boolean
}

/** Certificates, the wanted one among them; or what to wait for, and how long until it is worth to ask again. */
export type IssueAnswer =
  | { readonly certificates: readonly Certificate[] }
  | {
      readonly waitFor: string
      readonly askAgainMs: number
      /** What was wrong, if it is still so when the time is up. */
      readonly otherwise?: HoldfastError
    }

/** What an issuer is asked with. */
export interface IssuerOptions {
  readonly signal: AbortSignal
  /** Is told of a file, before it is written, that is of no more use once the certificate is there. */
  readonly leaves: (requestFile: string) => Promise<void>
}

/** Somebody who issues certificates. It may be asked again for the same request. */
export type Issuer = (request: IssueRequest, options: IssuerOptions) => Promise<IssueAnswer>

const LOOK_AGAIN_MS = 1000
/** RFC 7030 §4.2.3 wants a server to name a time; some do not. */
const ASK_AGAIN_MS = 60_000

/**
 * Waits for a certificate to appear at `path`; the request is put beside it.
 * @param writeRequest writes a file that everybody may read
 */
export function createPathIssuer(
  path: string,
  writeRequest: (path: string, text: string) => Promise<void>,
): Issuer {
  return async ({ request, publicKey }, { leaves }) => {
    const requestPath = `${path}.csr`
    await leaves(requestPath)
    await writeRequest(requestPath, formatPem('CERTIFICATE REQUEST', request))
    const waiting = (why: string) => ({
      waitFor: `${why}: have ${requestPath} signed, and put the certificate there`,
      askAgainMs: LOOK_AGAIN_MS,
    })
    if (!(await isThere(path))) return waiting(`there is no ${path} yet`)
    try {
      const certificates = await readCertificates(path)
      chooseIssued(certificates, publicKey)
      return { certificates }
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error
      if (error.code === 'KEY_MISMATCH') return waiting(`what ${path} holds is for another key`)
      // It may be that somebody is still writing it.
      const isPart = error.code === 'CERTIFICATE_INVALID' || error.code === 'CERTIFICATE_NOT_FOUND'
      if (isPart) return { ...waiting(`${path} holds no whole certificate yet`), otherwise: error }
      throw error
    }
  }
}

/** Runs a program, which gets the request in PEM on stdin and prints the certificate. */
export function createCommandIssuer(
  words: readonly string[],
  { env, timeoutMs }: { env: Readonly<Record<string, string | undefined>>; timeoutMs: number },
): Issuer {
  return async ({ request }, { signal }) => {
    const expired = new HoldfastError(
      'ISSUER_FAILED',
      `the issue command ${words[0]} did not end within ${timeoutMs / 1000} s (--wait)`,
    )
    const output = await withDeadline({ signal, timeoutMs, expired }, (deadline) =>
      runIssueCommand(words, formatPem('CERTIFICATE REQUEST', request), { env, signal: deadline }),
    )
    return { certificates: parseCertificates(output, 'what the issue command printed') }
  }
}

/** Asks an EST server. With explicit trust it is also asked for the certificates above the one that it issues. */
export function createEstIssuer(
  client: EstClientOptions,
  { timeoutMs, warn }: { timeoutMs: number; warn: (text: string) => void },
): Issuer {
  const server = client.url.host
  return async ({ request, isRenewal }, { signal }) => {
    const ask = async (operation: 'cacerts' | 'simpleenroll' | 'simplereenroll', csr?: Uint8Array) => {
      const expired = new HoldfastError(
        'DEADLINE_EXCEEDED',
        `no answer within ${timeoutMs / 1000} s (--timeout)`,
      )
      const reply = await withDeadline({ signal, timeoutMs, expired }, (deadline) =>
        askEstServer({ operation, csr }, client, { signal: deadline }),
      )
      return readEstReply(reply, { server, operation, now: client.now() })
    }
    const answer = await ask(isRenewal ? 'simplereenroll' : 'simpleenroll', request)
    if (answer.kind === 'pending') {
      return {
        waitFor: `the EST server ${server} has taken the request, and a person must approve it`,
        askAgainMs: (answer.retryAfterSeconds ?? 0) * 1000 || ASK_AGAIN_MS,
      }
    }
    if (client.ca === undefined) return answer
    const above = await ask('cacerts').catch((error) => {
      if (!(error instanceof HoldfastError) || signal.aborted) throw error
      warn(`the certificates of the CA are not known, and so no intermediate: ${error.message}`)
      return { kind: 'issued', certificates: [] } as const
    })
    return { certificates: [...answer.certificates, ...(above.kind === 'issued' ? above.certificates : [])] }
  }
}
