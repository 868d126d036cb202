/**
 * One metric: its series by label values.
 *
 * Invariant: it holds at most `limit` series and one more, labelled `exceeded_cardinality_limit`, for all that came later.
 */
import { InvalidError } from '../../schemas/index.js';
import type { Labels, MetricDefinition, MetricFamily } from './types.js';

/** What series beyond a limit are labelled with; controller-runtime's word. */
export const exceededCardinalityLimit = 'exceeded_cardinality_limit';

/** A series with the label values it was made for. */
export interface LabelledSeries<Series> {
  readonly values: readonly string[];
  readonly series: Series;
}

export class Family<Series = unknown> implements MetricFamily<Series> {
  readonly definition: MetricDefinition;
  readonly series = new Map<string, LabelledSeries<Series>>();
  readonly #make: () => Series;
  readonly #limit: number;

  constructor(definition: MetricDefinition, limit: number, make: () => Series) {
    this.definition = definition;
    this.#limit = limit;
    this.#make = make;
    // A metric without labels has one series, and it is there from the start.
    if (definition.labels.length === 0) this.with({});
  }

  with(labels: Labels): Series {
    let values = this.#valuesOf(labels);
    let key = keyOf(values);
    if (!this.series.has(key) && this.series.size >= this.#limit) {
      values = values.map(() => exceededCardinalityLimit);
      key = keyOf(values);
    }
    let found = this.series.get(key);
    if (found === undefined) {
      found = { values, series: this.#make() };
      this.series.set(key, found);
    }
    return found.series;
  }

  remove(labels: Labels): boolean {
    return this.series.delete(keyOf(this.#valuesOf(labels)));
  }

  removeMatching(labels: Partial<Labels>): number {
    const { labels: names } = this.definition;
    const wanted = Object.entries(labels).map(([label, value]) => [names.indexOf(label), value] as const);
    let removed = 0;
    for (const [key, { values }] of this.series) {
      if (!wanted.every(([index, value]) => index >= 0 && values[index] === value)) continue;
      this.series.delete(key);
      removed += 1;
    }
    return removed;
  }

  #valuesOf(labels: Labels): string[] {
    const { name, labels: names } = this.definition;
    const values = names.map((label) => labels[label]);
    if (values.some((value) => typeof value !== 'string') || Object.keys(labels).length !== names.length) {
      throw new InvalidError(
        `metric ${name} takes a text for each of the labels [${names.join(', ')}], got [${Object.keys(labels).join(', ')}]`,
      );
    }
    return values as string[];
  }
}

/** Unambiguous whatever the values hold. */
function keyOf(values: readonly string[]): string {
  return values.length === 1 ? (values[0] as string) : JSON.stringify(values);
}
