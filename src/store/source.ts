/**
 * Who wrote: free text that goes with every write into the log, history and events, checked where it is given.
 *
 * Invariant: what passes here reads back as it was, on every engine.
 */
import { InvalidError, isWellFormedText, show } from '../schemas/index.js';
import type { Cause } from '../schemas/index.js';

/** The longest source, in UTF-8. */
export const MAX_SOURCE_BYTES = 1024;

/** The options, if their `source` can be kept. @throws {InvalidError} */
export function withSource<T extends { readonly source?: string | undefined }>(options: T): T {
  const source: unknown = options.source;
  if (source === undefined) return options;
  if (typeof source !== 'string') throw bad(`must be a text naming the writer; got ${show(source)}`, 'FieldValueTypeInvalid');
  if (source.length * 3 > MAX_SOURCE_BYTES && Buffer.byteLength(source) > MAX_SOURCE_BYTES)
    throw bad(`must be at most ${MAX_SOURCE_BYTES} bytes of UTF-8; got ${Buffer.byteLength(source)}`, 'FieldValueTooLong');
  if (!isWellFormedText(source)) throw bad('must be well-formed Unicode: it holds half of a surrogate pair', 'FieldValueInvalid');
  return options;
}

function bad(message: string, reason: Cause['reason']): InvalidError {
  return new InvalidError(`source ${message}`, { causes: [{ reason, field: 'source', message }] });
}
