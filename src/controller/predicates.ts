/**
 * Which updates wake a reconciler.
 *
 * Invariants: a predicate that looks at differences lets everything through that is no update; an update that made
 * another object of it (new uid) passes; so does a resync (`previous === object`), which carries no difference and exists
 * to heal. The sources apply `where` to updates alone, and never to one that marks an object for deletion.
 */
import { equalJson, getPath } from '../schemas/index.js';

/** What a predicate looks at; `previous` is there for updates. */
export interface PredicateEvent<T = PredicateObject> {
  readonly type: 'create' | 'update' | 'delete';
  readonly object: T;
  readonly previous?: T | undefined;
}
/** The least that the predicates below need of an object. */
export interface PredicateObject {
  readonly metadata: {
    readonly uid: string;
    readonly generation: number;
    readonly labels?: Readonly<Record<string, string>> | undefined;
    readonly annotations?: Readonly<Record<string, string>> | undefined;
  };
}
/** Whether an event counts. */
export type Predicate<T = PredicateObject> = (event: PredicateEvent<T>) => boolean;

function onDifference(differs: (object: PredicateObject, previous: PredicateObject) => boolean): Predicate {
  return ({ type, object, previous }) =>
    type !== 'update' ||
    previous === undefined ||
    previous === object ||
    previous.metadata.uid !== object.metadata.uid ||
    differs(object, previous);
}

/** The spec changed (anything outside metadata and status). */
export function generationChanged(): Predicate {
  return onDifference((object, previous) => object.metadata.generation !== previous.metadata.generation);
}
/** A label was added, changed or removed. */
export function labelsChanged(): Predicate {
  return onDifference((object, previous) => !equalJson(object.metadata.labels ?? {}, previous.metadata.labels ?? {}));
}
/** An annotation was added, changed or removed. */
export function annotationsChanged(): Predicate {
  return onDifference((object, previous) => !equalJson(object.metadata.annotations ?? {}, previous.metadata.annotations ?? {}));
}
/**
 * The value at one of the paths changed.
 *
 * @example
 * pathChanged('spec.scale', 'metadata.labels')
 */
export function pathChanged(...paths: readonly string[]): Predicate {
  return onDifference((object, previous) => paths.some((path) => !equalJson(getPath(object, path), getPath(previous, path))));
}
/** All of them. */
export function and<T>(...predicates: readonly Predicate<T>[]): Predicate<T> {
  return (event) => predicates.every((predicate) => predicate(event));
}
/** One of them. */
export function or<T>(...predicates: readonly Predicate<T>[]): Predicate<T> {
  return (event) => predicates.some((predicate) => predicate(event));
}
/** Not this one. */
export function not<T>(predicate: Predicate<T>): Predicate<T> {
  return (event) => !predicate(event);
}
