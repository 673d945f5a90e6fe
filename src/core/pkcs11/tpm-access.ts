/**
 * How a TPM is reached: the text that the TPM software stack calls a TCTI, as tpm2-pkcs11 takes it from
 * `TPM2_PKCS11_TCTI`.
 * @see Tss2_TctiLdr_Initialize(3)
 */

/** One way to a TPM. */
export interface Tcti {
  /** `device`, `tabrmd`, `swtpm`, `mssim` and others. */
  readonly kind: string
  /** What stands behind the colon; for `device` the path. */
  readonly target: string
}

/** The device with the kernel's own resource manager. */
export const RESOURCE_MANAGED_DEVICE = '/dev/tpmrm0'

/** The way that a text means. Names of library files stand for what they are for. */
export function parseTcti(text: string): Tcti {
  const [, name = '', target = ''] = /^([^:]*):?(.*)$/s.exec(text) ?? []
  const kind = name.replace(/^.*libtss2-tcti-|\.so.*$/g, '')
  return { kind, target: kind === 'device' && target === '' ? RESOURCE_MANAGED_DEVICE : target }
}

/**
 * True if nothing on the way keeps the sessions of one program apart from another's: a program that is killed then
 * leaves its own in the TPM, which has room for three.
 */
export function lacksResourceManager({ kind, target }: Tcti): boolean {
  if (kind === 'device') return /\/tpm\d+$/.test(target)
  return kind === 'swtpm' || kind === 'mssim'
}

/** True for a token of tpm2-pkcs11, which gives all of them the serial number zero. */
export function isTpm(serial: string): boolean {
  return /^0+$/.test(serial)
}
