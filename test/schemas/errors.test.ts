import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import * as namespace from '../../src/schemas/index.js';
import { describeCauses, invalid, isAborted, isStatusError, printable, show, StatusError, type Cause } from '../../src/schemas/index.js';

const schemas = { ...namespace };

const CLASSES = [
  ['BadRequestError', 400, 'BadRequest', undefined],
  ['InvalidRefError', 400, 'BadRequest', undefined],
  ['ForbiddenError', 403, 'Forbidden', 'isForbidden'],
  ['NotFoundError', 404, 'NotFound', 'isNotFound'],
  ['UnknownTypeError', 404, 'UnknownType', undefined],
  ['AlreadyExistsError', 409, 'AlreadyExists', 'isAlreadyExists'],
  ['ConflictError', 409, 'Conflict', 'isConflict'],
  ['ExpiredError', 410, 'Expired', 'isExpired'],
  ['TooLargeError', 413, 'RequestEntityTooLarge', 'isTooLarge'],
  ['InvalidError', 422, 'Invalid', 'isInvalid'],
  ['TooManyRequestsError', 429, 'TooManyRequests', undefined],
  ['StoreError', 500, 'InternalError', undefined],
  ['CorruptError', 500, 'Corrupt', 'isCorrupt'],
  ['DecryptionError', 500, 'DecryptionFailed', 'isDecryption'],
  ['StoreClosedError', 503, 'ServiceUnavailable', 'isStoreClosed'],
  ['StoreFailedError', 503, 'ServiceUnavailable', undefined],
  ['TimeoutError', 504, 'Timeout', 'isTimeout'],
  ['StoreFullError', 507, 'InsufficientStorage', 'isStoreFull'],
  ['AbortedError', 499, 'Aborted', 'isAborted'],
] as const;

const GUARDS = CLASSES.flatMap(([, , , guard]) => (guard === undefined ? [] : [guard]));

describe('StatusError', () => {
  describe.each(CLASSES)('%s', (name, code, reason, guard) => {
    const cause = new Error('below');
    const error: StatusError = new schemas[name]('it failed: try again', {
      details: { kind: 'service', namespace: 'prod', name: 'web' },
      cause,
    });

    it('carries message, code, reason, details and cause', () => {
      expect(error).toBeInstanceOf(StatusError);
      expect(error).toBeInstanceOf(Error);
      expect(error.message).toBe('it failed: try again');
      expect(error.code).toBe(code);
      expect(error.reason).toBe(reason);
      expect(error.details).toMatchObject({ kind: 'service', namespace: 'prod', name: 'web' });
      expect(error.cause).toBe(cause);
    });

    it('is shown under its name', () => {
      const shown = name === 'AbortedError' ? 'AbortError' : name;
      expect(error.name).toBe(shown);
      expect(inspect(error)).toContain(shown);
      expect(Object.keys(error)).not.toContain('name');
    });

    it('needs a message only', () => {
      const bare: StatusError = new schemas[name]('x');
      expect(bare.cause).toBeUndefined();
      expect(Object.hasOwn(bare, 'cause')).toBe(false);
    });

    it('is recognized by its own guard and by no other', () => {
      for (const other of GUARDS) expect([other, schemas[other](error)]).toEqual([other, other === guard]);
      expect(isStatusError(error)).toBe(true);
    });

    it('becomes a Status object of Kubernetes', () => {
      expect(error.toStatus()).toMatchObject({
        kind: 'Status',
        apiVersion: 'v1',
        metadata: {},
        status: 'Failure',
        message: 'it failed: try again',
        reason,
        code,
      });
      expect(JSON.parse(JSON.stringify(error.toStatus()))).toEqual(error.toStatus());
    });
  });

  it('is recognized by its fields when another copy of the package made it', () => {
    const foreign = Object.assign(new Error('x'), { code: 404, reason: 'NotFound' });
    expect(schemas.isNotFound(foreign)).toBe(true);
    expect(schemas.isConflict(foreign)).toBe(false);
  });

  it('is not what anything else is', () => {
    for (const value of [undefined, null, 'NotFound', 404, {}, { code: 404, reason: 'NotFound' }, new Error('NotFound')]) {
      for (const guard of [...GUARDS, 'isStatusError'] as const) expect(schemas[guard](value)).toBe(false);
    }
  });

  it('tells a system error from one of the family', () => {
    expect(isStatusError(Object.assign(new Error('x'), { code: 'ENOENT' }))).toBe(false);
  });

  it('keeps the fields of its class', () => {
    expect(new schemas.ConflictError('x', { currentRevision: '7' }).currentRevision).toBe('7');
    expect('currentRevision' in new schemas.ConflictError('x')).toBe(false);
    expect(new schemas.ExpiredError('x', { compactedRevision: '5', currentRevision: '9' })).toMatchObject({
      compactedRevision: '5',
      currentRevision: '9',
    });
    expect(new schemas.StoreFailedError('x', { inDoubt: true }).inDoubt).toBe(true);
    expect(new schemas.StoreFailedError('x').inDoubt).toBe(false);
    expect(new schemas.InvalidRefError('x', { part: 'name' }).part).toBe('name');
  });

  it('takes the platform’s AbortError for an abort', () => {
    expect(isAborted(AbortSignal.abort().reason)).toBe(true);
    expect(isAborted(new Error('AbortError'))).toBe(false);
  });
});

describe('invalid', () => {
  const causes: Cause[] = [
    { reason: 'FieldValueRequired', field: 'spec.image', message: 'is required' },
    { reason: 'FieldValueInvalid', field: '', message: 'must be good' },
  ];

  it('lists every cause in its message and its details', () => {
    const error = invalid('Service "prod/web"', causes, { kind: 'Service', name: 'web' });
    expect(error.message).toBe('Service "prod/web" is invalid: spec.image: is required; must be good');
    expect(error.causes).toEqual(causes);
    expect(error.details).toEqual({ kind: 'Service', name: 'web', causes });
    expect(error.toStatus().details?.causes).toEqual(causes);
  });

  it('takes causes from details too', () => {
    expect(new schemas.InvalidError('x', { details: { causes } }).causes).toEqual(causes);
    expect(new schemas.InvalidError('x').causes).toEqual([]);
  });

  it('cuts a long list in the message, not in the causes', () => {
    const many = Array.from({ length: 50 }, (_, i): Cause => ({ reason: 'FieldValueInvalid', field: `f${i}`, message: 'bad' }));
    expect(describeCauses(many)).toMatch(/f19: bad; and 30 more$/);
    expect(invalid('x', many).causes).toHaveLength(50);
  });
});

describe('printable', () => {
  it('escapes what would break a line or a terminal', () => {
    expect(printable('a\nb\u001b[31m\u202ec\ud800')).toBe('a\\u000ab\\u001b[31m\\u202ec\\ud800');
    expect(printable('Grüße 👋')).toBe('Grüße 👋');
  });

  it('cuts long texts', () => {
    expect(printable('x'.repeat(100))).toBe(`${'x'.repeat(80)}...`);
  });

  it('shows containers by their kind only', () => {
    expect([{ a: 'secret' }, ['secret'], null, undefined, 1n, () => 1, Symbol('secret'), 'a"b'].map(show)).toEqual([
      'an object',
      'an array',
      'null',
      'undefined',
      'a bigint',
      'a function',
      'a symbol',
      '"a\\"b"',
    ]);
  });
});
