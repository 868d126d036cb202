/**
 * Sources of a user's own: whatever is not a change in the store, given to the queue as keys.
 *
 * Invariants: a producer never waits and never fills memory. A key that is pushed twice before it runs runs once. What is pushed
 * before any controller listens is kept, a key once, for all that begin to listen in one turn: those of one manager. Whoever
 * pushes a key that cannot be is told so, and nobody else suffers from it.
 */
import { InvalidError } from '../schemas/index.js';
import type { ObjectKey } from '../schemas/index.js';
import type { Deps } from '../store/index.js';
import type { PushCause } from './causes.js';
import { checkAnyKey, checkKey } from './keys.js';

/** How a pushed key is to run. */
export interface PushOptions {
  readonly priority?: number | undefined;
  /** Shown in causes and `explain`. */
  readonly reason?: string | undefined;
}

/** Where a source puts its keys. */
export interface SourceSink {
  /** False after the controller stopped. */
  add(key: ObjectKey | string, options?: PushOptions): boolean;
}

/** Whose keys a sink takes. */
export interface SinkOptions {
  readonly source: string;
  readonly controller: string;
  readonly scope: 'Namespaced' | 'Cluster';
  /** Of keys that are pushed without one. */
  readonly priority: number;
}

/** Makes the sink of one source: keys are checked, and get their cause. */
export function createSink(options: SinkOptions, push: (key: string, priority: number, cause: PushCause) => boolean): SourceSink {
  const { source, scope, controller } = options;
  const check = { scope, what: `source ${source} of controller ${controller}` };
  const plain: PushCause = { kind: 'push', source };
  // A burst is pushed for one reason: its keys share one cause.
  let last = plain;
  return {
    add: (key, { reason, priority = options.priority } = {}) => {
      if (reason !== undefined && reason !== last.reason) last = { kind: 'push', source, reason };
      return push(checkKey(key, check), priority, reason === undefined ? plain : last);
    },
  };
}

/** What a source gets when its controller starts. */
export interface SourceContext {
  readonly deps: Deps;
  /** Aborts when the controller stops. */
  readonly signal: AbortSignal;
}

/** Anything that wakes keys. */
export interface Source {
  readonly name: string;
  /**
   * Begins to give keys to `sink`; must not block. A returned promise is the source's initial sync: no key of the controller
   * runs before it resolves.
   */
  start(sink: SourceSink, context: SourceContext): void | Promise<void>;
}

/** A source that code pushes into. */
export interface PushSource extends Source {
  /**
   * Wakes a key. False when every controller that listened has stopped.
   *
   * @throws {InvalidError} when the key or its priority cannot be; before a controller listens, that is when no controller could take it.
   */
  push(key: ObjectKey | string, options?: PushOptions): boolean;
}

/**
 * Makes a source to push keys into; it may be given to several controllers.
 *
 * @example
 * const webhooks = createPushSource('webhooks');
 * defineController({ name: 'repos', for: Repository, sources: [webhooks], reconcile });
 * webhooks.push('prod/website', { reason: 'pushed to main' });
 */
export function createPushSource(name = 'push'): PushSource {
  const sinks = new Set<SourceSink>();
  let early: Map<string, PushOptions | undefined> | undefined = new Map();
  return {
    name,
    start(sink, { signal, deps }) {
      if (signal.aborted) return;
      sinks.add(sink);
      signal.addEventListener('abort', () => sinks.delete(sink), { once: true });
      if (early === undefined) return;
      for (const [key, options] of early) {
        try {
          sink.add(key, options);
        } catch (error) {
          deps.logger.error({ source: name, key, err: error }, 'a key that was pushed early does not fit this controller and is left out');
        }
      }
      // Not at once: the other controllers of a manager start in this turn, too.
      deps.scheduler.defer(() => {
        early = undefined;
      });
    },
    push(key, options) {
      if (early !== undefined) {
        checkPriority(name, options);
        early.set(checkAnyKey(key, `the caller of push source ${name}`), options);
      }
      // Kept for those that are still to start.
      let taken = early !== undefined && sinks.size === 0;
      for (const sink of sinks) if (sink.add(key, options)) taken = true;
      return taken;
    },
  };
}

function checkPriority(source: string, { priority }: PushOptions = {}): void {
  if (priority !== undefined && !Number.isFinite(priority))
    throw new InvalidError(`the caller of push source ${source} gave the priority ${String(priority)}, but it must be a finite number`);
}

/** What an iterable source yields: a key, or a key with how it is to run. */
export type SourceItem = ObjectKey | string | ({ readonly key: ObjectKey | string } & PushOptions);

/**
 * A source that reads keys from an async iterable, opened when the controller starts and closed when it stops.
 *
 * An iterable that ends or throws is opened again after a pause (1 s doubling to 30 s).
 */
export function createIterableSource(name: string, open: (signal: AbortSignal) => AsyncIterable<SourceItem>): Source {
  return {
    name,
    start(sink, context) {
      void readAll(sink, context, { name, open });
    },
  };
}

const FIRST_PAUSE = 1_000;
const LONGEST_PAUSE = 30_000;

async function readAll(
  sink: SourceSink,
  { deps, signal }: SourceContext,
  source: { readonly name: string; readonly open: (signal: AbortSignal) => AsyncIterable<SourceItem> },
): Promise<void> {
  let pause = FIRST_PAUSE;
  while (!signal.aborted) {
    try {
      const iterator = source.open(signal)[Symbol.asyncIterator]();
      const close = (): void => void iterator.return?.()?.then(undefined, () => {});
      signal.addEventListener('abort', close, { once: true });
      try {
        for (let next = await iterator.next(); next.done !== true && !signal.aborted; next = await iterator.next()) {
          const item = next.value;
          if (typeof item === 'object' && 'key' in item) sink.add(item.key, item);
          else sink.add(item);
          pause = FIRST_PAUSE;
        }
      } finally {
        signal.removeEventListener('abort', close);
      }
    } catch (error) {
      if (!signal.aborted) deps.logger.warn({ source: source.name, err: error }, 'a source failed and is opened again');
    }
    if (signal.aborted) return;
    await new Promise<void>((resolve) => {
      const timer = deps.scheduler.after(pause, done);
      function done(): void {
        timer.cancel();
        signal.removeEventListener('abort', done);
        resolve();
      }
      signal.addEventListener('abort', done, { once: true });
    });
    pause = Math.min(pause * 2, LONGEST_PAUSE);
  }
}
