/**
 * JSON patch (RFC 6902) on a resource: `rfc6902` changes the document, this file decides what it is allowed to touch.
 *
 * Invariants:
 * - The document given is never changed; a patch that fails in its last operation has had no effect.
 * - Pointers reach own properties only, array indexes are exact (RFC 6901: no sign, no leading zero, in range), and no pointer
 *   names `__proto__`, `constructor` or `prototype`.
 * - No message tells a value of the document or of the patch: either may be a secret. Nor a key inside a sensitive one.
 */
import { applyPatch } from 'rfc6902';
import { checkJson, cloneJson, ConflictError, InvalidError, tellingOf } from '../../schemas/index.js';
import type { Cause } from '../../schemas/index.js';
import type { SensitivePaths } from './last-applied.js';
import { isRecord } from './record.js';

/** Operations in one patch at most, as the Kubernetes API server bounds them. */
export const MAX_JSON_PATCH_OPERATIONS = 10_000;
/** Characters of JSON that the `copy` operations of one patch may add up to: repeated copies grow without bound otherwise. */
export const MAX_JSON_PATCH_COPY = 3 * 1024 * 1024;

const POINTER = /^(?:\/(?:[^~/]|~[01])*)*$/u;
const INDEX = /^(?:0|[1-9][0-9]*)$/;
const FORBIDDEN: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype']);
const OPERATIONS: ReadonlySet<string> = new Set(['add', 'remove', 'replace', 'move', 'copy', 'test']);

/** The library changes what is inside a document, never the document itself: it works on a member of a holder. */
const ROOT = '/root';

interface Holder {
  root: unknown;
}

/** What is known of the operation being carried out: for the sentence of an error. */
interface Place {
  readonly index: number;
  readonly op: string;
  readonly sensitive: SensitivePaths;
}

/**
 * Applies a JSON patch and gives the new document.
 *
 * @param sensitive where in the document values are sensitive: what lies inside them is not named.
 * @throws {ConflictError} when a `test` fails: the document is not what the patch expected.
 * @throws {InvalidError} for any other fault, naming the operation's index and path.
 * @example applyJsonPatch({ scale: 1 }, [{ op: 'replace', path: '/scale', value: 3 }]) // { scale: 3 }
 */
export function applyJsonPatch(document: unknown, patch: unknown, sensitive: SensitivePaths = []): unknown {
  if (!Array.isArray(patch)) {
    throw new InvalidError('a JSON patch must be an array of operations (RFC 6902); for an object use a merge patch', {
      causes: [{ reason: 'FieldValueTypeInvalid', field: 'patch', message: 'must be an array of operations' }],
    });
  }
  if (patch.length > MAX_JSON_PATCH_OPERATIONS) {
    throw new InvalidError(`the JSON patch has ${patch.length} operations; at most ${MAX_JSON_PATCH_OPERATIONS} are allowed: split it`, {
      causes: [{ reason: 'FieldValueTooMany', field: 'patch', message: `must have at most ${MAX_JSON_PATCH_OPERATIONS} operations` }],
    });
  }
  const holder: Holder = { root: cloneJson(document) };
  let copied = 0;
  for (let index = 0; index < patch.length; index += 1) {
    copied = step(holder, patch[index] as unknown, { index, sensitive }, copied);
  }
  return holder.root;
}

/** Carries out one operation on the working copy and gives the size of all copies so far. */
function step(holder: Holder, operation: unknown, at: Omit<Place, 'op'>, copied: number): number {
  const nameless: Place = { ...at, op: 'operation' };
  if (!isRecord(operation)) throw fault(nameless, '', 'must be an object with op and path', 'FieldValueTypeInvalid');
  const op = own(operation, 'op');
  if (typeof op !== 'string' || !OPERATIONS.has(op)) {
    throw fault(nameless, 'op', `op must be one of ${[...OPERATIONS].join(', ')}`, 'FieldValueNotSupported');
  }
  const place: Place = { ...at, op };
  const path = pointer(operation, 'path', place);
  switch (op) {
    case 'test': {
      const value = operand(operation, place, path);
      if (resolve(holder.root, tokens(path)) === undefined) throw testFailed(place, path, 'nothing is there');
      run(holder, { op: 'test', path: ROOT + path, value }, place, path);
      return copied;
    }
    case 'add':
      put(holder, path, operand(operation, place, path), place);
      return copied;
    case 'remove':
      take(holder, path, place, path);
      return copied;
    case 'replace': {
      const value = operand(operation, place, path);
      existing(holder.root, path, place);
      run(holder, { op: 'replace', path: ROOT + path, value }, place, path);
      return copied;
    }
    case 'copy': {
      const from = pointer(operation, 'from', place);
      const value = existing(holder.root, from, place, 'from');
      const total = copied + (JSON.stringify(value)?.length ?? 0);
      if (total > MAX_JSON_PATCH_COPY) {
        throw fault(place, path, `copies more than ${MAX_JSON_PATCH_COPY} characters in all`, 'FieldValueTooLong');
      }
      put(holder, path, value, place);
      return total;
    }
    default: {
      // A move is a removal and an addition after it (RFC 6902 section 4.4): its path is read when the value is already gone.
      const from = pointer(operation, 'from', place);
      if (path.startsWith(`${from}/`)) throw fault(place, path, `cannot move ${show(from, place)} into itself`, 'FieldValueInvalid');
      const value = existing(holder.root, from, place, 'from');
      if (from === path) return copied;
      take(holder, from, place, path);
      put(holder, path, value, place);
      return copied;
    }
  }
}

/** Adds at a place whose parent is there; an array index may be one past the end, or `-`. */
function put(holder: Holder, path: string, value: unknown, place: Place): void {
  const steps = tokens(path);
  if (steps.length > 0) {
    const last = steps.pop() as string;
    const parent = resolve(holder.root, steps)?.value;
    if (Array.isArray(parent)) {
      if (last !== '-' && (!INDEX.test(last) || Number(last) > parent.length)) {
        throw fault(place, path, `the array takes an index from 0 to ${parent.length}, or -`, 'FieldValueInvalid');
      }
    } else if (!isRecord(parent)) {
      throw fault(place, path, 'its parent is missing or holds no members: add the parent first', 'FieldValueInvalid');
    }
  }
  run(holder, { op: 'add', path: ROOT + path, value }, place, path);
}

/** Removes what is at `target`, which must be there and must not be the whole document. */
function take(holder: Holder, target: string, place: Place, path: string): void {
  if (target === '')
    throw fault(place, path, 'the whole document cannot be removed or moved: delete the object instead', 'FieldValueForbidden');
  existing(holder.root, target, place);
  run(holder, { op: 'remove', path: ROOT + target }, place, path);
}

function run(holder: Holder, operation: Parameters<typeof applyPatch>[1][number], place: Place, path: string): void {
  let failure: Error | null | undefined;
  try {
    failure = applyPatch(holder, [operation])[0];
  } catch (error) {
    throw fault(place, path, 'could not be carried out', 'FieldValueInvalid', error);
  }
  if (failure === null || failure === undefined) return;
  if (failure.name === 'TestError') throw testFailed(place, path, 'the value there is another');
  throw fault(place, path, 'could not be carried out', 'FieldValueInvalid');
}

/** The value of an operation that needs one, checked to be plain JSON. */
function operand(operation: Readonly<Record<string, unknown>>, place: Place, path: string): unknown {
  const value = own(operation, 'value');
  if (value === undefined) throw fault(place, path, 'needs a value', 'FieldValueRequired');
  const causes = checkJson(value, `patch[${place.index}].value`, tellingOf({ schema: undefined, sensitivePaths: place.sensitive }));
  if (causes.length > 0) {
    throw new InvalidError(
      `JSON patch operation ${place.index} (${place.op} ${show(path, place)}): ${causes.map((cause) => `${cause.field}: ${cause.message}`).join('; ')}`,
      { causes },
    );
  }
  return value;
}

/** A member that must be a JSON pointer. */
function pointer(operation: Readonly<Record<string, unknown>>, member: 'path' | 'from', place: Place): string {
  const text = own(operation, member);
  if (typeof text !== 'string') throw fault(place, member, `needs ${member}, a JSON pointer such as /spec/scale`, 'FieldValueRequired');
  if (!POINTER.test(text)) {
    throw fault(
      place,
      text,
      `${member} is no JSON pointer (RFC 6901): it starts with / and escapes ~ as ~0 and / as ~1`,
      'FieldValueInvalid',
    );
  }
  const forbidden = tokens(text).find((token) => FORBIDDEN.has(token));
  if (forbidden !== undefined) throw fault(place, text, `${member} must not name ${forbidden}`, 'FieldValueForbidden');
  return text;
}

function existing(root: unknown, target: string, place: Place, member: 'path' | 'from' = 'path'): unknown {
  const found = resolve(root, tokens(target));
  if (found === undefined) throw fault(place, target, `${member} points at nothing`, 'FieldValueInvalid');
  return found.value;
}

/** What own properties and exact indexes lead to; undefined when they lead nowhere. */
function resolve(root: unknown, steps: readonly string[]): { readonly value: unknown } | undefined {
  let value = root;
  for (const token of steps) {
    if (Array.isArray(value)) {
      if (!INDEX.test(token) || Number(token) >= value.length) return undefined;
      value = value[Number(token)] as unknown;
    } else if (isRecord(value) && Object.hasOwn(value, token)) {
      value = value[token];
    } else {
      return undefined;
    }
  }
  return { value };
}

function tokens(path: string): string[] {
  if (path === '') return [];
  return path
    .slice(1)
    .split('/')
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function own(record: Readonly<Record<string, unknown>>, key: string): unknown {
  return Object.hasOwn(record, key) ? record[key] : undefined;
}

function testFailed(place: Place, path: string, why: string): ConflictError {
  return new ConflictError(
    `JSON patch operation ${place.index} (test ${show(path, place)}) failed: ${why}; read the object again and make the patch anew`,
    {
      details: {
        causes: [{ reason: 'FieldValueInvalid', field: `patch[${place.index}]`, message: `test ${show(path, place)} failed: ${why}` }],
      },
    },
  );
}

function fault(place: Place, path: string, why: string, reason: Cause['reason'], cause?: unknown): InvalidError {
  const where = `${place.op}${path === '' ? '' : ` ${show(path, place)}`}`;
  return new InvalidError(`JSON patch operation ${place.index} (${where}): ${why}`, {
    causes: [{ reason, field: `patch[${place.index}]`, message: `${where}: ${why}` }],
    ...(cause === undefined ? {} : { cause }),
  });
}

/** A pointer as a message may carry it: short, without control characters, and no further than to a sensitive value. */
function show(path: string, { sensitive }: Place): string {
  // The empty pointer is the whole document (RFC 6901).
  if (path === '') return '""';
  const steps = tokens(path);
  const open = Math.min(...sensitive.filter((each) => leadsInto(each, steps)).map(({ length }) => length), steps.length);
  const told =
    open === steps.length
      ? path
      : `${path
          .split('/')
          .slice(0, open + 1)
          .join('/')}/*`;
  const short = told.length > 80 ? `${told.slice(0, 80)}...` : told;
  // JSON's escapes keep control characters out of logs.
  return JSON.stringify(short).slice(1, -1);
}

/** Whether a path to a sensitive value is the beginning of a pointer. */
function leadsInto(path: readonly string[], steps: readonly string[]): boolean {
  return path.length <= steps.length && path.every((segment, index) => segment === '*' || segment === steps[index]);
}
