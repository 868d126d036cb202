/** The types of the metrics registry: what a metric is, and the handles that change it. */

/** What a metric is: plain data, shared by all that write to it. */
export interface MetricDefinition<Label extends string = string> {
  /** Prometheus' rules: letters, digits, `_` and `:`; a counter ends in `_total`. */
  readonly name: string;
  /** One sentence. */
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  /** Label names in the order in which they are written. Never the name of an object: a series for each would be kept for ever. */
  readonly labels: readonly Label[];
  /** Upper bounds of a histogram's buckets, ascending, without +Inf. */
  readonly buckets?: readonly number[];
  /** The bounds where the registry was made with `compat`: those of controller-runtime. */
  readonly compatBuckets?: readonly number[];
}

/** A value for each label of a metric. */
export type Labels<Label extends string = string> = Readonly<Record<Label, string>>;

/** What led to an observation, for OpenMetrics: `{ trace_id: '4bf9...' }`; 128 characters at most in all. */
export type Exemplar = Readonly<Record<string, string>>;

/** A number that only grows. */
export interface CounterSeries {
  /** Adds `by`, 0 or more; default 1. */
  inc(by?: number, exemplar?: Exemplar): void;
  value(): number;
}

/** A number that goes up and down. */
export interface GaugeSeries {
  set(value: number): void;
  /** Adds `by`, which may be negative. */
  add(by: number): void;
  value(): number;
}

/** How often values fell into which range. */
export interface HistogramSeries {
  /** Counts one value; NaN is ignored. */
  observe(value: number, exemplar?: Exemplar): void;
  count(): number;
  sum(): number;
  /** Values at or below each bound, and at last all of them. */
  cumulative(): readonly number[];
}

/** A metric and its series. */
export interface MetricFamily<Series, Label extends string = string> {
  readonly definition: MetricDefinition<Label>;
  /**
   * The series of these label values; made at zero by the first call, so that rates work from the first event. Keep it: the
   * look-up is not for hot paths. Beyond the registry's `seriesLimit` all new ones share a series whose labels say so.
   *
   * @throws {InvalidError} when a label is missing or unknown.
   */
  with(labels: Labels<Label>): Series;
  /** Drops a series; true if there was one. */
  remove(labels: Labels<Label>): boolean;
  /** Drops every series that has these values for these labels, whatever its others are; gives how many there were. */
  removeMatching(labels: Partial<Labels<Label>>): number;
}

/** How the text is written: Prometheus' format 0.0.4, or OpenMetrics 1.0 with exemplars. */
export type MetricsFormat = 'prometheus' | 'openmetrics';

/** Metrics of one process, or one manager: nothing is global. */
export interface MetricsRegistry {
  /** Whether histograms have controller-runtime's buckets. */
  readonly compat: boolean;
  /**
   * The family of a definition; the same one for each call with that name.
   *
   * @throws {InvalidError} when the definition is malformed, or differs from the one registered under its name.
   */
  counter<Label extends string>(definition: MetricDefinition<Label>): MetricFamily<CounterSeries, Label>;
  /** See `counter`. @throws {InvalidError} as `counter`. */
  gauge<Label extends string>(definition: MetricDefinition<Label>): MetricFamily<GaugeSeries, Label>;
  /** See `counter`. @throws {InvalidError} as `counter`. */
  histogram<Label extends string>(definition: MetricDefinition<Label>): MetricFamily<HistogramSeries, Label>;
  /** Calls `update` before each `render`, for what is cheaper to read then than to keep. Returns what removes it. */
  onCollect(update: () => void): () => void;
  /** All series as text. */
  render(format?: MetricsFormat): string;
  /** The Content-Type that goes with `render(format)`. */
  contentType(format?: MetricsFormat): string;
}
