/**
 * The errors of the service: HTTP status, exception name and message, as an AWS client receives them from a
 * restJson1 service. The emulator's own explanation travels beside them in `reason`, never inside AWS's text.
 */
import { type HttpReply, jsonReply } from './http-message.js'

/** A refusal in AWS's terms. Everything else that is thrown inside the emulator is a bug of the emulator. */
export class ServiceError extends Error {
  override readonly name = 'ServiceError'
  readonly status: number
  /** Exception name, as in `x-amzn-ErrorType`. */
  readonly type: string
  /** What the emulator found, for the person who debugs; sent as `x-emulator-reason`. */
  readonly reason: string

  constructor(status: number, type: string, message: string, reason = message) {
    super(message)
    this.status = status
    this.type = type
    this.reason = reason
  }
}

/** 403. `message` is AWS's text where one is published. */
export function accessDenied(message: string, reason?: string): ServiceError {
  return new ServiceError(403, 'AccessDeniedException', message, reason)
}

/** 400. */
export function validationError(message: string): ServiceError {
  return new ServiceError(400, 'ValidationException', message)
}

/** 404. */
export function notFound(message: string): ServiceError {
  return new ServiceError(404, 'ResourceNotFoundException', message)
}

/** A header is no place for the value of 200 kilobytes that a message may quote. */
const MAX_REASON = 500

/** The reply that carries an error. `reason` is reduced to what a header may hold. */
export function errorReply(error: ServiceError): HttpReply {
  return jsonReply(
    error.status,
    { message: error.message },
    {
      'x-amzn-errortype': error.type,
      'x-emulator-reason': error.reason.slice(0, MAX_REASON).replace(/[^\x20-\x7e]/g, '?'),
    },
  )
}
