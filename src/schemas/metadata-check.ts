/**
 * The shape of metadata, checked on every write.
 *
 * Invariant: metadata that is fine allocates nothing. What may change between two writes is the store's rule, not this one.
 */
import { NO_CAUSES, type Cause, type CauseReason } from './errors.js';
import type { Scope } from './definition.js';
import { annotationsCauses, finalizersCauses, labelsCauses, nameCauses, namespaceCauses } from './names.js';
import { openly, type Telling } from './telling.js';

const PREFIX_MAX = 247;
const UID_MAX = 128;
const REVISION = /^(?:0|[1-9]\d{0,15})$/;
const UID = /^[A-Za-z0-9._:-]{1,128}$/;
const PREFIX_END = /^[a-z0-9][a-z0-9.-]*$/;
const TIMESTAMP =
  /^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)(?:\.\d{1,9})?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/;

/** Where the metadata belongs, and how it is called in messages. */
export interface MetadataCheck {
  /** `Any`: a namespace may be there or not. */
  readonly scope: Scope | 'Any';
  /** Default `metadata`. */
  readonly path?: string | undefined;
  /** Default: openly. */
  readonly telling?: Telling | undefined;
}

type Check = (value: unknown, field: string, telling: Telling, scope: MetadataCheck['scope']) => readonly Cause[];

function one(field: string, message: string, reason: CauseReason = 'FieldValueInvalid'): readonly Cause[] {
  return [{ reason, field, message }];
}

/** Whether a text is an RFC 3339 timestamp. */
export function isTimestamp(value: unknown): value is string {
  return typeof value === 'string' && value.length <= 40 && TIMESTAMP.test(value);
}

function timestampCauses(value: unknown, field: string, telling: Telling): readonly Cause[] {
  if (isTimestamp(value)) return NO_CAUSES;
  return one(field, `must be an RFC 3339 timestamp such as "2026-01-31T12:00:00Z"${telling.got(value)}`);
}

function countCauses(value: unknown, field: string, telling: Telling): readonly Cause[] {
  if (Number.isSafeInteger(value) && (value as number) >= 0) return NO_CAUSES;
  return one(field, `must be a whole number from 0 on${telling.got(value)}`);
}

/** Whether something can be the uid of an object. */
export function isUid(value: unknown): value is string {
  return typeof value === 'string' && UID.test(value);
}

function uidCauses(value: unknown, field: string, telling: Telling): readonly Cause[] {
  if (isUid(value)) return NO_CAUSES;
  return one(field, `must be 1 to ${UID_MAX} letters, digits, ".", "_", ":" and "-"${telling.got(value)}`);
}

function revisionCauses(value: unknown, field: string, telling: Telling): readonly Cause[] {
  if (typeof value === 'string' && REVISION.test(value)) return NO_CAUSES;
  return one(field, `must be a decimal text as a read gave it${telling.got(value)}`);
}

function generateNameCauses(value: unknown, field: string, telling: Telling): readonly Cause[] {
  if (typeof value === 'string' && value.length <= PREFIX_MAX && PREFIX_END.test(value) && !/\.[.-]|-\./.test(value)) return NO_CAUSES;
  return one(field, `must be the beginning of a DNS-1123 subdomain, at most ${PREFIX_MAX} characters${telling.got(value)}`);
}

function scopedNamespaceCauses(value: unknown, field: string, telling: Telling, scope: MetadataCheck['scope']): readonly Cause[] {
  if (scope !== 'Cluster') return namespaceCauses(value, field, telling);
  return one(field, `must not be set: the type is cluster-scoped${telling.got(value)}`, 'FieldValueForbidden');
}

const OWNER_FIELDS: ReadonlySet<string> = new Set(['apiVersion', 'kind', 'name', 'uid', 'controller', 'blockOwnerDeletion']);

function ownerCauses(owner: unknown, field: string, telling: Telling): readonly Cause[] {
  if (typeof owner !== 'object' || owner === null || Array.isArray(owner)) {
    return one(field, `must be an owner reference${telling.got(owner)}`, 'FieldValueTypeInvalid');
  }
  let causes: Cause[] | undefined;
  const reference = owner as Record<string, unknown>;
  for (const key of Object.keys(reference)) {
    if (!OWNER_FIELDS.has(key))
      (causes ??= []).push(...one(telling.join(field, key), 'is not a field of an owner reference', 'FieldValueForbidden'));
  }
  for (const key of ['apiVersion', 'kind', 'name', 'uid'] as const) {
    const value = reference[key];
    if (typeof value !== 'string' || value === '') (causes ??= []).push(...one(`${field}.${key}`, 'is required', 'FieldValueRequired'));
    else if (value.length > 317) (causes ??= []).push(...one(`${field}.${key}`, 'must be at most 317 characters', 'FieldValueTooLong'));
    else if (key === 'uid' && !UID.test(value)) (causes ??= []).push(...uidCauses(value, `${field}.uid`, telling));
  }
  for (const key of ['controller', 'blockOwnerDeletion'] as const) {
    const value = reference[key];
    if (value !== undefined && typeof value !== 'boolean')
      (causes ??= []).push(...one(`${field}.${key}`, `must be true or false${telling.got(value)}`, 'FieldValueTypeInvalid'));
  }
  return causes ?? NO_CAUSES;
}

/** What is wrong with a list of owners: each one's shape, an owner twice, a second controller. */
export function ownerReferencesCauses(value: unknown, field: string, telling: Telling = openly): readonly Cause[] {
  if (!Array.isArray(value)) return one(field, `must be a list of owner references${telling.got(value)}`, 'FieldValueTypeInvalid');
  let causes: Cause[] | undefined;
  let controller = -1;
  const seen = value.length > 1 ? new Set<string>() : undefined;
  for (let i = 0; i < value.length; i++) {
    const found = ownerCauses(value[i], telling.join(field, i), telling);
    if (found !== NO_CAUSES) {
      (causes ??= []).push(...found);
      continue;
    }
    const owner = value[i] as { uid: string; controller?: boolean };
    if (seen?.has(owner.uid) === true)
      (causes ??= []).push(...one(`${field}[${i}].uid`, 'names an owner that is there already', 'FieldValueDuplicate'));
    seen?.add(owner.uid);
    if (owner.controller !== true) continue;
    if (controller === -1) controller = i;
    else (causes ??= []).push(...one(`${field}[${i}].controller`, `must not be true: ${field}[${controller}] is the controller already`));
  }
  return causes ?? NO_CAUSES;
}

// With the full path of each field, so that a fine object builds no text.
const CHECKS: ReadonlyMap<string, { readonly run: Check; readonly field: string }> = new Map(
  Object.entries<Check>({
    name: nameCauses,
    namespace: scopedNamespaceCauses,
    generateName: generateNameCauses,
    uid: uidCauses,
    resourceVersion: revisionCauses,
    generation: countCauses,
    creationTimestamp: timestampCauses,
    deletionTimestamp: timestampCauses,
    deletionGracePeriodSeconds: countCauses,
    labels: labelsCauses,
    annotations: annotationsCauses,
    finalizers: finalizersCauses,
    ownerReferences: ownerReferencesCauses,
  }).map(([key, run]) => [key, { run, field: `metadata.${key}` }]),
);

const UNKNOWN_HINTS: ReadonlyMap<string, string> = new Map([
  ['managedFields', 'is not kept: remove it (apply remembers what was applied in an annotation)'],
  ['selfLink', 'is not kept: remove it'],
  ['clusterName', 'is not kept: remove it'],
]);

/** What is wrong with the shape of metadata; empty when nothing is. */
export function metadataCauses(meta: unknown, check: MetadataCheck): readonly Cause[] {
  const { path = 'metadata', telling = openly } = check;
  if (typeof meta !== 'object' || meta === null || Array.isArray(meta)) {
    return one(path, `must be an object${telling.got(meta)}`, meta === undefined ? 'FieldValueRequired' : 'FieldValueTypeInvalid');
  }
  let causes: Cause[] | undefined;
  for (const key in meta) {
    const value = (meta as Record<string, unknown>)[key];
    // Manifests that kubectl generates say `creationTimestamp: null`.
    if (value === undefined || (value === null && key === 'creationTimestamp')) continue;
    const known = CHECKS.get(key);
    if (known === undefined) {
      (causes ??= []).push(
        ...one(
          telling.join(path, key),
          UNKNOWN_HINTS.get(key) ?? 'is not a field of metadata: put your own data into labels, annotations or spec',
          'FieldValueForbidden',
        ),
      );
      continue;
    }
    const found = known.run(value, path === 'metadata' ? known.field : telling.join(path, key), telling, check.scope);
    if (found.length > 0) (causes ??= []).push(...found);
  }
  return causes ?? NO_CAUSES;
}
