/**
 * An EST server on the loopback interface that takes nothing on trust: method, path, headers, base64, the request's
 * signature, and who asks. OpenSSL packs its answers. Tests may put another answer in its place.
 */

import 'reflect-metadata'
import { execFileSync } from 'node:child_process'
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import type { TLSSocket } from 'node:tls'
import * as x509 from '@peculiar/x509'
import { type Authority, type CertificateOptions, certificatePem, createFileKey } from './certificates.js'
import { type Peer, startHttpsPeer } from './peers.js'

/** What the server wants, and how it answers. */
export interface EstServerOptions {
  authority: Authority
  /** User and password that must be given, with a colon between. */
  login?: string
  /** A certificate of the authority must be shown in TLS. */
  clientCertificate?: boolean
  /** Path segment behind the well-known one. */
  label?: string
  /** How certificates differ from what was asked for. */
  certificate?: CertificateOptions
  /** Other certificates for the answer, behind the one that was asked for. */
  chain?: readonly Uint8Array[]
  /** What `cacerts` answers; the authority's certificate if not given. */
  caCertificates?: readonly Uint8Array[]
}

/** A running server. */
export interface EstServer extends Peer {
  /** `https://127.0.0.1:port`. */
  readonly url: string
  /** Method and path of each request. */
  readonly asked: string[]
  /** Certificates that were issued, DER. */
  readonly issued: Uint8Array[]
  /** Answers the next requests, one each, instead of the server; `undefined` lets the server answer. */
  readonly instead: (RequestListener | undefined)[]
}

/** Starts a server with a TLS certificate of the authority, for 127.0.0.1 and for ca.test behind a proxy. */
export async function startEstServer(options: EstServerOptions): Promise<EstServer> {
  const { authority } = options
  const base = `/.well-known/est${options.label === undefined ? '' : `/${options.label}`}`
  const [asked, issued, instead]: [string[], Uint8Array[], EstServer['instead']] = [[], [], []]

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method, url } = request
    if (options.clientCertificate && !(request.socket as TLSSocket).authorized)
      throw new Refusal(403, 'no certificate')
    const basic = `Basic ${Buffer.from(options.login ?? '').toString('base64')}`
    if (options.login !== undefined && request.headers.authorization !== basic) {
      response.setHeader('WWW-Authenticate', 'Basic realm="est"')
      throw new Refusal(401, 'who are you?')
    }
    if (method === 'GET' && url === `${base}/cacerts`) {
      sendCertificates(response, options.caCertificates ?? [authority.certificate])
    } else if (method === 'POST' && (url === `${base}/simpleenroll` || url === `${base}/simplereenroll`)) {
      const csr = await readRequest(request)
      if (url.endsWith('simplereenroll')) verifyRenewal(csr, issued)
      const names = alternativeNames(csr)
      const certificate = await authority.issue(new Uint8Array(csr.publicKey.rawData), {
        subject: csr.subject,
        ...(names === undefined ? {} : { subjectAltNames: names }),
        ...options.certificate,
      })
      issued.push(certificate)
      sendCertificates(response, [certificate, ...(options.chain ?? [])])
    } else {
      throw new Refusal(404, `no ${method} ${url}`)
    }
  }

  const peer = await startHttpsPeer(
    {
      ...(await issueServer(authority)),
      ca: authority.certificatePem,
      requestCert: options.clientCertificate === true,
      rejectUnauthorized: false,
      minVersion: 'TLSv1.2',
    },
    (request, response) => {
      asked.push(`${request.method} ${request.url}`)
      const other = instead.shift()
      if (other !== undefined) return other(request, response)
      answer(request, response).catch((error: Error) => {
        response.writeHead(error instanceof Refusal ? error.status : 500, { 'Content-Type': 'text/plain' })
        response.end(error.message)
      })
    },
  )
  return { ...peer, url: `https://127.0.0.1:${peer.port}`, asked, issued, instead }
}

async function issueServer(authority: Authority): Promise<{ cert: string; key: string }> {
  const key = await createFileKey('P-256')
  const certificate = await authority.issue(key.publicKey, {
    subject: 'CN=ca.test',
    subjectAltNames: [
      { type: 'dns', value: 'ca.test' },
      { type: 'ip', value: '127.0.0.1' },
    ],
  })
  return { cert: certificatePem(certificate), key: key.privateKeyPem }
}

class Refusal extends Error {
  readonly status: number
  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

async function readRequest(request: IncomingMessage): Promise<x509.Pkcs10CertificateRequest> {
  if (request.headers['content-type'] !== 'application/pkcs10')
    throw new Refusal(415, 'not application/pkcs10')
  let text = ''
  for await (const chunk of request.setEncoding('latin1')) text += chunk
  // RFC 2045 §6.8: lines of at most 76 characters.
  if (!/^([A-Za-z0-9+/=]{1,76}\r?\n)*[A-Za-z0-9+/=]{1,76}\r?\n?$/.test(text))
    throw new Refusal(400, 'not base64')
  const csr = new x509.Pkcs10CertificateRequest(Buffer.from(text, 'base64'))
  if (!(await csr.verify())) throw new Refusal(400, 'the request is not signed with its key')
  return csr
}

type Named = x509.Pkcs10CertificateRequest | x509.X509Certificate

function alternativeNames({ extensions }: Named): x509.JsonGeneralNames | undefined {
  const found = extensions.find((extension) => extension instanceof x509.SubjectAlternativeNameExtension)
  return (found as x509.SubjectAlternativeNameExtension | undefined)?.names.toJSON()
}

/** RFC 7030 §4.2.2: subject and alternative names are those of the certificate that is renewed. */
function verifyRenewal(csr: x509.Pkcs10CertificateRequest, issued: readonly Uint8Array[]): void {
  const names = (of: Named) => `${of.subject} ${JSON.stringify(alternativeNames(of))}`
  if (issued.some((der) => names(new x509.X509Certificate(der)) === names(csr))) return
  throw new Refusal(400, `nothing was issued to ${names(csr)}`)
}

function sendCertificates(response: ServerResponse, certificates: readonly Uint8Array[]): void {
  response.writeHead(200, {
    'Content-Type': 'application/pkcs7-mime; smime-type=certs-only',
    'Content-Transfer-Encoding': 'base64',
  })
  response.end(formatCertsOnly(...certificates))
}

/** A certs-only message as OpenSSL makes it, in base64 with line ends. */
export function formatCertsOnly(...certificates: readonly Uint8Array[]): string {
  // OpenSSL opens it by its name, which takes a pipe, where Node gives a socket.
  const command = 'cat | openssl crl2pkcs7 -nocrl -certfile /dev/stdin -outform DER'
  const message = execFileSync('sh', ['-c', command], { input: certificatePem(...certificates) })
  return message.toString('base64').replaceAll(/.{64}/g, '$&\r\n')
}
