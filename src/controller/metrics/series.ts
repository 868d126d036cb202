/**
 * The three kinds of series. Invariant: changing one allocates nothing, unless an exemplar comes with it.
 */
import { InvalidError } from '../../schemas/index.js';
import type { CounterSeries, Exemplar, GaugeSeries, HistogramSeries } from './types.js';

/** An exemplar and the value it came with. */
export interface HeldExemplar {
  readonly labels: Exemplar;
  readonly value: number;
}

const EXEMPLAR_CHARACTERS = 128;

function held(labels: Exemplar, value: number): HeldExemplar | undefined {
  let length = 0;
  for (const [name, text] of Object.entries(labels)) length += name.length + text.length;
  // The limit of the format: an exemplar that is too long is dropped, the observation is not.
  return length <= EXEMPLAR_CHARACTERS ? { labels, value } : undefined;
}

export class Counter implements CounterSeries {
  exemplar: HeldExemplar | undefined;
  #value = 0;

  inc(by = 1, exemplar?: Exemplar): void {
    if (!(by >= 0)) throw new InvalidError(`a counter only grows: inc() takes a number of 0 or more, got ${String(by)}`);
    this.#value += by;
    if (exemplar !== undefined) this.exemplar = held(exemplar, by) ?? this.exemplar;
  }

  value(): number {
    return this.#value;
  }
}

export class Gauge implements GaugeSeries {
  #value = 0;

  set(value: number): void {
    this.#value = value;
  }

  add(by: number): void {
    this.#value += by;
  }

  value(): number {
    return this.#value;
  }
}

/** Up to this many buckets a look at each is quicker than halving. */
const FEW = 16;

export class Histogram implements HistogramSeries {
  readonly bounds: readonly number[];
  /** By bucket, the one without a bound last. */
  exemplars: (HeldExemplar | undefined)[] | undefined;
  readonly #counts: Float64Array;
  #sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.#counts = new Float64Array(bounds.length + 1);
  }

  observe(value: number, exemplar?: Exemplar): void {
    if (Number.isNaN(value)) return;
    const bucket = this.#bucketOf(value);
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1;
    this.#sum += value;
    if (exemplar === undefined) return;
    this.exemplars ??= Array.from<undefined>({ length: this.#counts.length });
    this.exemplars[bucket] = held(exemplar, value) ?? this.exemplars[bucket];
  }

  count(): number {
    let total = 0;
    for (const count of this.#counts) total += count;
    return total;
  }

  sum(): number {
    return this.#sum;
  }

  cumulative(): readonly number[] {
    let total = 0;
    return Array.from(this.#counts, (count) => (total += count));
  }

  #bucketOf(value: number): number {
    const bounds = this.bounds;
    let low = 0;
    if (bounds.length <= FEW) {
      while (low < bounds.length && value > (bounds[low] as number)) low += 1;
      return low;
    }
    let high = bounds.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (value > (bounds[middle] as number)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
