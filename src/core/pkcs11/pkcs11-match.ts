/**
 * Which modules, slots, tokens and objects a PKCS#11 URI means, by what the module says about them
 * (RFC 7512 section 2.5), and the URI that means one of them.
 */

import { formatPkcs11Uri, type ObjectType, type Pkcs11Uri, unmatchableAttributes } from './pkcs11-uri.js'

/** What C_GetInfo says; padding may still be there. */
export interface ModuleInfo {
  readonly manufacturer: string
  readonly description: string
  readonly version: { readonly major: number; readonly minor: number }
}

/** What C_GetSlotInfo says; padding may still be there. */
export interface SlotInfo {
  readonly id: number
  readonly manufacturer: string
  readonly description: string
}

/** What C_GetTokenInfo says; padding may still be there. `flags` are CKF_ bits, PIN lengths are in bytes. */
export interface TokenInfo {
  readonly label: string
  readonly manufacturer: string
  readonly model: string
  readonly serial: string
  readonly flags: number
  readonly minPinLength: number
  readonly maxPinLength: number
}

/** CKA_CLASS, CKA_LABEL and CKA_ID of an object; label and id are empty if it has none. */
export interface ObjectInfo {
  readonly type: ObjectType
  readonly label: string
  readonly id: Uint8Array
}

/** Removes the padding of a fixed field: spaces as PKCS#11 wants, NUL as some modules do it. */
export function unpad(text: string): string {
  return text.replace(/[ \0]+$/, '')
}

function same(wanted: string | undefined, field: string): boolean {
  return wanted === undefined || wanted === unpad(field)
}

/** True if the URI's `library-` attributes fit this module. */
export function matchesModule(uri: Pkcs11Uri, info: ModuleInfo): boolean {
  const { libraryVersion } = uri
  return (
    unmatchableAttributes(uri).length === 0 &&
    same(uri.libraryManufacturer, info.manufacturer) &&
    same(uri.libraryDescription, info.description) &&
    (libraryVersion === undefined ||
      (libraryVersion.major === info.version.major && libraryVersion.minor === info.version.minor))
  )
}

/** True if the URI's `slot-` attributes fit this slot. */
export function matchesSlot(uri: Pkcs11Uri, info: SlotInfo): boolean {
  return (
    unmatchableAttributes(uri).length === 0 &&
    (uri.slotId === undefined || uri.slotId === info.id) &&
    same(uri.slotManufacturer, info.manufacturer) &&
    same(uri.slotDescription, info.description)
  )
}

/** True if `token`, `manufacturer`, `model` and `serial` of the URI fit this token. */
export function matchesToken(
  uri: Pkcs11Uri,
  info: Pick<TokenInfo, 'label' | 'manufacturer' | 'model' | 'serial'>,
): boolean {
  return (
    unmatchableAttributes(uri).length === 0 &&
    same(uri.token, info.label) &&
    same(uri.manufacturer, info.manufacturer) &&
    same(uri.model, info.model) &&
    same(uri.serial, info.serial)
  )
}

/** True if `object`, `type` and `id` of the URI fit this object. An object's label is never padded. */
export function matchesObject(uri: Pkcs11Uri, info: ObjectInfo): boolean {
  return (
    unmatchableAttributes(uri).length === 0 &&
    (uri.object === undefined || uri.object === info.label) &&
    (uri.type === undefined || uri.type === info.type) &&
    (uri.id === undefined || Buffer.compare(uri.id, info.id) === 0)
  )
}

/** A full URI for a token that was found. */
export function formatTokenUri(token: TokenInfo): string {
  return formatPkcs11Uri(tokenAttributes(token))
}

function tokenAttributes(token: TokenInfo): Pkcs11Uri {
  return {
    model: unpad(token.model),
    manufacturer: unpad(token.manufacturer),
    serial: unpad(token.serial),
    token: unpad(token.label),
  }
}

/**
 * A full URI for an object that was found: for lists of candidates, and to find just this object again.
 */
export function formatObjectUri(token: TokenInfo, object: ObjectInfo): string {
  return formatPkcs11Uri({
    ...tokenAttributes(token),
    id: object.id,
    object: object.label,
    type: object.type,
  })
}
