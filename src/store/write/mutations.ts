/**
 * What each verb does to one object, as functions from its newest state: the same for a plain write and inside a transaction.
 *
 * Invariant: a mutation may run several times (on a conflict it is planned anew), so it captures its input and changes nothing.
 */
import {
  ANNOTATIONS_MAX_BYTES,
  AlreadyExistsError,
  BadRequestError,
  ConflictError,
  InvalidError,
  NotFoundError,
  TooLargeError,
  annotationBytes,
  cloneJson,
  invalid,
  mergePatch,
  takeJson,
  show,
} from '../../schemas/index.js';
import { LAST_APPLIED_ANNOTATION, applyJsonPatch, applyManifest, isRecord } from '../patch/index.js';
import { describeKey } from '../keys.js';
import type { TypeInfo } from '../registry.js';
import type { DeleteOptions, PatchOptions, Preconditions, UpdateOptions } from '../types.js';
import { checkPreconditions, createObject, deleteObject, detailsOf, isReleased, tellingFor, updateObject } from './rules.js';
import type { Stored, Subject } from './rules.js';

/** What is to become of an object. */
export type Effect = { readonly type: 'put'; readonly next: Stored } | { readonly type: 'remove' } | { readonly type: 'same' };

/** `previous` holds plain values; `revision` is undefined while the newest state is not durable. */
export interface Mutation {
  (subject: Subject, previous: Stored | undefined, revision: number | undefined): Effect;
  /** It does without what an object holds: of one that cannot be opened it is given what is known without. */
  readonly unopened?: true;
  /** It is for an object that is not there. */
  readonly creates?: true;
  /** What it puts shares nothing with the previous object. */
  readonly owns?: true;
}

type Input = Readonly<Record<string, unknown>>;
const same: Effect = Object.freeze({ type: 'same' });
export const remove: Effect = Object.freeze({ type: 'remove' });

export function createMutation(input: Input): Mutation {
  const mutation = (subject: Subject, previous: Stored | undefined): Effect => {
    if (previous !== undefined) throw alreadyExists(subject);
    return { type: 'put', next: createObject(subject, input) };
  };
  return Object.assign(mutation, { creates: true as const, owns: true as const, unopened: true as const });
}

export function updateMutation(input: Input, options: UpdateOptions): Mutation {
  const mutation = (subject: Subject, previous: Stored | undefined, revision: number | undefined): Effect => {
    if (previous === undefined) throw notFound(subject);
    checkPreconditions(subject.key, previous, revision, preconditionsIn(input));
    return putIfChanged(updateObject(subject, previous, input, options));
  };
  return Object.assign(mutation, { owns: true as const });
}

export function patchMutation(patch: unknown, options: PatchOptions): Mutation {
  const type = options.type ?? (Array.isArray(patch) ? 'json' : 'merge');
  const how = { subresource: options.subresource, rearranged: type === 'json' };
  return (subject, previous, revision) => {
    if (previous === undefined) throw notFound(subject);
    const { sensitivePaths } = subject.info;
    const { wanted, candidate } =
      type === 'json' ? jsonPatched(previous, { revision, patch, sensitivePaths }) : mergePatched(previous, patch);
    checkPreconditions(subject.key, previous, revision, wanted);
    if (!isRecord(candidate)) {
      const telling = tellingFor(subject.info, []);
      throw new InvalidError(`the patch makes no object of ${describeKey(subject.key)}${telling.got(candidate)}`, {
        details: detailsOf(subject.key),
        causes: [{ reason: 'FieldValueTypeInvalid', field: '', message: 'must be an object' }],
      });
    }
    return putIfChanged(updateObject(subject, previous, candidate, how));
  };
}

/** What comes of an object, and what the patch says it is made for. */
interface Patched {
  readonly wanted: Preconditions;
  readonly candidate: unknown;
}

function mergePatched(previous: Stored, patch: unknown): Patched {
  return { wanted: preconditionsIn(patch as Input), candidate: mergePatch(previous, patch) };
}

/** A JSON patch that puts another resourceVersion in, or another uid, says which object it was made for, as a merge patch does. */
function jsonPatched(
  previous: Stored,
  {
    revision,
    patch,
    sensitivePaths,
  }: { readonly revision: number | undefined; readonly patch: unknown; readonly sensitivePaths: TypeInfo['sensitivePaths'] },
): Patched {
  // While it is not known it is empty: no patch can have been made for it, and none fails because nothing is there.
  const metadata = { ...previous.metadata, resourceVersion: revision === undefined ? '' : String(revision) };
  const candidate = applyJsonPatch({ ...previous, metadata }, patch, sensitivePaths);
  const wanted = isRecord(candidate) ? preconditionsIn(candidate) : {};
  const after = isRecord(candidate) ? candidate['metadata'] : undefined;
  if (isRecord(after) && after['resourceVersion'] === '') delete (after as { resourceVersion?: unknown }).resourceVersion;
  return { wanted, candidate };
}

export function applyMutation(manifest: Input): Mutation {
  const wanted = preconditionsIn(manifest);
  return (subject, previous, revision) => {
    const { info, key } = subject;
    if (previous === undefined) refuseGone(subject, wanted);
    else checkPreconditions(key, previous, revision, wanted);
    const merged = applyManifest({
      manifest,
      live: previous,
      schema: info.definition?.schema,
      sensitivePaths: info.sensitivePaths,
    }) as Input;
    checkAnnotations(key, merged);
    if (previous === undefined) return { type: 'put', next: createObject(subject, merged) };
    return putIfChanged(updateObject(subject, previous, merged));
  };
}

/** A manifest that says which object it is for makes no other in its place. @throws {ConflictError} @throws {NotFoundError} */
function refuseGone(subject: Subject, { uid, resourceVersion }: Preconditions): void {
  if (uid !== undefined) {
    throw new ConflictError(
      `${describeKey(subject.key)} with the uid ${uid} does not exist any more: leave metadata.uid out to make another`,
      { details: { ...detailsOf(subject.key), uid } },
    );
  }
  if (resourceVersion !== undefined) {
    throw new NotFoundError(
      `${describeKey(subject.key)} does not exist, and the manifest is for its revision ${resourceVersion}: leave metadata.resourceVersion out to make it`,
      { details: detailsOf(subject.key) },
    );
  }
}

/** What an applied manifest adds to an object has to fit in its annotations. @throws {TooLargeError} */
function checkAnnotations(key: Subject['key'], merged: Input): void {
  const annotations = (merged['metadata'] as { annotations: Readonly<Record<string, string>> }).annotations;
  const text = annotations[LAST_APPLIED_ANNOTATION] as string;
  // A character takes at most three bytes: most need no measuring.
  if (text.length * 3 < ANNOTATIONS_MAX_BYTES / 2) return;
  const bytes = annotationBytes(annotations);
  if (bytes <= ANNOTATIONS_MAX_BYTES) return;
  throw new TooLargeError(
    `${describeKey(key)} cannot be applied: its manifest takes ${Buffer.byteLength(text)} bytes, and apply keeps it in the annotation ${LAST_APPLIED_ANNOTATION}. All annotations together would take ${bytes} bytes, more than the ${ANNOTATIONS_MAX_BYTES} allowed: use create and update, or keep large content elsewhere`,
    { details: detailsOf(key) },
  );
}

export function deleteMutation(options: DeleteOptions): Mutation {
  const mutation = (subject: Subject, previous: Stored | undefined, revision: number | undefined): Effect => {
    if (previous === undefined) throw notFound(subject);
    if (options.preconditions !== undefined) checkPreconditions(subject.key, previous, revision, options.preconditions);
    const outcome = deleteObject(subject, previous, options.propagation);
    return outcome.type === 'mark' ? { type: 'put', next: outcome.next } : outcome.type === 'remove' ? remove : same;
  };
  return Object.assign(mutation, { unopened: true as const });
}

/** Restores everything outside metadata and status from an older version. */
export function rollbackMutation(version: Stored, options: DeleteOptions): Mutation {
  return (subject, previous, revision) => {
    if (previous === undefined) throw notFound(subject);
    if (options.preconditions !== undefined) checkPreconditions(subject.key, previous, revision, options.preconditions);
    const { metadata: _, status: __, ...rest } = version;
    return putIfChanged(
      updateObject(subject, previous, { ...cloneJson(rest), ...(previous.status === undefined ? {} : { status: previous.status }) }),
    );
  };
}

/** Runs a synchronous change on the newest state: how many writers update one object without retrying against each other. */
export function modifyMutation(change: (draft: Stored) => unknown, options: UpdateOptions, accept: (input: Input) => Input): Mutation {
  if (typeof change !== 'function') throw new BadRequestError(`modify takes a function that changes the object, not ${show(change)}`);
  const how = { subresource: options.subresource, rearranged: true };
  return (subject, previous, revision) => {
    if (previous === undefined) throw notFound(subject);
    const draft = cloneJson(previous);
    if (revision !== undefined) (draft.metadata as { resourceVersion?: string }).resourceVersion = String(revision);
    const returned = change(draft);
    if (typeof (returned as PromiseLike<unknown> | undefined)?.then === 'function') {
      throw new InvalidError('modify needs a synchronous change: await what it needs before, or use a transaction', {
        details: detailsOf(subject.key),
      });
    }
    const next = returned ?? draft;
    // `(draft) => (draft.spec.size = 2)` returns 2, and `(draft) => (draft.spec = { size: 2 })` a spec: neither is the object.
    if (typeof next !== 'object' || typeof (next as Partial<Stored>).metadata !== 'object') {
      throw new InvalidError(
        `the change of ${describeKey(subject.key)} must return nothing, or the whole object with its metadata: put the body of the function in braces`,
        { details: detailsOf(subject.key) },
      );
    }
    const input = accept(next as Input);
    const { causes, copy } = takeJson(input, '', tellingFor(subject.info, [previous]));
    if (causes !== undefined) throw invalid(describeKey(subject.key), causes, detailsOf(subject.key));
    checkPreconditions(subject.key, previous, undefined, { uid: preconditionsIn(input).uid });
    return putIfChanged(updateObject(subject, previous, copy, how));
  };
}

function putIfChanged(next: Stored | undefined): Effect {
  if (next === undefined) return same;
  return isReleased(next) ? remove : { type: 'put', next };
}

function preconditionsIn(input: Input): { readonly uid?: string; readonly resourceVersion?: string } {
  const meta = input['metadata'] as { uid?: unknown; resourceVersion?: unknown } | undefined;
  return {
    ...(typeof meta?.uid === 'string' ? { uid: meta.uid } : {}),
    ...(typeof meta?.resourceVersion === 'string' && meta.resourceVersion !== '' ? { resourceVersion: meta.resourceVersion } : {}),
  };
}

export function notFound(subject: { readonly key: Subject['key'] }): NotFoundError {
  return new NotFoundError(`${describeKey(subject.key)} does not exist`, { details: detailsOf(subject.key) });
}

function alreadyExists(subject: Subject): AlreadyExistsError {
  return new AlreadyExistsError(`${describeKey(subject.key)} exists already: update it, or create under another name`, {
    details: detailsOf(subject.key),
  });
}
