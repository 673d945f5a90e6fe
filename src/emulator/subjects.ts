/**
 * Subjects: the service's audit record of each certificate identity that was seen, and how it fared last.
 */
import type { Certificate } from './certificate.js'
import { newResource, type Subject, type World } from './state.js'

/** Certificates of one subject that are kept. */
const MAX_CREDENTIALS = 10

/** Notes that `certificate`, which is trusted, asked for a session, and whether that failed. */
export function recordSubject(
  { state, now }: World,
  certificate: Certificate,
  { failed }: { failed: boolean },
): Subject {
  const seenAt = now().toISOString()
  let subject = state.subjects.find((item) => item.x509Subject === certificate.subjectText)
  if (subject === undefined) {
    const { id, arn } = newResource(state, 'subject')
    subject = {
      subjectArn: arn,
      subjectId: id,
      enabled: true,
      x509Subject: certificate.subjectText,
      lastSeenAt: seenAt,
      createdAt: seenAt,
      updatedAt: seenAt,
      credentials: [],
    }
    state.subjects.push(subject)
  }
  const credential = {
    seenAt,
    serialNumber: certificate.serialNumber.toString(),
    issuer: certificate.issuerText,
    enabled: true,
    x509CertificateData: certificate.pem,
    failed,
  }
  const others = subject.credentials.filter((item) => item.x509CertificateData !== certificate.pem)
  subject.credentials = [credential, ...others].slice(0, MAX_CREDENTIALS)
  subject.lastSeenAt = seenAt
  subject.updatedAt = seenAt
  return subject
}
