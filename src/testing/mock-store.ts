/**
 * A store that does nothing by itself: every verb is a spy, and answers what it was told to. For strict unit tests; whoever wants
 * a store that works takes TestStore.
 *
 * Invariants: a call that nobody stubbed fails and says how to stub it; the newest stub that fits answers; what is given out is
 * a copy.
 */
import { builtinTypes, cloneJson, InvalidError, NotFoundError, StoreClosedError } from '../schemas/index.js';
import type { AnyDefinition, CachedOf, ResourceOf } from '../schemas/index.js';
import type { Deps, ListOptions, ListResult, Store, Transaction, TypeRef } from '../store/index.js';
import { callMatcher, describeCall, type CallMatch, type StoreCall, type StoreVerb } from './faults.js';
import { MockWatch, type MockEvent, type MockWatchHandle } from './mock-watch.js';
import { callOf } from './store-face.js';
import { virtualDeps } from './virtual-deps.js';

/** The verbs that are spies: all that a store can be asked. */
export type MockedVerb = StoreVerb | 'register' | 'definition' | 'keys' | 'dropKey' | 'close';

/** Any function: what a spy is made of. */
export type SpyFunction = (...args: never[]) => unknown;

/** The spy that is used when no `fn` is given: it keeps its calls. */
export interface RecordedCalls {
  /** The arguments of each call, oldest first. */
  readonly calls: readonly (readonly unknown[])[];
}

/** How a mock store is made. */
export interface MockStoreOptions<Spy extends object = RecordedCalls> {
  /**
   * Makes a spy that calls the function it is given: `vi.fn`, `jest.fn`, `(each) => mock.fn(each)` of node:test, whose `fn` must
   * not be taken off `mock`. Default: one that keeps its calls.
   */
  readonly fn?: ((implementation: SpyFunction) => Spy) | undefined;
  /** Default: `virtualDeps()`. */
  readonly deps?: Deps | undefined;
}

/** How long a stub lasts, and which calls it answers. */
export interface StubOptions {
  /** Default: as often as it is asked. */
  readonly times?: number | undefined;
  readonly where?: CallMatch | undefined;
}

/** What a verb may be made to answer, or a promise of it; undefined where nobody looks at the answer. */
export type StubAnswer<V extends StoreVerb> = ReturnType<Store[V]> | Awaited<ReturnType<Store[V]>> | undefined;

/** Tells a mock store what to answer. */
export interface MockStubs {
  /** Answers calls of a verb with a function of your own. */
  stub<V extends StoreVerb>(verb: V, answer: (...args: Parameters<Store[V]>) => StubAnswer<V>, options?: StubOptions): void;
  /** Answers `get` and `getByUid` for this object. */
  stubGet<D extends AnyDefinition>(definition: D, object: ResourceOf<D>, options?: Pick<StubOptions, 'times'>): void;
  /** Answers `get` of this name with NotFoundError. */
  stubMissing(definition: AnyDefinition, key: { readonly namespace?: string | undefined; readonly name: string }): void;
  /** Answers `list` of the type; a namespace and a `filter` that are asked for are applied, selectors are not. */
  stubList<D extends AnyDefinition>(
    definition: D,
    items: readonly ResourceOf<D>[],
    options?: Pick<StubOptions, 'times'> & { readonly resourceVersion?: string },
  ): void;
  /** Answers `watch` of the type with these events; the handle adds more, ends the stream, or makes it fail. */
  stubWatch<D extends AnyDefinition>(definition: D, events?: readonly MockEvent<CachedOf<D>>[]): MockWatchHandle<CachedOf<D>>;
  /** Makes a verb fail. */
  stubError(verb: StoreVerb, error: Error, options?: StubOptions): void;
  /**
   * Makes create, update, patch and apply answer with what they were given, modify with what its change made of the object that
   * `stubGet` gives (of an empty one without), and delete with nothing.
   */
  stubWrites(): void;
  /** Forgets every stub; the spies keep their calls. */
  clearStubs(): void;
}

/** A store of spies. */
export type MockStoreOf<Spy extends object> = Omit<Store, MockedVerb> & { readonly [V in MockedVerb]: Store[V] & Spy } & MockStubs;

interface Stub {
  readonly verb: StoreVerb;
  readonly matches: (call: StoreCall) => boolean;
  left: number;
  readonly answer: (args: readonly unknown[]) => unknown;
}

/** What of a verb's arguments a call is made of. */
const shapes: Readonly<Record<StoreVerb, (args: readonly unknown[]) => StoreCall>> = {
  create: ([type, namespace, name, input, options]) => fact('create', type, { namespace, name, input, options }),
  get: ([type, namespace, name]) => fact('get', type, { namespace, name }),
  getByUid: ([type]) => fact('getByUid', type, {}),
  list: ([type, namespace]) => fact('list', type, { namespace }),
  update: ([type, namespace, name, input, options]) => fact('update', type, { namespace, name, input, options }),
  patch: ([type, namespace, name, input, options]) => fact('patch', type, { namespace, name, input, options }),
  apply: ([type, namespace, name, input, options]) => fact('apply', type, { namespace, name, input, options }),
  modify: ([type, namespace, name, input, options]) => fact('modify', type, { namespace, name, input, options }),
  delete: ([type, namespace, name, options]) => fact('delete', type, { namespace, name, options }),
  deleteCollection: ([type, namespace, options]) => fact('deleteCollection', type, { namespace, options }),
  watch: ([type, namespace]) => fact('watch', type, { namespace }),
  transaction: ([, options]) => fact('transaction', undefined, { options }),
  getHistory: ([type, namespace, name]) => fact('getHistory', type, { namespace, name }),
  getVersion: ([type, namespace, name]) => fact('getVersion', type, { namespace, name }),
  rollback: ([type, namespace, name, , options]) => fact('rollback', type, { namespace, name, options }),
  compact: () => fact('compact', undefined, {}),
  rotateKeys: () => fact('rotateKeys', undefined, {}),
  backup: () => fact('backup', undefined, {}),
  verify: () => fact('verify', undefined, {}),
  stats: () => fact('stats', undefined, {}),
};

function fact(
  verb: StoreVerb,
  type: unknown,
  given: { namespace?: unknown; name?: unknown; input?: unknown; options?: unknown },
): StoreCall {
  const { source, subresource } = (given.options ?? {}) as { source?: string; subresource?: 'status' };
  return callOf(verb, type as TypeRef | undefined, {
    namespace: given.namespace as string,
    name: given.name as string,
    input: given.input,
    source,
    subresource,
  });
}

/**
 * Makes a store whose verbs are spies.
 *
 * @example
 * const store = createMockStore({ fn: (each) => mock.fn(each) });          // node:test
 * store.stubGet(Service, service);
 * await underTest(store);
 * assert.equal(store.get.mock.callCount(), 1);
 *
 * @throws {InvalidError} when `fn` gives no function: it is called by itself, not as a method.
 */
export function createMockStore<Spy extends object = RecordedCalls>(options: MockStoreOptions<Spy> = {}): MockStoreOf<Spy> {
  const fn = spyMaker(options.fn ?? (recorder as unknown as (implementation: SpyFunction) => Spy));
  const deps = options.deps ?? virtualDeps();
  const known = new Map<string, AnyDefinition>(builtinTypes.map((type) => [type.type, type]));
  const ended = new AbortController();
  let stubs: Stub[] = [];

  const stubFor = (verb: StoreVerb, call: StoreCall): Stub | undefined =>
    stubs.findLast((each) => each.verb === verb && each.left > 0 && each.matches(call));
  const answer = (verb: StoreVerb, args: readonly unknown[], otherwise?: () => unknown): unknown => {
    const call = shapes[verb](args);
    const stub = stubFor(verb, call);
    if (stub !== undefined) {
      stub.left -= 1;
      return stub.answer(args);
    }
    if (otherwise !== undefined) return otherwise();
    throw new Error(
      `the mock store was asked to ${verb}${call.type === undefined ? '' : ` ${describeCall(call)}`}, and nobody said what to answer: call mock.stub('${verb}', ...)`,
    );
  };
  const spy = (verb: StoreVerb, otherwise?: (args: readonly unknown[]) => unknown): Spy =>
    fn(async (...args: unknown[]) => answer(verb, args, otherwise === undefined ? undefined : () => otherwise(args)));
  const add = (verb: StoreVerb, give: Stub['answer'], { times = Infinity, where }: StubOptions = {}): void => {
    stubs.push({ verb, left: times, matches: callMatcher(where), answer: give });
  };

  const verbs: Record<MockedVerb, Spy> = {
    create: spy('create'),
    get: spy('get'),
    getByUid: spy('getByUid'),
    list: spy('list'),
    update: spy('update'),
    patch: spy('patch'),
    apply: spy('apply'),
    modify: spy('modify'),
    delete: spy('delete'),
    deleteCollection: spy('deleteCollection'),
    watch: fn((...args: unknown[]) => answer('watch', args)),
    // The transaction's verbs are the store's own spies: what is written in it is seen there.
    transaction: spy('transaction', ([run]) =>
      (run as (tx: Transaction) => unknown)(Object.assign(Object.create(store) as Transaction, { attempt: 1 })),
    ),
    getHistory: spy('getHistory'),
    getVersion: spy('getVersion'),
    rollback: spy('rollback'),
    compact: spy('compact'),
    rotateKeys: spy('rotateKeys'),
    backup: spy('backup'),
    verify: spy('verify'),
    stats: spy('stats'),
    keys: fn(async () => []),
    dropKey: fn(async () => {}),
    close: fn(async () => ended.abort(new StoreClosedError('the mock store was closed'))),
    register: fn((definition: AnyDefinition) => void known.set(definition.type, definition)),
    definition: fn((type: string) => known.get(type)),
  };

  const stubsApi: MockStubs = {
    stub: (verb, give, stubOptions) => add(verb, (args) => (give as (...args: readonly unknown[]) => unknown)(...args), stubOptions),
    stubGet(definition, object, { times } = {}) {
      const { namespace, name, uid } = object.metadata;
      add('get', () => cloneJson(object), { times, where: { type: definition, namespace, name } });
      stubs.push({
        verb: 'getByUid',
        left: times ?? Infinity,
        matches: (call) => call.type === definition.type,
        answer: ([, wanted]) => {
          if (wanted === uid) return cloneJson(object);
          throw new NotFoundError(`${definition.type} with uid ${String(wanted)} does not exist`);
        },
      });
    },
    stubMissing(definition, { namespace, name }) {
      const error = (): never => {
        throw new NotFoundError(`${definition.type} ${namespace === undefined ? name : `${namespace}/${name}`} does not exist`, {
          details: { kind: definition.type, namespace, name },
        });
      };
      add('get', error, { where: { type: definition, namespace, name } });
    },
    stubList(definition, items, { times, resourceVersion = '1' } = {}) {
      add(
        'list',
        ([, namespace, listOptions]) => listOf(items, namespace as string | undefined, (listOptions ?? {}) as ListOptions, resourceVersion),
        { times, where: { type: definition } },
      );
    },
    stubWatch(definition, events = []) {
      const watch = new MockWatch<CachedOf<AnyDefinition>>(definition.type, events);
      add('watch', () => watch.opened(), { where: { type: definition } });
      return watch;
    },
    stubError(verb, error, stubOptions) {
      add(
        verb,
        () => {
          throw error;
        },
        stubOptions,
      );
    },
    stubWrites() {
      const whole = ([type, namespace, name]: readonly unknown[], given: { readonly metadata?: object }): object => {
        const definition = typeof type === 'object' ? (type as AnyDefinition) : undefined;
        const place = { ...(namespace === undefined ? {} : { namespace }), ...(name === undefined ? {} : { name }) };
        const head = definition === undefined ? {} : { apiVersion: definition.apiVersion, kind: definition.kind };
        return { ...head, ...given, metadata: { ...given.metadata, ...place } };
      };
      const echo = (args: readonly unknown[]): unknown => whole(args, cloneJson(args[3]) as { metadata?: object });
      const change = async (args: readonly unknown[]): Promise<unknown> => {
        const [type, namespace, name, modify] = args;
        const read = [type, namespace, name];
        const there = stubFor('get', shapes.get(read)) === undefined ? whole(args, {}) : ((await answer('get', read)) as object);
        (modify as (draft: object) => unknown)(there);
        return there;
      };
      add('modify', change);
      for (const verb of ['create', 'update', 'patch', 'apply'] as const) add(verb, echo);
      add('delete', () => undefined);
    },
    clearStubs() {
      stubs = [];
    },
  };

  const store: MockStoreOf<Spy> = {
    id: 'mock',
    deps,
    ended: ended.signal,
    revision: '0',
    ...verbs,
    ...stubsApi,
    fenced: () => store,
    [Symbol.asyncDispose]: async () => {},
  } as unknown as MockStoreOf<Spy>;
  return store;
}

/** A spy maker that says what is wrong with it. @throws {InvalidError} */
function spyMaker<Spy extends object>(fn: (implementation: SpyFunction) => Spy): (implementation: SpyFunction) => Spy {
  let cause: unknown;
  try {
    if (typeof fn(() => undefined) === 'function') return fn;
  } catch (error) {
    cause = error;
  }
  throw new InvalidError(
    'fn makes no spies when it is called by itself: give a function that makes one, such as (each) => mock.fn(each) for node:test',
    { cause },
  );
}

function listOf<T extends { readonly metadata: { readonly namespace?: string | undefined } }>(
  all: readonly T[],
  namespace: string | undefined,
  options: ListOptions,
  resourceVersion: string,
): ListResult<T> {
  const every = namespace === undefined || namespace === '' || namespace === '*' || namespace === 'all';
  const items = all
    .filter((item) => every || item.metadata.namespace === namespace)
    .map((item) => cloneJson(item))
    .filter((item) => options.filter?.(item) !== false);
  return { items, resourceVersion, failed: [], [Symbol.iterator]: () => items[Symbol.iterator]() };
}

function recorder(implementation: SpyFunction): SpyFunction & RecordedCalls {
  const calls: unknown[][] = [];
  const spy = (...args: unknown[]): unknown => {
    calls.push(args);
    return (implementation as unknown as (...args: unknown[]) => unknown)(...args);
  };
  return Object.assign(spy as unknown as SpyFunction, { calls });
}
