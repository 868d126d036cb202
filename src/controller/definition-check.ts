/**
 * What is wrong with the options of a controller, gathered so that all of it is told at once.
 *
 * Invariant: whatever would fail when the controller starts, because an option cannot be, fails here.
 */
import { invalid, isInvalid, namespaceCauses, parseDuration, parseLabelSelector } from '../schemas/index.js';
import type { AnyDefinition, Cause, Duration } from '../schemas/index.js';
import type { LabelSelectorInput } from '../store/index.js';
import type { RateLimiterOptions } from './types.js';

const RATE_LIMITER = ['baseDelay', 'maxDelay', 'jitter', 'bucket'];
/** What lists and watches take for every namespace. */
const EVERY_NAMESPACE = ['', '*', 'all'];

export class DefinitionCheck {
  readonly #causes: Cause[] = [];

  fail(field: string, message: string): void {
    this.#causes.push({ reason: 'FieldValueInvalid', field, message });
  }

  definition(value: unknown, field: string): void {
    const definition = value as Partial<AnyDefinition> | undefined;
    if (typeof definition?.type !== 'string' || typeof definition.scope !== 'string') {
      this.fail(field, 'must be a resource definition, as defineResource gives');
    }
  }

  fn(value: unknown, field: string, required: boolean): void {
    if (value === undefined ? required : typeof value !== 'function') this.fail(field, 'must be a function');
  }

  flag(value: unknown, field: string): void {
    if (value !== undefined && typeof value !== 'boolean') this.fail(field, 'must be true or false');
  }

  list<T>(value: readonly T[] | undefined, field: string): readonly T[] {
    if (value === undefined) return [];
    if (Array.isArray(value)) return value;
    this.fail(field, 'must be a list');
    return [];
  }

  /** A duration above 0 in ms; `false` is none. */
  duration<F extends number | undefined>(value: Duration | false | undefined, field: string, fallback: F): number | F | undefined {
    if (value === undefined) return fallback;
    if (value === false) return undefined;
    try {
      const ms = parseDuration(value, field);
      if (ms > 0) return ms;
      this.fail(field, 'must be more than 0');
    } catch {
      this.fail(field, `must be ms or a text like '30s', but is ${JSON.stringify(value)}`);
    }
    return fallback;
  }

  rateLimiter(value: RateLimiterOptions | undefined, field: string): void {
    if (value === undefined) return;
    if (typeof value !== 'object' || value === null) {
      this.fail(field, `must be an object of ${RATE_LIMITER.join(', ')}`);
      return;
    }
    for (const option of Object.keys(value))
      if (!RATE_LIMITER.includes(option)) this.fail(`${field}.${option}`, `is no option; known are ${RATE_LIMITER.join(', ')}`);
    const { jitter, bucket } = value;
    for (const name of ['baseDelay', 'maxDelay'] as const) {
      if ((value[name] as unknown) === false) this.fail(`${field}.${name}`, 'must be a duration: a failing key always waits');
      this.duration(value[name], `${field}.${name}`, undefined);
    }
    if (jitter !== undefined && !(typeof jitter === 'number' && jitter >= 0 && jitter <= 1))
      this.fail(`${field}.jitter`, `must be a number from 0 to 1, but is ${String(jitter)}`);
    if (bucket === undefined) return;
    const { qps, burst } = (bucket ?? {}) as Partial<typeof bucket>;
    if (!(typeof qps === 'number' && qps > 0 && qps < Infinity))
      this.fail(`${field}.bucket.qps`, `must be a number above 0, but is ${String(qps)}`);
    if (!(Number.isSafeInteger(burst) && (burst as number) >= 1))
      this.fail(`${field}.bucket.burst`, `must be a whole number from 1, but is ${String(burst)}`);
  }

  namespace(value: string | undefined, field: string): void {
    if (value === undefined || EVERY_NAMESPACE.includes(value)) return;
    for (const { message } of namespaceCauses(value, field)) this.fail(field, message);
  }

  labelSelector(value: LabelSelectorInput | undefined, field: string): void {
    if (value === undefined) return;
    try {
      parseLabelSelector(value);
    } catch (error) {
      if (!isInvalid(error)) throw error;
      for (const { message } of error.causes) this.fail(field, message);
    }
  }

  /** @throws {InvalidError} that names every fault. */
  done(name: unknown): void {
    if (this.#causes.length > 0)
      throw invalid(`controller ${typeof name === 'string' ? JSON.stringify(name) : 'definition'}`, this.#causes);
  }
}
