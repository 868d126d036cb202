/**
 * The rules of writing, as pure functions: from the object that is there and what a caller asks to the object that is to be.
 *
 * Invariants: nothing here reads a clock, an engine or a shared state; inputs are never changed; what is returned carries
 * no resourceVersion (that is known only at commit). A result of `undefined` means: nothing changes, so nothing is written.
 */
import {
  ConflictError,
  ForbiddenError,
  InvalidError,
  TooLargeError,
  cloneJson,
  equalJson,
  invalid,
  metadataCauses,
  openly,
  tellingOf,
} from '../../schemas/index.js';
import type { Cause, ObjectMeta, OwnerReference, StatusDetails, Telling } from '../../schemas/index.js';
import type { Key } from '../engine.js';
import { describeKey } from '../keys.js';
import type { TypeInfo } from '../registry.js';
import type { Preconditions, Propagation } from '../types.js';

/** An object on its way through the store. */
export interface Stored {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: Omit<ObjectMeta, 'resourceVersion'> & { readonly resourceVersion?: string };
  readonly status?: unknown;
  readonly [part: string]: unknown;
}

/** What a rule needs to know beside the objects. */
export interface Subject {
  readonly info: TypeInfo;
  readonly key: Key;
  /** RFC 3339, the moment of the write. */
  readonly now: string;
  readonly uuid: () => string;
  /** The scope of the kind that an owner reference names; undefined: nobody here has defined it. */
  readonly scopeOf: (owner: Pick<OwnerReference, 'apiVersion' | 'kind'>) => 'Namespaced' | 'Cluster' | undefined;
}

/** Finalizers that carry a propagation policy, as Kubernetes names them. */
export const FOREGROUND_FINALIZER = 'foregroundDeletion';
export const ORPHAN_FINALIZER = 'orphan';

/** Default upper bound of an encoded object, bytes. */
export const objectBytesDefault = 1024 * 1024;

type Raw = Readonly<Record<string, unknown>>;
type RawMeta = Readonly<Record<string, unknown>> & {
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly finalizers?: readonly string[];
  readonly ownerReferences?: readonly OwnerReference[];
};

/** How an update is meant. */
export interface UpdateRules {
  readonly subresource?: 'status' | undefined;
  /** Parts of the previous object may lie elsewhere in the input: keys of sensitive values, too. */
  readonly rearranged?: boolean | undefined;
}

const PLAINLY: UpdateRules = Object.freeze({});

/** How faults of a write are told: `clear` holds what may be named of it, `holders` what may not even be quoted by others. */
export function tellingFor({ definition, sensitivePaths }: TypeInfo, clear: readonly unknown[], holders: readonly unknown[] = []): Telling {
  return tellingOf({ schema: definition?.schema, sensitivePaths, clear, holders });
}

/** The object that a create makes of its input. @throws {InvalidError} with every cause. */
export function createObject(subject: Subject, input: Raw): Stored {
  const { info, key } = subject;
  const given = input['metadata'];
  const telling = info.sensitivePaths.length === 0 ? openly : tellingFor(info, [input], [input]);
  const causes: Cause[] = given === undefined ? [] : [...metadataCauses(given, { scope: info.scope, telling })];
  const meta = (causes.length === 0 && typeof given === 'object' && given !== null ? given : {}) as RawMeta;
  identityCauses(subject, meta, causes);
  ownerScopeCauses(subject, meta.ownerReferences, causes);
  if (meta['resourceVersion'] !== undefined) {
    causes.push({
      reason: 'FieldValueForbidden',
      field: 'metadata.resourceVersion',
      message: 'must not be set on create: the store gives it',
    });
  }
  const next = assemble(subject, input, buildMeta(key, meta, { uid: subject.uuid(), generation: 1, creationTimestamp: subject.now }));
  // As in Kubernetes: a status belongs to the status subresource, and a create does not reach it.
  if (info.statusSubresource) delete next['status'];
  info.validator?.applyDefaults(next);
  if (info.validator !== undefined) causes.push(...info.validator.causes(next, undefined, telling));
  if (causes.length > 0) throw invalid(describeKey(key), causes, detailsOf(key));
  return next as Stored;
}

/** The object that an update makes, or undefined when nothing changes. @throws {InvalidError} */
export function updateObject(subject: Subject, previous: Stored, input: Raw, how: UpdateRules = PLAINLY): Stored | undefined {
  const { info, key } = subject;
  const telling =
    info.sensitivePaths.length === 0
      ? openly
      : tellingFor(info, how.rearranged === true ? [previous] : [previous, input], [previous, input]);
  if (how.subresource === 'status') return updateStatus(subject, previous, input, telling);
  const given = input['metadata'];
  const causes: Cause[] = given === undefined ? [] : [...metadataCauses(given, { scope: info.scope, telling })];
  const before = previous.metadata;
  // Without metadata an update is about the rest: labels, annotations, owners and finalizers stay as they are.
  const meta = (given === undefined ? cloneJson(before) : causes.length === 0 ? given : {}) as RawMeta;
  identityCauses(subject, meta, causes);
  immutableCauses(before, meta, causes);
  // What is there already may be written on: its owner may have been defined later.
  if (key.namespace === '' && !equalJson(meta.ownerReferences, before.ownerReferences))
    ownerScopeCauses(subject, meta.ownerReferences, causes);
  const next = assemble(
    subject,
    input,
    buildMeta(key, meta, {
      uid: before.uid,
      generation: before.generation,
      creationTimestamp: before.creationTimestamp,
      deletionTimestamp: before.deletionTimestamp,
      deletionGracePeriodSeconds: before.deletionGracePeriodSeconds,
      generateName: before.generateName,
    }),
  );
  if (info.statusSubresource) {
    if (previous.status === undefined) delete next['status'];
    else next['status'] = cloneJson(previous.status);
  }
  info.validator?.applyDefaults(next);
  if (before.deletionTimestamp !== undefined) {
    const had = new Set(before.finalizers ?? []);
    for (const finalizer of (next['metadata'] as Stored['metadata']).finalizers ?? []) {
      if (!had.has(finalizer)) {
        causes.push({
          reason: 'FieldValueForbidden',
          field: 'metadata.finalizers',
          message: `${telling.show(finalizer)} cannot be added: the object is being deleted`,
        });
      }
    }
  }
  const specStays = sameSpec(next as Stored, previous);
  if (causes.length === 0 && specStays && sameRest(next as Stored, previous)) return undefined;
  if (info.validator !== undefined) causes.push(...info.validator.causes(next, previous, telling));
  if (causes.length > 0) throw invalid(describeKey(key), causes, { ...detailsOf(key), uid: before.uid });
  if (!specStays) (next['metadata'] as { generation: number }).generation = before.generation + 1;
  return next as Stored;
}

function updateStatus(subject: Subject, previous: Stored, input: Raw, telling: Telling): Stored | undefined {
  const { info, key } = subject;
  if (info.definition !== undefined && !info.statusSubresource) {
    throw new InvalidError(`${info.type} has no status subresource: define a status, or update the object as a whole`, {
      details: detailsOf(key),
    });
  }
  const causes: Cause[] = [];
  const given = input['metadata'];
  if (given !== undefined) {
    causes.push(...metadataCauses(given, { scope: info.scope, telling }));
    if (causes.length === 0) {
      identityCauses(subject, given as RawMeta, causes);
      immutableCauses(previous.metadata, given as RawMeta, causes);
    }
  }
  // A copy, nothing shared: what the next write freezes and stamps must not be what this one still has to.
  const next = cloneJson(previous) as Record<string, unknown>;
  next['metadata'] = withoutRevision(next['metadata'] as Stored['metadata']);
  if (input['status'] === undefined) delete next['status'];
  else next['status'] = input['status'];
  info.validator?.applyDefaults(next);
  if (info.validator !== undefined && next['status'] !== undefined) causes.push(...info.validator.statusCauses(next, previous, telling));
  if (causes.length > 0) throw invalid(`status of ${describeKey(key)}`, causes, { ...detailsOf(key), uid: previous.metadata.uid });
  return equalJson(next['status'], previous.status) ? undefined : (next as Stored);
}

/** What a delete makes of an object: gone, marked, or (already marked) left as it is. */
export function deleteObject(
  subject: Subject,
  previous: Stored,
  propagation: Propagation | undefined,
): { readonly type: 'remove' | 'same' } | { readonly type: 'mark'; readonly next: Stored } {
  const before = previous.metadata;
  if (before.deletionTimestamp !== undefined) return { type: 'same' };
  const finalizers = [...(before.finalizers ?? [])];
  const policy = propagation === 'foreground' ? FOREGROUND_FINALIZER : propagation === 'orphan' ? ORPHAN_FINALIZER : undefined;
  if (policy !== undefined && !finalizers.includes(policy)) finalizers.push(policy);
  if (finalizers.length === 0) return { type: 'remove' };
  const metadata = buildMeta(
    subject.key,
    { ...(before as unknown as RawMeta), finalizers },
    {
      uid: before.uid,
      generation: before.generation,
      creationTimestamp: before.creationTimestamp,
      deletionTimestamp: subject.now,
      deletionGracePeriodSeconds: 0,
      generateName: before.generateName,
    },
  );
  return { type: 'mark', next: { ...cloneJson(previous), metadata } };
}

/** True when a terminating object has lost its last finalizer: the write that does this removes it. */
export function isReleased(next: Stored): boolean {
  return next.metadata.deletionTimestamp !== undefined && (next.metadata.finalizers?.length ?? 0) === 0;
}

/**
 * Holds the caller's idea of the object against what is there. `revision` undefined: the newest state is still on its way to
 * the disk, so nobody can have read it.
 * @throws {ConflictError}
 */
export function checkPreconditions(key: Key, previous: Stored, revision: number | undefined, wanted: Preconditions): void {
  if (wanted.uid !== undefined && wanted.uid !== previous.metadata.uid) {
    throw new ConflictError(`${describeKey(key)} is another object by now: its uid is ${previous.metadata.uid}, not the one asked for`, {
      details: { ...detailsOf(key), uid: previous.metadata.uid },
      ...(revision === undefined ? {} : { currentRevision: String(revision) }),
    });
  }
  if (wanted.resourceVersion !== undefined && wanted.resourceVersion !== String(revision)) {
    const current = revision === undefined ? 'newer' : `at ${revision}`;
    throw new ConflictError(`${describeKey(key)} has changed since it was read: it is ${current}. Read it again and repeat the change`, {
      details: { ...detailsOf(key), uid: previous.metadata.uid },
      ...(revision === undefined ? {} : { currentRevision: String(revision) }),
    });
  }
}

/** @throws {TooLargeError} */
export function checkSize(info: TypeInfo, key: Key, bytes: number): void {
  const most = info.definition?.limits.objectBytes ?? objectBytesDefault;
  if (bytes > most) {
    throw new TooLargeError(
      `${describeKey(key)} is ${bytes} bytes encoded, more than the ${most} allowed for ${info.type}: split it, or keep large content elsewhere`,
      { details: detailsOf(key) },
    );
  }
}

/** Whether an object may be made in a namespace, given the newest state of that. @throws {ForbiddenError} when it is going away, or (strict namespaces) is not there. */
export function checkNamespace(key: Key, space: Stored | undefined, strict: boolean): void {
  if (space?.metadata.deletionTimestamp !== undefined) {
    throw new ForbiddenError(`cannot create ${describeKey(key)}: namespace "${key.namespace}" is being deleted`, {
      details: detailsOf(key),
    });
  }
  if (strict && space === undefined) {
    throw new ForbiddenError(
      `cannot create ${describeKey(key)}: namespace "${key.namespace}" does not exist, and this store was opened with strictNamespaces. Create the namespace first`,
      {
        details: detailsOf(key),
      },
    );
  }
}

/** Puts the resourceVersion in, where an object is read. */
export function stampRevision(object: Stored, revision: number): void {
  (object.metadata as { resourceVersion?: string }).resourceVersion = String(revision);
}

export function detailsOf(key: Key): StatusDetails {
  return { kind: key.type, name: key.name, ...(key.namespace === '' ? {} : { namespace: key.namespace }) };
}

/** Equal but for the resourceVersion. */
export function sameObject(a: Stored, b: Stored): boolean {
  return sameSpec(a, b) && sameRest(a, b);
}

/** What a generation counts: all but metadata, status, and what the type says of itself. */
function sameSpec(a: Stored, b: Stored): boolean {
  for (const part in a) if (isSpec(part) && !equalJson(a[part], b[part])) return false;
  for (const part in b) if (isSpec(part) && b[part] !== undefined && a[part] === undefined) return false;
  return true;
}

function sameRest(a: Stored, b: Stored): boolean {
  return (
    a.apiVersion === b.apiVersion &&
    a.kind === b.kind &&
    equalJson(a.status, b.status) &&
    equalJson(withoutRevision(a.metadata), withoutRevision(b.metadata))
  );
}

function isSpec(part: string): boolean {
  return part !== 'metadata' && part !== 'status' && part !== 'apiVersion' && part !== 'kind';
}

function withoutRevision(meta: Stored['metadata']): Stored['metadata'] {
  if (meta.resourceVersion === undefined) return meta;
  const { resourceVersion: _, ...rest } = meta;
  return rest;
}

/** apiVersion and kind first, then metadata, then the rest: what is on disk reads like a manifest. */
function assemble(subject: Subject, input: Raw, metadata: Stored['metadata']): Record<string, unknown> {
  const definition = subject.info.definition;
  const next: Record<string, unknown> = {};
  if (definition !== undefined) {
    next['apiVersion'] = input['apiVersion'] ?? definition.apiVersion;
    next['kind'] = input['kind'] ?? definition.kind;
  }
  next['metadata'] = metadata;
  for (const part of Object.keys(input)) if (part !== 'metadata' && input[part] !== undefined) next[part] = input[part];
  return next;
}

function buildMeta(
  key: Key,
  meta: RawMeta,
  fixed: {
    readonly uid: string;
    readonly generation: number;
    readonly creationTimestamp: string;
    readonly deletionTimestamp?: string | undefined;
    readonly deletionGracePeriodSeconds?: number | undefined;
    readonly generateName?: string | undefined;
  },
): Stored['metadata'] {
  const built: Record<string, unknown> = { name: key.name };
  if (key.namespace !== '') built['namespace'] = key.namespace;
  const generateName = fixed.generateName ?? meta['generateName'];
  if (generateName !== undefined) built['generateName'] = generateName;
  built['uid'] = fixed.uid;
  built['generation'] = fixed.generation;
  built['creationTimestamp'] = fixed.creationTimestamp;
  if (fixed.deletionTimestamp !== undefined) built['deletionTimestamp'] = fixed.deletionTimestamp;
  if (fixed.deletionGracePeriodSeconds !== undefined) built['deletionGracePeriodSeconds'] = fixed.deletionGracePeriodSeconds;
  // An empty map says the same as none: keeping only one spelling keeps writes that change nothing from looking like changes.
  if (meta.labels !== undefined && Object.keys(meta.labels).length > 0) built['labels'] = meta.labels;
  if (meta.annotations !== undefined && Object.keys(meta.annotations).length > 0) built['annotations'] = meta.annotations;
  if (meta.ownerReferences !== undefined && meta.ownerReferences.length > 0) built['ownerReferences'] = meta.ownerReferences;
  if (meta.finalizers !== undefined && meta.finalizers.length > 0) built['finalizers'] = meta.finalizers;
  return built as unknown as Stored['metadata'];
}

function identityCauses(subject: Subject, meta: RawMeta, causes: Cause[]): void {
  const { name, namespace } = subject.key;
  if (meta['name'] !== undefined && meta['name'] !== name) {
    causes.push({ reason: 'FieldValueInvalid', field: 'metadata.name', message: `must be "${name}", the name it is written under` });
  }
  if (meta['namespace'] !== undefined && meta['namespace'] !== namespace) {
    causes.push({
      reason: 'FieldValueInvalid',
      field: 'metadata.namespace',
      message:
        namespace === '' ? 'must not be set on a cluster-scoped object' : `must be "${namespace}", the namespace it is written under`,
    });
  }
}

/**
 * As in Kubernetes, an owner is in the namespace of what it owns, or in none: an object outside namespaces has no owner inside
 * one. More cannot be known here: a reference does not name the owner's namespace, and a kind may be one that nobody defined.
 */
function ownerScopeCauses({ key, scopeOf }: Subject, owners: RawMeta['ownerReferences'], causes: Cause[]): void {
  if (key.namespace !== '' || owners === undefined) return;
  owners.forEach((owner, index) => {
    if (scopeOf(owner) !== 'Namespaced') return;
    causes.push({
      reason: 'FieldValueForbidden',
      field: `metadata.ownerReferences[${index}].kind`,
      message: `must not be ${owner.kind}, which lives in namespaces: a cluster-scoped object has cluster-scoped owners or none`,
    });
  });
}

function immutableCauses(before: Stored['metadata'], meta: RawMeta, causes: Cause[]): void {
  for (const field of ['uid', 'creationTimestamp', 'deletionTimestamp', 'generateName'] as const) {
    const given = meta[field];
    if (given !== undefined && given !== before[field]) {
      causes.push({
        reason: 'FieldValueForbidden',
        field: `metadata.${field}`,
        message: `is immutable: leave it as ${before[field] === undefined ? 'it is (unset)' : `"${before[field]}"`} or leave it out`,
      });
    }
  }
}
