/**
 * What the flags of a token say of logging in and of its PINs. Not every token says all of it.
 * @see PKCS#11 v2.40 base specification §3.2 (CK_TOKEN_INFO flags)
 */

import type { PinOwner } from './pin.js'

const CKF_LOGIN_REQUIRED = 0x4
const CKF_USER_PIN_INITIALIZED = 0x8
const CKF_PROTECTED_AUTHENTICATION_PATH = 0x100
const CKF_USER_PIN_COUNT_LOW = 0x10000
const CKF_USER_PIN_FINAL_TRY = 0x20000
const CKF_USER_PIN_LOCKED = 0x40000
const CKF_USER_PIN_TO_BE_CHANGED = 0x80000

/** How a PIN is doing. */
export interface PinFlags {
  readonly isLocked: boolean
  readonly isToBeChanged: boolean
  readonly hasOneTry: boolean
  /** A wrong one was entered; after some more it will be locked. */
  readonly hasFewTries: boolean
}

/** What is said of the PIN of `owner`. */
export function readPinFlags(flags: number, owner: PinOwner): PinFlags {
  // Those of the security officer stand 4 bits higher.
  const state = owner === 'so' ? flags >>> 4 : flags
  return {
    isLocked: (state & CKF_USER_PIN_LOCKED) !== 0,
    isToBeChanged: (state & CKF_USER_PIN_TO_BE_CHANGED) !== 0,
    hasOneTry: (state & CKF_USER_PIN_FINAL_TRY) !== 0,
    hasFewTries: (state & CKF_USER_PIN_COUNT_LOW) !== 0,
  }
}

/** True for a token that shows or does something only after a login. */
export function wantsLogin(flags: number): boolean {
  return (flags & CKF_LOGIN_REQUIRED) !== 0
}

/** True once the user has a PIN. */
export function hasUserPin(flags: number): boolean {
  return (flags & CKF_USER_PIN_INITIALIZED) !== 0
}

/** True for a token that takes its PIN on a device of its own, which Holdfast cannot use. */
export function hasPinPad(flags: number): boolean {
  return (flags & CKF_PROTECTED_AUTHENTICATION_PATH) !== 0
}

/** Takes away the flag that forbids a login until the user's PIN is changed: for the change itself. */
export function withoutPinToBeChanged(flags: number): number {
  return flags & ~CKF_USER_PIN_TO_BE_CHANGED
}
