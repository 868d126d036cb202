/**
 * The error family: one base class with Kubernetes' code, reason and details, a class for each thing that goes wrong, and
 * guards.
 *
 * Invariants:
 * - The message says what, where, and what to do next; the fields say the same to machines; `cause` is kept.
 * - Guards look at fields, never at the class, so that they hold across copies of the package and across processes.
 */
import { printable } from './text.js';

/** Kubernetes' reasons, and the few a store needs beside them. */
export type StatusReason =
  | 'Aborted'
  | 'AlreadyExists'
  | 'BadRequest'
  | 'Conflict'
  | 'Corrupt'
  | 'DecryptionFailed'
  | 'Expired'
  | 'Forbidden'
  | 'InsufficientStorage'
  | 'InternalError'
  | 'Invalid'
  | 'NotFound'
  | 'RequestEntityTooLarge'
  | 'ServiceUnavailable'
  | 'Timeout'
  | 'TooManyRequests'
  | 'UnknownType';

/** Kubernetes' reasons for a field that is wrong. */
export type CauseReason =
  | 'FieldValueDuplicate'
  | 'FieldValueForbidden'
  | 'FieldValueInvalid'
  | 'FieldValueNotFound'
  | 'FieldValueNotSupported'
  | 'FieldValueRequired'
  | 'FieldValueTooLong'
  | 'FieldValueTooMany'
  | 'FieldValueTypeInvalid';

/** One field that is wrong, and why. */
export interface Cause {
  readonly reason: CauseReason;
  /** The path of the field, for example `spec.ports[0].port`; empty for the whole object. */
  readonly field: string;
  readonly message: string;
}

/** The empty list that every check gives for a fine value. */
export const NO_CAUSES: readonly Cause[] = Object.freeze([]);

/** What an error is about, for machines. */
export interface StatusDetails {
  readonly kind?: string | undefined;
  readonly namespace?: string | undefined;
  readonly name?: string | undefined;
  readonly uid?: string | undefined;
  readonly causes?: readonly Cause[] | undefined;
  readonly retryAfterSeconds?: number | undefined;
  readonly [extra: string]: unknown;
}

/** Kubernetes' Status object, as it goes over the wire. */
export interface Status {
  readonly kind: 'Status';
  readonly apiVersion: 'v1';
  readonly metadata: Record<string, never>;
  readonly status: 'Failure';
  readonly message: string;
  readonly reason: StatusReason;
  readonly details?: StatusDetails;
  readonly code: number;
}

/** What every class of the family accepts beside its message. */
export interface StatusErrorOptions {
  readonly details?: StatusDetails | undefined;
  readonly cause?: unknown;
}

/** What the base class needs beside that. */
export interface StatusErrorInit extends StatusErrorOptions {
  readonly code: number;
  readonly reason: StatusReason;
  /** The class name shown in stacks. Default `StatusError`. */
  readonly name?: string | undefined;
}

/** The base of the family. */
export class StatusError extends Error {
  /** The HTTP status code. */
  readonly code: number;
  readonly reason: StatusReason;
  declare readonly details?: StatusDetails;

  constructor(message: string, init: StatusErrorInit) {
    super(message, init.cause === undefined ? undefined : { cause: init.cause });
    Object.defineProperty(this, 'name', { value: init.name ?? 'StatusError', configurable: true, writable: true });
    this.code = init.code;
    this.reason = init.reason;
    if (init.details !== undefined) this.details = init.details;
  }

  /** This error as Kubernetes' Status object. */
  toStatus(): Status {
    return {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message: this.message,
      reason: this.reason,
      ...(this.details === undefined ? {} : { details: this.details }),
      code: this.code,
    };
  }
}

/** 400: the request itself makes no sense. */
export class BadRequestError extends StatusError {
  constructor(message: string, options: StatusErrorOptions = {}) {
    super(message, { ...options, code: 400, reason: 'BadRequest', name: 'BadRequestError' });
  }
}

/** The part of a reference that is wrong. */
export type RefPart = 'scheme' | 'type' | 'namespace' | 'name' | 'uid' | 'key';

/** 400: a reference that cannot be read; `part` says which part is wrong. */
export class InvalidRefError extends StatusError {
  readonly part: RefPart;

  constructor(message: string, options: StatusErrorOptions & { readonly part?: RefPart | undefined } = {}) {
    const { part = 'scheme', ...rest } = options;
    super(message, { ...rest, code: 400, reason: 'BadRequest', name: 'InvalidRefError' });
    this.part = part;
  }
}

/** 403: known, and not allowed. */
export class ForbiddenError extends StatusError {
  constructor(message: string, options: StatusErrorOptions = {}) {
    super(message, { ...options, code: 403, reason: 'Forbidden', name: 'ForbiddenError' });
  }
}

/** 404: there is no such object. */
export class NotFoundError extends StatusError {
  constructor(message: string, options: StatusErrorOptions = {}) {
    super(message, { ...options, code: 404, reason: 'NotFound', name: 'NotFoundError' });
  }
}

/** 404: there is no such type. Not what `isNotFound` means: a missing type is a mistake, not an absent object. */
export class UnknownTypeError extends StatusError {
  constructor(message: string, options: StatusErrorOptions = {}) {
    super(message, { ...options, code: 404, reason: 'UnknownType', name: 'UnknownTypeError' });
  }
}

/** 409: an object of that name exists. */
export class AlreadyExistsError extends StatusError {
  constructor(message: string, options: StatusErrorOptions = {}) {
    super(message, { ...options, code: 409, reason: 'AlreadyExists', name: 'AlreadyExistsError' });
  }
}

/** 409: the object has changed since it was read. */
export class ConflictError extends StatusError {
  /** The revision the write lost to, when known: wait for it before reading again. */
  declare readonly currentRevision?: string;

  constructor(message: string, options: StatusErrorOptions & { readonly currentRevision?: string | undefined } = {}) {
    const { currentRevision, ...rest } = options;
    super(message, { ...rest, code: 409, reason: 'Conflict', name: 'ConflictError' });
    if (currentRevision !== undefined) this.currentRevision = currentRevision;
  }
}

/** 410: the revision asked for has been compacted. List again, and watch from there. */
export class ExpiredError extends StatusError {
  /** Nothing at or above this revision has been pruned. */
  readonly compactedRevision: string;
  readonly currentRevision: string;

  constructor(
    message: string,
    options: StatusErrorOptions & { readonly compactedRevision?: string | undefined; readonly currentRevision?: string | undefined } = {},
  ) {
    const { compactedRevision = '0', currentRevision = '0', ...rest } = options;
    super(message, { ...rest, code: 410, reason: 'Expired', name: 'ExpiredError' });
    this.compactedRevision = compactedRevision;
    this.currentRevision = currentRevision;
  }
}

/** 413: the object, or a part of it, is over its limit. */
export class TooLargeError extends StatusError {
  constructor(message: string, options: StatusErrorOptions = {}) {
    super(message, { ...options, code: 413, reason: 'RequestEntityTooLarge', name: 'TooLargeError' });
  }
}

/** 422: the input breaks a rule; `causes` names every field. */
export class InvalidError extends StatusError {
  readonly causes: readonly Cause[];

  constructor(message: string, options: StatusErrorOptions & { readonly causes?: readonly Cause[] | undefined } = {}) {
    const { causes = options.details?.causes ?? [], details, ...rest } = options;
    super(message, { ...rest, details: { ...details, causes }, code: 422, reason: 'Invalid', name: 'InvalidError' });
    this.causes = causes;
  }
}

/** 429: slow down; `details.retryAfterSeconds` says for how long. */
export class TooManyRequestsError extends StatusError {
  constructor(message: string, options: StatusErrorOptions = {}) {
    super(message, { ...options, code: 429, reason: 'TooManyRequests', name: 'TooManyRequestsError' });
  }
}

/** 500: the store could not do its work. */
export class StoreError extends StatusError {
  constructor(message: string, options: StatusErrorOptions = {}) {
    super(message, { ...options, code: 500, reason: 'InternalError', name: 'StoreError' });
  }
}

/** 500: what is stored is not what was written. */
export class CorruptError extends StatusError {
  constructor(message: string, options: StatusErrorOptions = {}) {
    super(message, { ...options, code: 500, reason: 'Corrupt', name: 'CorruptError' });
  }
}

/** 500: a sealed value cannot be opened: wrong key, missing key, or not the bytes that were sealed for this object. */
export class DecryptionError extends StatusError {
  constructor(message: string, options: StatusErrorOptions = {}) {
    super(message, { ...options, code: 500, reason: 'DecryptionFailed', name: 'DecryptionError' });
  }
}

/** 503: the store was closed. */
export class StoreClosedError extends StatusError {
  constructor(message: string, options: StatusErrorOptions = {}) {
    super(message, { ...options, code: 503, reason: 'ServiceUnavailable', name: 'StoreClosedError' });
  }
}

/** 503: the store stopped itself after a failure it cannot vouch past. */
export class StoreFailedError extends StatusError {
  /** Whether this write may or may not have happened. */
  readonly inDoubt: boolean;

  constructor(message: string, options: StatusErrorOptions & { readonly inDoubt?: boolean | undefined } = {}) {
    const { inDoubt = false, ...rest } = options;
    super(message, { ...rest, code: 503, reason: 'ServiceUnavailable', name: 'StoreFailedError' });
    this.inDoubt = inDoubt;
  }
}

/** 504: it took too long. */
export class TimeoutError extends StatusError {
  constructor(message: string, options: StatusErrorOptions = {}) {
    super(message, { ...options, code: 504, reason: 'Timeout', name: 'TimeoutError' });
  }
}

/** 507: the disk or the map is full. Reads go on; make room, then write again. */
export class StoreFullError extends StatusError {
  constructor(message: string, options: StatusErrorOptions = {}) {
    super(message, { ...options, code: 507, reason: 'InsufficientStorage', name: 'StoreFullError' });
  }
}

/** 499: given up because a signal said so. Its name is `AbortError`; the signal's reason is its `cause`. */
export class AbortedError extends StatusError {
  constructor(message: string, options: StatusErrorOptions = {}) {
    super(message, { ...options, code: 499, reason: 'Aborted', name: 'AbortError' });
  }
}

const MOST_CAUSES = 20;

/** `metadata.name: must be ...; spec.scale: must be ...`: all causes in one line, cut after twenty. */
export function describeCauses(causes: readonly Cause[]): string {
  const lines = causes.slice(0, MOST_CAUSES).map((cause) => (cause.field === '' ? cause.message : `${cause.field}: ${cause.message}`));
  if (causes.length > MOST_CAUSES) lines.push(`and ${causes.length - MOST_CAUSES} more`);
  return lines.join('; ');
}

/** An InvalidError about `what` (for example `Service "prod/web"`), whose message lists every cause. */
export function invalid(what: string, causes: readonly Cause[], details?: StatusDetails): InvalidError {
  return new InvalidError(`${printable(what, 300)} is invalid: ${describeCauses(causes)}`, { details, causes });
}

/** Whether `error` belongs to the family, whichever copy of the package made it. */
export function isStatusError(error: unknown): error is StatusError {
  return (
    error instanceof Error && 'reason' in error && typeof error.reason === 'string' && 'code' in error && typeof error.code === 'number'
  );
}

function hasReason(error: unknown, reason: StatusReason): boolean {
  return isStatusError(error) && error.reason === reason;
}

/** No such object (a missing type is not meant). */
export function isNotFound(error: unknown): error is NotFoundError {
  return hasReason(error, 'NotFound');
}

/** An object of that name exists. */
export function isAlreadyExists(error: unknown): error is AlreadyExistsError {
  return hasReason(error, 'AlreadyExists');
}

/** The object has changed since it was read. */
export function isConflict(error: unknown): error is ConflictError {
  return hasReason(error, 'Conflict');
}

/** The input breaks a rule. */
export function isInvalid(error: unknown): error is InvalidError {
  return hasReason(error, 'Invalid');
}

/** The revision asked for has been compacted. */
export function isExpired(error: unknown): error is ExpiredError {
  return hasReason(error, 'Expired');
}

/** Not allowed. */
export function isForbidden(error: unknown): error is ForbiddenError {
  return hasReason(error, 'Forbidden');
}

/** Over a limit. */
export function isTooLarge(error: unknown): error is TooLargeError {
  return hasReason(error, 'RequestEntityTooLarge');
}

/** It took too long. */
export function isTimeout(error: unknown): error is TimeoutError {
  return hasReason(error, 'Timeout');
}

/** The disk or the map is full. */
export function isStoreFull(error: unknown): error is StoreFullError {
  return hasReason(error, 'InsufficientStorage');
}

/** The store was closed. A store that failed is not meant. */
export function isStoreClosed(error: unknown): error is StoreClosedError {
  return hasReason(error, 'ServiceUnavailable') && (error as Error).name === 'StoreClosedError';
}

/** The store has stopped after a failure. */
export function isStoreFailed(error: unknown): error is StoreFailedError {
  return hasReason(error, 'ServiceUnavailable') && (error as Error).name === 'StoreFailedError';
}

/** What is stored is not what was written. */
export function isCorrupt(error: unknown): error is CorruptError {
  return hasReason(error, 'Corrupt');
}

/** A sealed value cannot be opened. */
export function isDecryption(error: unknown): error is DecryptionError {
  return hasReason(error, 'DecryptionFailed');
}

/** Given up because a signal said so: ours, or the platform's own AbortError. */
export function isAborted(error: unknown): error is Error & { readonly name: 'AbortError' } {
  return error instanceof Error && error.name === 'AbortError';
}
