/** A source whose engines a test can hold up, fail and count: for what happens while a store is opened again. */
import { StoreFailedError } from '../../src/schemas/index.js';
import { deferred } from '../../src/store/index.js';
import type { Engine, EngineSource } from '../../src/store/index.js';

type Method = Exclude<{ [K in keyof Engine]: Engine[K] extends (...args: never[]) => unknown ? K : never }[keyof Engine], undefined>;
type Call = (...args: unknown[]) => unknown;
type InPlaceReads = NonNullable<Engine['inPlace']>;
/** What is read in place where nobody holds it up. */
const reads = ['get', 'range', 'changes'] as const;

export interface FaultySource extends EngineSource {
  /** Engines opened so far. */
  readonly opened: number;
  /** How often a method was called, over all engines. */
  calls(method: Method): number;
  /** Holds up `open`, or calls of a method, until the returned function is called. */
  hold(what: 'open' | Method): () => void;
  /** Resolves when somebody is being held up there. */
  reached(what: 'open' | Method): Promise<void>;
  /** The next call of a method rejects; unless told otherwise the engine is dead then, as after any failed write. `applied`: it does its work all the same. */
  failNext(method: Method, error: Error, options?: { readonly applied?: boolean }): void;
  /** Every `open` from now on rejects. */
  breakOpen(error: Error): void;
  /** Lets go of all that is held up: a test that fails half way must still be able to close its store. */
  releaseAll(): void;
}

export function faultySource(source: EngineSource): FaultySource {
  const gates = new Map<string, { readonly opened: Promise<void>; readonly reached: () => void; readonly release: () => void }>();
  const arrivals = new Map<string, { readonly promise: Promise<void>; readonly resolve: () => void }>();
  const faults = new Map<string, { readonly error: Error; readonly applied: boolean }>();
  const counts = new Map<string, number>();
  let opened = 0;
  let broken: Error | undefined;

  const arrival = (what: string): { readonly promise: Promise<void>; readonly resolve: () => void } => {
    const found = arrivals.get(what) ?? deferred();
    arrivals.set(what, found);
    return found;
  };
  const pass = async (what: string): Promise<void> => {
    const gate = gates.get(what);
    if (gate === undefined) return;
    gate.reached();
    await gate.opened;
  };

  const wrap = (engine: Engine): Engine => {
    let dead: Error | undefined;
    const check = (): void => {
      if (dead !== undefined) throw new StoreFailedError('a write failed: close the engine and open it again', { cause: dead });
    };
    const guarded =
      (method: Method): Call =>
      async (...args) => {
        counts.set(method, (counts.get(method) ?? 0) + 1);
        await pass(method);
        check();
        const fault = faults.get(method);
        faults.delete(method);
        if (fault?.applied !== false) {
          const result = await (engine[method] as Call)(...args);
          if (fault === undefined) return result;
        }
        dead = fault.error;
        throw fault.error;
      };
    async function* changes(...args: Parameters<Engine['changes']>): ReturnType<Engine['changes']> & AsyncGenerator {
      counts.set('changes', (counts.get('changes') ?? 0) + 1);
      await pass('changes');
      for await (const batch of engine.changes(...args)) {
        check();
        yield batch;
        await pass('changes');
        check();
      }
    }
    /** Reads that cannot be held up, but find the engine dead as others do. */
    const inPlace = (own: InPlaceReads): InPlaceReads => {
      const enter = (method: Method): void => {
        counts.set(method, (counts.get(method) ?? 0) + 1);
        check();
        const fault = faults.get(method);
        faults.delete(method);
        if (fault === undefined) return;
        dead = fault.error;
        throw fault.error;
      };
      return {
        get: (...args) => {
          enter('get');
          return own.get(...args);
        },
        range: async (...args) => {
          enter('range');
          return own.range(...args);
        },
        changes: (...args) => {
          enter('changes');
          return own.changes(...args);
        },
      };
    };
    const plain: ReadonlySet<PropertyKey> = new Set(['name', 'limits', 'capabilities', 'onForeignCommit']);
    return new Proxy(engine, {
      get(target, name) {
        if (plain.has(name) || !(name in target)) return Reflect.get(target, name, target) as unknown;
        if (name === 'changes') return changes;
        if (name === 'close') return () => engine.close();
        if (name === 'inPlace') return engine.inPlace && reads.every((method) => !gates.has(method)) ? inPlace(engine.inPlace) : undefined;
        if (name === 'revision') {
          return () => {
            check();
            return engine.revision();
          };
        }
        if (name === 'meta') {
          return {
            get: async (key: string) => {
              check();
              return engine.meta.get(key);
            },
            set: async (...args: Parameters<Engine['meta']['set']>) => {
              check();
              return engine.meta.set(...args);
            },
          };
        }
        return guarded(name as Method);
      },
    });
  };

  return {
    ...source,
    get opened() {
      return opened;
    },
    async open(context) {
      await pass('open');
      if (broken !== undefined) throw broken;
      opened += 1;
      return wrap(await source.open(context));
    },
    calls: (method) => counts.get(method) ?? 0,
    hold(what) {
      const { promise, resolve } = deferred();
      const release = (): void => {
        gates.delete(what);
        resolve();
      };
      gates.set(what, { opened: promise, reached: () => arrival(what).resolve(), release });
      arrivals.delete(what);
      return release;
    },
    reached: (what) => arrival(what).promise,
    failNext(method, error, options = {}) {
      faults.set(method, { error, applied: options.applied ?? false });
    },
    breakOpen(error) {
      broken = error;
    },
    releaseAll() {
      for (const { release } of [...gates.values()]) release();
    },
  };
}
