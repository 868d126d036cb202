/**
 * Faults on order: which call fails, is late, or loses a race; and which watches end.
 *
 * Invariants: a fault hits calls in the order they are made, as often as it was asked for, and then it is gone; without faults
 * a call costs nothing extra.
 */
import { ConflictError, InvalidError, isTypeName, parseDuration, StoreError } from '../schemas/index.js';
import type { AnyDefinition, Duration } from '../schemas/index.js';

/** The verbs of a store that can be made to fail. */
export const storeVerbs = [
  'create',
  'get',
  'getByUid',
  'list',
  'update',
  'patch',
  'apply',
  'modify',
  'delete',
  'deleteCollection',
  'watch',
  'transaction',
  'getHistory',
  'getVersion',
  'rollback',
  'compact',
  'rotateKeys',
  'backup',
  'verify',
  'stats',
] as const;
export type StoreVerb = (typeof storeVerbs)[number];

const writeVerbs: ReadonlySet<string> = new Set<StoreVerb>([
  'create',
  'update',
  'patch',
  'apply',
  'modify',
  'delete',
  'deleteCollection',
  'transaction',
  'rollback',
]);
const readVerbs: ReadonlySet<string> = new Set<StoreVerb>(['get', 'getByUid', 'list', 'getHistory', 'getVersion']);
const raceVerbs: ReadonlySet<string> = new Set<StoreVerb>(['update', 'patch', 'apply', 'delete', 'rollback']);

/** A verb, or a group: `write` and `read` stand for several, `*` for all. */
export type FaultVerb = StoreVerb | 'read' | 'write' | '*';

/** A call of a store's verb, as faults see it. */
export interface StoreCall {
  readonly verb: StoreVerb;
  /** The exact type name; undefined where a call has none. */
  readonly type: string | undefined;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  /** Who writes: `controller/<name>` for what a controller does. */
  readonly source: string | undefined;
  readonly subresource: 'status' | undefined;
  /** What is written, for verbs that write. */
  readonly input: unknown;
}

/** Which calls are meant: all that is given must fit. */
export type CallMatch =
  | {
      readonly type?: string | AnyDefinition | undefined;
      readonly namespace?: string | undefined;
      readonly name?: string | undefined;
      readonly source?: string | undefined;
      readonly subresource?: 'status' | undefined;
    }
  | ((call: StoreCall) => boolean);

/** How often a fault strikes, and where. */
export interface FaultOptions {
  /** Default 1; `delay`: until it is removed. */
  readonly times?: number | undefined;
  readonly where?: CallMatch | undefined;
}

/** How a call fails. */
export interface FailOptions extends FaultOptions {
  /** True: the call takes effect and fails all the same, as when an answer is lost on its way. Default false. */
  readonly applied?: boolean | undefined;
}

/** A fault that was ordered. */
export interface Fault {
  /** How often it has struck. */
  readonly hits: number;
  remove(): void;
}

/** What befalls one call. */
export interface Fate {
  readonly delayMs: number;
  readonly error: Error | undefined;
  readonly applied: boolean;
}

interface Rule {
  readonly verb: FaultVerb | 'race';
  readonly matches: (call: StoreCall) => boolean;
  left: number;
  hits: number;
  readonly delayMs: number;
  readonly error: ((call: StoreCall) => Error) | undefined;
  readonly applied: boolean;
}

/** The faults of one store. */
export class Faults {
  #rules: Rule[] = [];
  /** What a call that lost a race lost to. */
  readonly #revision: () => string;

  constructor(revision: () => string) {
    this.#revision = revision;
  }

  get empty(): boolean {
    return this.#rules.length === 0;
  }

  failNext(verb: FaultVerb, error?: Error | string | ((call: StoreCall) => Error), options: FailOptions = {}): Fault {
    checkVerb(verb);
    const make =
      typeof error === 'function'
        ? error
        : error instanceof Error
          ? () => error
          : (call: StoreCall) =>
              new StoreError(error ?? `injected: ${call.verb}${call.type === undefined ? '' : ` of ${describeCall(call)}`} fails`);
    return this.#add({ verb, options, times: options.times ?? 1, error: make, applied: options.applied ?? false });
  }

  delay(verb: FaultVerb, duration: Duration | number, options: FaultOptions = {}): Fault {
    checkVerb(verb);
    return this.#add({ verb, options, times: options.times ?? Infinity, delayMs: parseDuration(duration, 'delay') });
  }

  conflictNext(verb: FaultVerb | undefined, options: FaultOptions = {}): Fault {
    if (verb !== undefined) checkVerb(verb);
    const error = (call: StoreCall): Error =>
      new ConflictError(`injected: ${describeCall(call)} has changed since it was read`, {
        currentRevision: this.#revision(),
        details: { kind: call.type, namespace: call.namespace, name: call.name },
      });
    return this.#add({ verb: verb ?? 'race', options, times: options.times ?? 1, error });
  }

  #add(spec: {
    verb: Rule['verb'];
    options: FaultOptions;
    times: number;
    delayMs?: number;
    error?: Rule['error'];
    applied?: boolean;
  }): Fault {
    const { verb, options, times, delayMs = 0, error, applied = false } = spec;
    if (!(times > 0)) throw new InvalidError(`times must be at least 1, not ${String(times)}`);
    const rule: Rule = { verb, matches: callMatcher(options.where), left: times, hits: 0, delayMs, error, applied };
    this.#rules.push(rule);
    return {
      get hits() {
        return rule.hits;
      },
      remove: () => this.#drop(rule),
    };
  }

  #drop(rule: Rule): void {
    this.#rules = this.#rules.filter((other) => other !== rule);
  }

  /**
   * What befalls a call; undefined: nothing. Delays add up; the first error counts, and uses up one strike. `only` looks at
   * faults of one sort and leaves the others for later.
   */
  strike(call: StoreCall, only?: 'error' | 'delay'): Fate | undefined {
    let delayMs = 0;
    let error: Error | undefined;
    let applied = false;
    let struck = false;
    for (const rule of this.#rules) {
      if (only !== undefined && (rule.error === undefined) !== (only === 'delay')) continue;
      if ((rule.error !== undefined && error !== undefined) || !covers(rule.verb, call.verb) || !rule.matches(call)) continue;
      struck = true;
      rule.hits += 1;
      rule.left -= 1;
      if (rule.left <= 0) this.#drop(rule);
      delayMs += rule.delayMs;
      if (rule.error === undefined) continue;
      error = rule.error(call);
      applied = rule.applied;
    }
    return struck ? { delayMs, error, applied } : undefined;
  }

  /** How late the next events of a watch are, ms. */
  lateness(call: StoreCall): number {
    return this.strike(call, 'delay')?.delayMs ?? 0;
  }

  clear(): void {
    this.#rules = [];
  }
}

/** `update service prod/web`. */
export function describeCall(call: Pick<StoreCall, 'type' | 'namespace' | 'name'>): string {
  const { type = 'an object', namespace, name } = call;
  const place = namespace === undefined || namespace === '' ? name : name === undefined ? namespace : `${namespace}/${name}`;
  return place === undefined ? type : `${type} ${place}`;
}

/** The test of a match. */
export function callMatcher(match: CallMatch | undefined): (call: StoreCall) => boolean {
  if (match === undefined) return () => true;
  if (typeof match === 'function') return match;
  if (typeof match.type === 'string' && match.type !== '*' && !isTypeName(match.type))
    throw new InvalidError(
      `there is no type ${JSON.stringify(match.type)}: a type is named as in "scaling_operation", or given as its definition`,
    );
  const wanted = { ...match, type: typeof match.type === 'object' ? match.type.type : match.type };
  const entries = Object.entries(wanted).filter(([, value]) => value !== undefined);
  return (call) => entries.every(([field, value]) => call[field as keyof StoreCall] === value);
}

function covers(wanted: Rule['verb'], verb: StoreVerb): boolean {
  if (wanted === verb || wanted === '*') return true;
  if (wanted === 'write') return writeVerbs.has(verb);
  if (wanted === 'read') return readVerbs.has(verb);
  return wanted === 'race' && raceVerbs.has(verb);
}

function checkVerb(verb: string): void {
  if (verb === '*' || verb === 'read' || verb === 'write' || (storeVerbs as readonly string[]).includes(verb)) return;
  throw new InvalidError(`there is no verb ${verb}: take one of ${storeVerbs.join(', ')}, or read, write, *`);
}
