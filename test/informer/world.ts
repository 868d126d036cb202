/** A real store over the memory engine in virtual time, with a way to cut its watches, and handlers that check their story. */
import { expect } from 'vitest';
import type { HandlerOptions, HandlerHandle, Informer, InformerHandler } from '../../src/informer/index.js';
import { createInformers, type Informers } from '../../src/informer/index.js';
import { defineResource, type AnyDefinition, type CachedOf } from '../../src/schemas/index.js';
import { memoryEngine, openStore, type Store, type Watch } from '../../src/store/index.js';
import { virtualDeps, type VirtualDeps } from '../../src/testing/index.js';

export const Widget = defineResource({
  kind: 'Widget',
  scope: 'Namespaced',
  spec: {
    type: 'object',
    properties: { node: { type: 'string' }, n: { type: 'integer' }, tags: { type: 'array', items: { type: 'string' } } },
  },
  indexes: { byNode: (widget) => widget.spec.node },
});
export type Widget = CachedOf<typeof Widget>;

export interface World extends AsyncDisposable {
  readonly deps: VirtualDeps;
  readonly store: Store;
  readonly informers: Informers;
  /** Options of every watch opened, oldest first. */
  readonly watches: readonly { readonly options: object; readonly watch: Watch }[];
  /** Runs what is due until the promise settles. */
  run<T>(promise: PromiseLike<T>): Promise<T>;
  /** Ends the open watches as a lost connection would. */
  cut(): Promise<void>;
  put(name: string, spec?: object, more?: { namespace?: string; labels?: Record<string, string> }): Promise<string>;
  remove(name: string, namespace?: string): Promise<void>;
  close(): Promise<void>;
}

export async function openWorld(seed = 1, order: 'seeded' | 'fifo' = 'seeded'): Promise<World> {
  const deps = virtualDeps({ seed, order });
  const opening = openStore({ engine: memoryEngine(), deps, types: [Widget], strictTypes: false });
  await deps.flush();
  const store = await opening;
  const watches: { options: object; watch: Watch }[] = [];
  const open = new Set<Watch>();
  const observed = new Proxy(store, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property, target);
      if (typeof value !== 'function') return value;
      if (property !== 'watch') return value.bind(target);
      return (type: AnyDefinition, namespace: string | undefined, options: object) => {
        const watch: Watch = target.watch<string>(type.type, namespace, options);
        watches.push({ options, watch });
        open.add(watch);
        return watch;
      };
    },
  });
  const informers = createInformers({ store: observed });
  const run = async <T>(work: PromiseLike<T>): Promise<T> => {
    const promise = Promise.resolve(work);
    // Heard of now, so that a rejection before the flush has ended is not "unhandled".
    promise.catch(() => undefined);
    await deps.flush();
    return promise;
  };
  const close = async (): Promise<void> => {
    await run(informers[Symbol.asyncDispose]());
    await run(store.close());
  };
  return {
    deps,
    store,
    informers,
    watches,
    run,
    async cut() {
      for (const watch of open) await watch.close();
      open.clear();
    },
    async put(name, spec = {}, { namespace = 'prod', labels } = {}) {
      const metadata = labels === undefined ? {} : { labels };
      const found = store.list(Widget, namespace, { fieldSelector: { 'metadata.name': name } });
      const there = (await run(found)).items.length > 0;
      const write = there
        ? store.update(Widget, namespace, name, { metadata, spec })
        : store.create(Widget, namespace, name, { metadata, spec });
      return (await run(write)).metadata.resourceVersion;
    },
    async remove(name, namespace = 'prod') {
      await run(store.delete(Widget, namespace, name));
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** A handler that holds every call against what it was told before, and keeps what it knows. */
export class Witness {
  readonly known = new Map<string, Widget>();
  readonly calls: string[] = [];
  readonly handler: InformerHandler<Widget>;
  #last = 0;

  /** `pace` is awaited in every call, if there is one. `inOrder`: calls must also be in commit order across objects. */
  constructor(
    informer: Informer<AnyDefinition, string, Widget>,
    options: { pace?: () => Promise<void> | undefined; inOrder?: boolean } = {},
  ) {
    const { pace, inOrder = false } = options;
    const key = (o: Widget): string => `${o.metadata.namespace}/${o.metadata.name}`;
    const cacheIsNewer = (o: Widget): void => {
      const cached = informer.get(key(o));
      if (cached?.metadata.uid === o.metadata.uid) {
        expect(Number(cached.metadata.resourceVersion)).toBeGreaterThanOrEqual(Number(o.metadata.resourceVersion));
      }
    };
    const order = (o: Widget, initial: boolean): void => {
      if (!inOrder || initial) return;
      expect(Number(o.metadata.resourceVersion)).toBeGreaterThan(this.#last);
      this.#last = Number(o.metadata.resourceVersion);
    };
    this.handler = {
      onAdd: (o, { initial }) => {
        this.calls.push(`add ${o.metadata.name}${initial ? ' initial' : ''}`);
        expect(this.known.has(key(o))).toBe(false);
        expect(Object.isFrozen(o)).toBe(true);
        this.known.set(key(o), o);
        cacheIsNewer(o);
        order(o, initial);
        return pace?.();
      },
      onUpdate: (o, previous) => {
        this.calls.push(`update ${o.metadata.name}`);
        expect(this.known.get(key(o))).toBe(previous);
        expect(o.metadata.uid).toBe(previous.metadata.uid);
        expect(Number(o.metadata.resourceVersion)).toBeGreaterThan(Number(previous.metadata.resourceVersion));
        this.known.set(key(o), o);
        cacheIsNewer(o);
        order(o, false);
        return pace?.();
      },
      onDelete: (o) => {
        this.calls.push(`delete ${o.metadata.name}`);
        expect(this.known.get(key(o))?.metadata.uid).toBe(o.metadata.uid);
        this.known.delete(key(o));
        return pace?.();
      },
    };
  }

  static on(
    informer: Informer<AnyDefinition, string, Widget>,
    options: { pace?: () => Promise<void> | undefined; inOrder?: boolean } = {},
    handlerOptions?: HandlerOptions,
  ): { witness: Witness; handle: HandlerHandle } {
    const witness = new Witness(informer, options);
    return { witness, handle: informer.addHandler(witness.handler, handlerOptions) };
  }

  /** What it knows, as text. */
  get view(): string[] {
    return versions(this.known.values());
  }
}

export function versions(
  objects: Iterable<{ readonly metadata: { readonly name: string; readonly uid: string; readonly resourceVersion: string } }>,
): string[] {
  return [...objects].map((o) => `${o.metadata.name}:${o.metadata.uid}@${o.metadata.resourceVersion}`).sort();
}
