/**
 * The test kit for vitest: matchers that tell the story of a key when they fail, and MockStore with `vi.fn()`.
 *
 * Importing this file adds the matchers to `expect`. vitest is an optional peer of the package: this file alone needs it.
 */
import { expect, vi, type Mock } from 'vitest';
import type { Store } from '../store/index.js';
import {
  eventually,
  hasCondition,
  hasEvent,
  isReconciled,
  type ConditionDetails,
  type ConditionStatus,
  type EventQuery,
  type EventuallyOptions,
  type Verdict,
} from './matchers.js';
import {
  createMockStore as createStoreOfSpies,
  type MockedVerb,
  type MockStoreOptions,
  type MockStubs,
  type SpyFunction,
} from './mock-store.js';

/** A store whose verbs are `vi.fn()`s of the right type, with helpers that say what to answer. */
export type MockStore = Omit<Store, MockedVerb> & { readonly [V in MockedVerb]: Store[V] & Mock<Store[V]> } & MockStubs;

/**
 * Makes a store of `vi.fn()`s.
 *
 * @example
 * const store = createMockStore();
 * store.stubGet(Service, service);
 * await underTest(store);
 * expect(store.update).toHaveBeenCalledOnce();
 */
export function createMockStore(options: Omit<MockStoreOptions, 'fn'> = {}): MockStore {
  return createStoreOfSpies({ ...options, fn: (implementation) => vi.fn<SpyFunction>(implementation) }) as unknown as MockStore;
}

interface MockStoreClass {
  new (options?: Omit<MockStoreOptions, 'fn'>): MockStore;
}
/** The same as a class: `new MockStore()`. */
export const MockStore = function MockStore(options?: Omit<MockStoreOptions, 'fn'>): MockStore {
  return createMockStore(options);
} as unknown as MockStoreClass;

/** The matchers, for an `expect` of one's own. */
export const matchers = {
  toHaveCondition: (subject: unknown, type: string, status?: ConditionStatus, details?: ConditionDetails): Verdict =>
    hasCondition(subject, type, status, details),
  toBeReconciled: (subject: unknown): Verdict => isReconciled(subject),
  toHaveEvent: (subject: unknown, query: EventQuery): Verdict => hasEvent(subject, query),
  toEventually: (subject: unknown, holds: (value: unknown) => unknown, options?: EventuallyOptions): Promise<Verdict> =>
    eventually(subject, holds, options),
};

expect.extend(matchers as unknown as Parameters<typeof expect.extend>[0]);

type ConditionTypeOfObject<T> = T extends { status?: infer S }
  ? NonNullable<S> extends { conditions?: readonly (infer C)[] }
    ? C extends { type: infer Name extends string }
      ? Name
      : string
    : string
  : string;

declare module 'vitest' {
  interface Matchers<T> {
    /** The object has a condition of this type; its status is True unless another is asked for. */
    toHaveCondition(type: ConditionTypeOfObject<T>, status?: ConditionStatus, details?: ConditionDetails): void;
    /** Nothing is left to do for the object (or for all of a rig), and the last run went well. */
    toBeReconciled(): void;
    /** An event was recorded about the object (or about any of a rig): by its reason, or by more. */
    toHaveEvent(query: EventQuery): void;
    /** `holds` holds at last, while the rig's virtual time moves. To be awaited. */
    toEventually(holds: (value: T) => unknown, options?: EventuallyOptions): Promise<void>;
  }
}
