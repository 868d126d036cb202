/**
 * A JSON object as code sees it before it is known to be anything more.
 *
 * Invariant: `set` never changes a prototype; a key named `__proto__` becomes an own property, which validation then refuses.
 */

/** A JSON object with unknown members. */
export type JsonRecord = Readonly<Record<string, unknown>>;

/** Whether a value is an object with members: no array, no null, and no instance of a class such as `Sealed`. */
export function isRecord(value: unknown): value is JsonRecord {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** Sets an own property, whatever its name. */
export function setOwn(target: Record<string, unknown>, key: string, value: unknown): void {
  if (key === '__proto__') {
    Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
  } else {
    target[key] = value;
  }
}
