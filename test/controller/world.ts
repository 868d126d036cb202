/** A manager on a real store over the memory engine, in virtual time. */
import { memoryEngine, openStore, repo, type Repo, type Store } from '../../src/store/index.js';
import { virtualDeps, type LogLine, type VirtualDeps } from '../../src/testing/index.js';
import { defineResource, type AnyDefinition, type Duration, type ResourceOf } from '../../src/schemas/index.js';
import { createManager, type ControllerDefinition, type Manager, type ManagerOptions } from '../../src/controller/index.js';

/** What most tests reconcile. */
export const Widget = defineResource({
  kind: 'Widget',
  scope: 'Namespaced',
  spec: {
    type: 'object',
    default: {},
    properties: { size: { type: 'integer', default: 1 }, note: { type: 'string' }, owner: { type: 'string' } },
  },
  status: { type: 'object', properties: { seen: { type: 'integer' }, phase: { type: 'string' }, when: { type: 'integer' } } },
  conditions: ['Ready', 'Clean'],
});
/** What widgets own. */
export const Part = defineResource({
  kind: 'Part',
  scope: 'Namespaced',
  spec: { type: 'object', default: {}, properties: { n: { type: 'integer' } } },
  status: { type: 'object', properties: { phase: { type: 'string' } } },
});
/** What lives outside namespaces. */
export const Site = defineResource({
  kind: 'Site',
  scope: 'Cluster',
  spec: { type: 'object', default: {}, properties: { n: { type: 'integer' } } },
});
export type Widget = ResourceOf<typeof Widget>;

export interface World extends AsyncDisposable {
  readonly deps: VirtualDeps;
  readonly store: Store;
  readonly manager: Manager;
  /** Runs what is due until the promise settles; throws when it does not. */
  run<T>(work: PromiseLike<T> | (() => PromiseLike<T>)): Promise<T>;
  /** Like `run`, but does not wait for it. */
  flush(): Promise<void>;
  advance(by: Duration): Promise<void>;
  repo<D extends AnyDefinition>(definition: D): Repo<D>;
  /** Creates a widget in `prod`. */
  widget(name: string, spec?: Widget['spec'] | object, metadata?: object): Promise<Widget>;
  get(name: string): Promise<Widget>;
  find(name: string): Promise<Widget | undefined>;
  metric(name: string, labels?: string): number;
  logs(level?: LogLine['level']): readonly LogLine[];
  stop(): ReturnType<Manager['stop']>;
}

export interface WorldOptions extends Omit<ManagerOptions, 'store' | 'controllers'> {
  readonly seed?: number;
  readonly order?: 'fifo' | 'seeded';
  /** Starts the manager. Default true. */
  readonly start?: boolean;
  /** Runs before the manager starts. */
  readonly before?: (world: Pick<World, 'store' | 'run' | 'repo' | 'widget' | 'deps'>) => Promise<void>;
  readonly wrap?: (store: Store) => Store;
}

export function runner(deps: VirtualDeps): World['run'] {
  return async <T>(work: PromiseLike<T> | (() => PromiseLike<T>)): Promise<T> => {
    let settled = false;
    const promise = Promise.resolve(typeof work === 'function' ? work() : work);
    const done = (): void => {
      settled = true;
    };
    promise.then(done, done);
    for (let i = 0; i < 20 && !settled; i += 1) await deps.flush();
    if (!settled) throw new Error('what was awaited does not settle at this moment of virtual time');
    return promise;
  };
}

export async function openWorld(controllers: readonly ControllerDefinition[], options: WorldOptions = {}): Promise<World> {
  const { seed = 1, order = 'seeded', start = true, before, wrap = (store: Store) => store, ...managerOptions } = options;
  const deps = virtualDeps({ seed, order });
  const run = runner(deps);
  const opened = await run(openStore({ engine: memoryEngine(), deps, types: [Widget, Part, Site] }));
  const store = wrap(opened);
  const of = <D extends AnyDefinition>(definition: D): Repo<D> => repo(store, definition);
  const widgets = of(Widget);
  const widget: World['widget'] = (name, spec = {}, metadata = {}) =>
    run(widgets.create({ metadata: { namespace: 'prod', name, ...metadata }, spec: spec }));
  await before?.({ store, run, repo: of, widget, deps });
  const manager = createManager({ store, controllers, garbageCollection: false, ...managerOptions });
  if (start) {
    await run(manager.start());
    await deps.flush();
  }
  const stop = async (): ReturnType<Manager['stop']> => {
    const stopping = manager.stop();
    for (let i = 0; i < 3; i += 1) await deps.flush();
    await deps.advance('2m');
    return stopping;
  };
  return {
    deps,
    store,
    manager,
    run,
    flush: () => deps.flush(),
    advance: (by) => deps.advance(by),
    repo: of,
    widget,
    get: (name) => run(widgets.get({ namespace: 'prod', name })),
    find: (name) => run(widgets.find({ namespace: 'prod', name })),
    metric(name, labels = '') {
      for (const line of manager.metrics.render().split('\n')) {
        if (line.startsWith(`${name}{`) && line.includes(labels)) return Number(line.slice(line.lastIndexOf(' ') + 1));
      }
      return Number.NaN;
    },
    logs: (level) => deps.logs.filter((line) => level === undefined || line.level === level),
    stop,
    async [Symbol.asyncDispose]() {
      await stop();
      await run(store.close());
    },
  };
}
