/**
 * What a manifest said when it was last applied, kept in an annotation of the object, as kubectl keeps it.
 *
 * Invariants:
 * - The text is compact JSON with sorted keys, without status, without what the store sets in metadata, without the annotation
 *   itself: the same manifest always gives the same text, however its keys are ordered.
 * - It never holds a secret: of a sensitive value only the mark `SEALED_TEXT` is kept, which tells that the manifest named it.
 */
import { SEALED_TEXT } from '../../schemas/index.js';
import { isRecord, setOwn } from './record.js';
import type { JsonRecord } from './record.js';

/** The annotation that holds the last applied manifest. */
export const LAST_APPLIED_ANNOTATION = 'rune.dev/last-applied';

/** Metadata that the store sets: a manifest that carries it (one exported from a store, say) means nothing by it. */
export const SERVER_METADATA: ReadonlySet<string> = new Set([
  'uid',
  'resourceVersion',
  'generation',
  'creationTimestamp',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
  'selfLink',
  'managedFields',
]);

/** Paths of sensitive values from the root of the object; `*` stands for every member or item. */
export type SensitivePaths = readonly (readonly string[])[];

/** The part of a manifest that `apply` looks at: no status, no server metadata, no annotation of its own. Shares what it keeps. */
export function appliedPart(manifest: unknown): JsonRecord {
  const part: Record<string, unknown> = {};
  if (!isRecord(manifest)) return part;
  for (const key of Object.keys(manifest)) {
    const value = manifest[key];
    if (key === 'status' || value === undefined) continue;
    setOwn(part, key, key === 'metadata' && isRecord(value) ? appliedMetadata(value) : value);
  }
  return part;
}

function appliedMetadata(metadata: JsonRecord): JsonRecord {
  const part: Record<string, unknown> = {};
  for (const key of Object.keys(metadata)) {
    if (SERVER_METADATA.has(key)) continue;
    const value = metadata[key];
    if (key === 'annotations' && isRecord(value) && Object.hasOwn(value, LAST_APPLIED_ANNOTATION)) {
      const { [LAST_APPLIED_ANNOTATION]: _own, ...rest } = value;
      if (Object.keys(rest).length > 0) setOwn(part, key, rest);
    } else {
      setOwn(part, key, value);
    }
  }
  return part;
}

/** The annotation's text for a manifest. */
export function encodeLastApplied(manifest: unknown, options: { readonly sensitivePaths?: SensitivePaths | undefined } = {}): string {
  return JSON.stringify(canonical(appliedPart(manifest), options.sensitivePaths ?? []));
}

/** What the object's annotation says was applied last; undefined when nothing was, or when the text was damaged by hand. */
export function decodeLastApplied(live: unknown): JsonRecord | undefined {
  const metadata = isRecord(live) ? live['metadata'] : undefined;
  const annotations = isRecord(metadata) ? metadata['annotations'] : undefined;
  const text =
    isRecord(annotations) && Object.hasOwn(annotations, LAST_APPLIED_ANNOTATION) ? annotations[LAST_APPLIED_ANNOTATION] : undefined;
  if (typeof text !== 'string') return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Sorted keys, no undefined, sensitive values as their mark. A null stays: it says that the manifest removes the field. */
function canonical(value: unknown, sensitive: SensitivePaths): unknown {
  if (sensitive.some((path) => path.length === 0) && value !== null) return SEALED_TEXT;
  if (Array.isArray(value)) return value.map((item, index) => canonical(item, below(sensitive, String(index))));
  if (!isRecord(value)) return value;
  const sorted: Record<string, unknown> = {};
  for (const key of Object.keys(value).sort()) {
    if (value[key] !== undefined) setOwn(sorted, key, canonical(value[key], below(sensitive, key)));
  }
  return sorted;
}

function below(paths: SensitivePaths, key: string): SensitivePaths {
  if (paths.length === 0) return paths;
  return paths.filter((path) => path[0] === key || path[0] === '*').map((path) => path.slice(1));
}
