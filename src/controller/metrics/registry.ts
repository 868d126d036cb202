/**
 * The metrics registry: families by name, series by label values, in the order in which they were made.
 *
 * Invariants: no global state; a name means one definition; a family holds at most `seriesLimit` series and one more,
 * labelled `exceeded_cardinality_limit`, for all that came later, so that a label gone wild costs no memory.
 */
import { InvalidError } from '../../schemas/index.js';
import { contentTypes, renderFamilies } from './exposition.js';
import { Family } from './family.js';
import { Counter, Gauge, Histogram } from './series.js';
import type {
  CounterSeries,
  GaugeSeries,
  HistogramSeries,
  MetricDefinition,
  MetricFamily,
  MetricsFormat,
  MetricsRegistry,
} from './types.js';

/** How a registry behaves. */
export interface MetricsOptions {
  /** controller-runtime's histogram buckets instead of ours: its begin at 10 ns, which says nothing here. Default false. */
  readonly compat?: boolean | undefined;
  /** Series that one metric may have. Default 2000. */
  readonly seriesLimit?: number | undefined;
}

/**
 * Makes a metrics registry.
 *
 * @throws {InvalidError} when `seriesLimit` is no whole number from 1.
 * @example
 * const metrics = createMetrics();
 * metrics.counter(controllerMetrics.reconcileTotal).with({ controller: 'scaling', result: 'success' }).inc();
 * response.setHeader('Content-Type', metrics.contentType()).end(metrics.render());
 */
export function createMetrics(options: MetricsOptions = {}): MetricsRegistry {
  return new Registry(options);
}

class Registry implements MetricsRegistry {
  readonly compat: boolean;
  readonly #limit: number;
  readonly #families = new Map<string, Family>();
  readonly #collectors = new Set<() => void>();

  constructor(options: MetricsOptions) {
    const { compat = false, seriesLimit = 2000 } = options;
    if (!Number.isInteger(seriesLimit) || seriesLimit < 1)
      throw new InvalidError(`seriesLimit must be a whole number from 1, got ${String(seriesLimit)}`);
    this.compat = compat;
    this.#limit = seriesLimit;
  }

  counter<Label extends string>(definition: MetricDefinition<Label>): MetricFamily<CounterSeries, Label> {
    return this.#family(definition, 'counter', () => new Counter());
  }

  gauge<Label extends string>(definition: MetricDefinition<Label>): MetricFamily<GaugeSeries, Label> {
    return this.#family(definition, 'gauge', () => new Gauge());
  }

  histogram<Label extends string>(definition: MetricDefinition<Label>): MetricFamily<HistogramSeries, Label> {
    const bounds = (this.compat ? definition.compatBuckets : undefined) ?? definition.buckets ?? [];
    return this.#family(definition, 'histogram', () => new Histogram(bounds));
  }

  onCollect(update: () => void): () => void {
    const own = (): void => update();
    this.#collectors.add(own);
    return () => void this.#collectors.delete(own);
  }

  render(format: MetricsFormat = 'prometheus'): string {
    for (const update of this.#collectors) update();
    return renderFamilies(this.#families.values(), format);
  }

  contentType(format: MetricsFormat = 'prometheus'): string {
    return contentTypes[format];
  }

  #family<Series, Label extends string>(
    definition: MetricDefinition<Label>,
    type: MetricDefinition['type'],
    make: () => Series,
  ): MetricFamily<Series, Label> {
    const { name } = definition;
    const known = this.#families.get(name);
    if (known !== undefined) {
      if (known.definition !== definition && JSON.stringify(known.definition) !== JSON.stringify(definition)) {
        throw new InvalidError(`metric ${name} is registered with another definition: use one definition object for one name`);
      }
      if (definition.type !== type) throw new InvalidError(`metric ${name} is a ${definition.type}, not a ${type}`);
      return known as MetricFamily<Series> as MetricFamily<Series, Label>;
    }
    checkDefinition(definition, type);
    const family = new Family<Series>(definition, this.#limit, make);
    this.#families.set(name, family);
    return family as MetricFamily<Series> as MetricFamily<Series, Label>;
  }
}

function checkDefinition(definition: MetricDefinition, type: MetricDefinition['type']): void {
  const { name, labels, buckets, compatBuckets } = definition;
  const fail = (why: string): never => {
    throw new InvalidError(`metric ${JSON.stringify(name)} ${why}`);
  };
  if (definition.type !== type) fail(`is a ${definition.type}, not a ${type}`);
  if (!/^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(name)) fail('must be named with letters, digits, _ and :, and not begin with a digit');
  if (type === 'counter' && !name.endsWith('_total')) fail('is a counter: its name must end in _total');
  for (const label of labels) {
    if (!/^[a-zA-Z_][a-zA-Z0-9_]*$/.test(label) || label.startsWith('__') || label === 'le')
      fail(`has the label ${JSON.stringify(label)}: use letters, digits and _; "le" and "__" at the start are taken`);
  }
  if (new Set(labels).size !== labels.length) fail('names a label twice');
  if (type !== 'histogram') return;
  if (buckets === undefined || buckets.length === 0) fail('is a histogram: it needs buckets');
  for (const bounds of [buckets ?? [], compatBuckets ?? []]) {
    if (bounds.some((bound, index) => !Number.isFinite(bound) || (index > 0 && bound <= (bounds[index - 1] as number))))
      fail('must have finite bucket bounds in ascending order');
  }
}
