/**
 * Metrics as text: Prometheus' exposition format 0.0.4 and OpenMetrics 1.0.
 *
 * They differ in four places: OpenMetrics names a counter's family without `_total`, writes `le` as a float, may carry
 * exemplars, and ends with `# EOF`.
 */
import type { Family, LabelledSeries } from './family.js';
import { Counter, Gauge, type HeldExemplar, Histogram } from './series.js';
import type { MetricsFormat } from './types.js';

/** What each format is served as. */
export const contentTypes: Readonly<Record<MetricsFormat, string>> = {
  prometheus: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
};

/** The text of all families. */
export function renderFamilies(families: Iterable<Family>, format: MetricsFormat): string {
  const lines: string[] = [];
  for (const family of families) {
    const { name, type, help } = family.definition;
    const familyName = format === 'openmetrics' && type === 'counter' ? name.slice(0, -'_total'.length) : name;
    const escaped = help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
    lines.push(
      `# HELP ${familyName} ${format === 'openmetrics' ? escaped.replaceAll('"', '\\"') : escaped}`,
      `# TYPE ${familyName} ${type}`,
    );
    for (const series of family.series.values()) renderSeries(lines, family, series, format);
  }
  if (format === 'openmetrics') lines.push('# EOF');
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
}

function renderSeries(lines: string[], family: Family, { values, series }: LabelledSeries<unknown>, format: MetricsFormat): void {
  const { name, labels } = family.definition;
  const pairs = labels.map((label, index) => `${label}="${escapeValue(values[index] ?? '')}"`);
  if (series instanceof Counter) {
    lines.push(`${name}${braced(pairs)} ${numberText(series.value())}${exemplarText(series.exemplar, format)}`);
  } else if (series instanceof Gauge) {
    lines.push(`${name}${braced(pairs)} ${numberText(series.value())}`);
  } else if (series instanceof Histogram) {
    const cumulative = series.cumulative();
    for (const [index, count] of cumulative.entries()) {
      const bound = series.bounds[index] ?? Infinity;
      lines.push(
        `${name}_bucket${braced([...pairs, `le="${boundText(bound, format)}"`])} ${count}${exemplarText(series.exemplars?.[index], format)}`,
      );
    }
    lines.push(`${name}_sum${braced(pairs)} ${numberText(series.sum())}`, `${name}_count${braced(pairs)} ${cumulative.at(-1) ?? 0}`);
  }
}

function exemplarText(exemplar: HeldExemplar | undefined, format: MetricsFormat): string {
  if (exemplar === undefined || format !== 'openmetrics') return '';
  const pairs = Object.entries(exemplar.labels).map(([label, value]) => `${label}="${escapeValue(value)}"`);
  return ` # {${pairs.join(',')}} ${numberText(exemplar.value)}`;
}

function braced(pairs: readonly string[]): string {
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

function escapeValue(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"');
}

function numberText(value: number): string {
  if (value === Infinity) return '+Inf';
  return value === -Infinity ? '-Inf' : String(value);
}

function boundText(bound: number, format: MetricsFormat): string {
  return format === 'openmetrics' && Number.isInteger(bound) ? bound.toFixed(1) : numberText(bound);
}
