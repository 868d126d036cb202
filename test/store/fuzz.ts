/**
 * Hostile input for `create`: addresses, objects and options that are made to break a store, among others that are fine.
 *
 * Invariant: the same seed makes the same inputs.
 */
import { seededRandom } from '../../src/testing/index.js';
import type { SeededRandom } from '../../src/testing/index.js';

export interface FuzzedCall {
  readonly type: unknown;
  readonly namespace: unknown;
  readonly name: unknown;
  readonly input: unknown;
  readonly options: unknown;
}

/** What reaching for a part of the input throws, where it throws. */
export const thrown = new Error('thrown by the input itself');

const TEXTS = [
  '',
  ' ',
  '.',
  '..',
  '/',
  'a/b',
  'a\\b',
  'a\0b',
  '\0',
  '\ud800',
  'a\udfffb',
  '\u202eabc',
  '\u0085',
  '\ufeffa',
  '\u{1f600}',
  'e\u0301',
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  'toJSON',
  'then',
  'NaN',
  'null',
  'undefined',
  '-',
  '-a',
  'a-',
  'A',
  'all',
  '*',
  'a_b',
  'a..b',
  '%2e%2e',
  '\r\n',
  '${a}',
  '{{a}}',
  "'; drop",
  '1e400',
  '0x10',
  'x'.repeat(63),
  'x'.repeat(64),
  'x'.repeat(253),
  'x'.repeat(254),
  '\uffff'.repeat(400),
];
const NUMBERS = [
  0,
  -0,
  1,
  -1,
  0.1,
  1e21,
  1e308,
  5e-324,
  2 ** 53 - 1,
  2 ** 53,
  -(2 ** 63),
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
];

/** Parsed, not written: the only way to an own `__proto__`. */
const parsed = (text: string): unknown => JSON.parse(text) as unknown;
const nested = (depth: number, open: string, close: string): unknown => parsed(`${open.repeat(depth)}1${close.repeat(depth)}`);

/** Values that are no JSON, or that are meant to hurt who walks over them. */
const ODDITIES: readonly (() => unknown)[] = [
  () => undefined,
  () => 5n,
  () => Symbol('s'),
  () => () => 1,
  () => new Date(0),
  () => new Map([[1, 2]]),
  () => new Set([1]),
  () => /a+$/,
  () => new Uint8Array(8),
  () => Promise.resolve(1),
  () => new Proxy({ a: 1 }, {}),
  () => new Proxy([], {}),
  () => Object.create(null) as unknown,
  () => Object.create({ inherited: 1 }) as unknown,
  () => Object.create(Object.assign(Object.create(null) as object, { inherited: 1 })) as unknown,
  () => Object.assign(Object.create(null) as object, { a: 1 }),
  () =>
    new (class Thing {
      x = 1;
    })(),
  () => Object.assign([1], { 3: 3, length: 4 }),
  () => Object.assign([1, 2], { extra: 'x' }),
  () => ({ toJSON: () => 'gotcha' }),
  () => ({ toString: () => 'gotcha', valueOf: () => 5 }),
  () => parsed('{"then":"no promise"}'),
  () => ({ [Symbol('key')]: 1, a: 2 }),
  () => Object.defineProperty({ b: 1 }, 'hidden', { value: 1, enumerable: false }),
  () => Object.defineProperty({}, 'g', { get: () => 1, enumerable: true }),
  () =>
    Object.defineProperty({}, 'g', {
      get: () => {
        throw thrown;
      },
      enumerable: true,
    }),
  () => {
    const cycle: { self?: unknown } = {};
    cycle.self = cycle;
    return cycle;
  },
  () => {
    const list: unknown[] = [];
    list.push([[list]]);
    return list;
  },
  () => parsed('{"__proto__":{"polluted":1}}'),
  () => parsed('{"constructor":{"prototype":{"polluted":1}}}'),
  () => parsed('{"a":{"b":[{"__proto__":null}]}}'),
  () => nested(199, '{"a":', '}'),
  () => nested(200, '[', ']'),
  () => nested(201, '{"a":', '}'),
  () => nested(5000, '[', ']'),
  () => Object.fromEntries(Array.from({ length: 2000 }, (_, index) => [`k${index}`, index])),
];
/** Rare, because they cost: large ones, at the limit of an object and beyond that of a walk. */
const LARGE: readonly (() => unknown)[] = [
  () => 'x'.repeat(1024 * 1024 - 400),
  () => 'x'.repeat(1024 * 1024 + 1),
  () => '\u{1f600}'.repeat(262_144),
  () => Array.from({ length: 100_000 }, () => 0),
  () => nested(100_000, '[', ']'),
];

export class Fuzz {
  readonly #random: SeededRandom;
  readonly #types: readonly unknown[];
  #made = 0;

  /** `types`: those that are fine. */
  constructor(seed: number, types: readonly unknown[]) {
    this.#random = seededRandom(seed, 'fuzz');
    this.#types = types;
  }

  next(): FuzzedCall {
    this.#made += 1;
    const fine = !this.#chance(3);
    return {
      type: this.#chance(40) ? this.#text() : this.#pick(this.#types),
      namespace: this.#chance(20) ? this.#text() : this.#pick(['prod', 'production', 'a', 'a-b']),
      name: this.#chance(10) ? this.#text() : `n${this.#made}`,
      input: this.#input(fine),
      options: this.#chance(30) ? { source: this.#chance(2) ? this.#value(1) : this.#text() } : undefined,
    };
  }

  #input(fine: boolean): unknown {
    if (!fine && this.#chance(12)) return this.#value(0);
    const input: Record<string, unknown> = { spec: { size: this.#random.below(1000), ...(this.#chance(4) ? { node: this.#text() } : {}) } };
    if (fine) return input;
    const parts = 1 + this.#random.below(3);
    for (let part = 0; part < parts; part += 1) {
      const dice = this.#random.below(8);
      if (dice < 3) input['metadata'] = this.#metadata();
      else if (dice < 5) define(input['spec'] as Record<string, unknown>, this.#key(), this.#value(0));
      else define(input, this.#key(), this.#value(0));
    }
    return input;
  }

  #metadata(): unknown {
    if (this.#chance(10)) return this.#value(0);
    const metadata: Record<string, unknown> = {};
    const entries = (): Record<string, unknown> => {
      const map: Record<string, unknown> = {};
      for (let left = this.#random.below(3); left >= 0; left -= 1)
        define(map, this.#chance(2) ? 'app' : this.#text(), this.#chance(2) ? this.#text() : this.#value(1));
      return map;
    };
    const dice = this.#random.below(9);
    if (dice === 0) metadata['labels'] = entries();
    else if (dice === 1) metadata['annotations'] = entries();
    else if (dice === 2) metadata['finalizers'] = [this.#text(), this.#value(1)];
    else if (dice === 3)
      metadata['ownerReferences'] = [{ apiVersion: 'v1', kind: 'X', name: 'x', uid: this.#chance(2) ? this.#text() : this.#value(1) }];
    else if (dice === 4) metadata['generateName'] = this.#text();
    else if (dice === 5) metadata['resourceVersion'] = this.#chance(2) ? '5' : this.#value(1);
    else if (dice === 6) metadata['deletionTimestamp'] = this.#chance(2) ? '2020-01-01T00:00:00Z' : this.#value(1);
    else if (dice === 7) metadata[this.#chance(2) ? 'name' : 'namespace'] = this.#text();
    else define(metadata, this.#key(), this.#value(1));
    return metadata;
  }

  #value(depth: number): unknown {
    const dice = this.#random.below(depth > 3 ? 5 : 10);
    if (dice < 2) return this.#text();
    if (dice === 2) return this.#pick(NUMBERS);
    if (dice === 3) return this.#pick([true, false, null]);
    if (dice === 4) return this.#chance(1500) ? this.#pick(LARGE)() : this.#pick(ODDITIES)();
    if (dice < 7) return Array.from({ length: this.#random.below(4) }, () => this.#value(depth + 1));
    const object: Record<string, unknown> = {};
    for (let left = this.#random.below(4); left > 0; left -= 1) define(object, this.#key(), this.#value(depth + 1));
    return object;
  }

  #key(): string {
    return this.#chance(3) ? this.#text() : this.#pick(['a', 'b', 'size', 'node', 'status', 'kind', 'apiVersion', 'data']);
  }

  #text(): string {
    const text = this.#pick(TEXTS);
    return this.#chance(4) ? text + this.#pick(TEXTS) : text;
  }

  #pick<T>(values: readonly T[]): T {
    return values[this.#random.below(values.length)]!;
  }

  /** One in `of`. */
  #chance(of: number): boolean {
    return this.#random.below(of) === 0;
  }
}

/** Sets an own member, whatever its name. */
function define(object: Record<string, unknown>, key: string, value: unknown): void {
  Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
}
