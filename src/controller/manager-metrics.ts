/**
 * The figures of a manager that are read when somebody looks: of its informers, its store, the event loop, its controllers.
 *
 * Invariants: what is gone has no series; what only asking tells (the size of the store) is asked in bounded time, one
 * question at a time, and otherwise as it was last told.
 */
import type { Informers } from '../informer/index.js';
import type { Store } from '../store/index.js';
import type { LoopLag } from './health.js';
import type { ControllerLoop } from './loop.js';
import { runtimeMetrics, type MetricsRegistry } from './metrics/index.js';
import { within } from './within.js';

/** Whose figures they are. */
export interface ManagerMetricsOptions {
  readonly registry: MetricsRegistry;
  readonly store: Store;
  readonly informers: Informers;
  readonly lag: LoopLag;
  readonly loops: () => readonly ControllerLoop[];
  /** ms in which the store must answer. */
  readonly storeTimeout: number;
}

export class ManagerMetrics {
  readonly #options: ManagerMetricsOptions;
  /** The types that have series. */
  #types = new Set<string>();
  #asking: Promise<void> | undefined;
  #removeCollector: (() => void) | undefined;

  constructor(options: ManagerMetricsOptions) {
    this.#options = options;
  }

  start(): void {
    this.#removeCollector = this.#options.registry.onCollect(() => this.#collect());
  }

  /** Tells for a last time how things are, now that everything has stopped. */
  close(): void {
    if (this.#removeCollector === undefined) return;
    this.#removeCollector();
    this.#removeCollector = undefined;
    this.#collectLag();
    for (const loop of this.#options.loops()) loop.collect();
    this.#collectInformers([]);
  }

  /** Asks the store, and waits for the answer for as long as it may take; not when an earlier question is still open. */
  async ask(): Promise<void> {
    const { store, storeTimeout } = this.#options;
    if (this.#asking === undefined) await within(store.deps, { ms: storeTimeout }, this.#ask());
  }

  #ask(): Promise<void> {
    const { store, registry } = this.#options;
    const size = registry.gauge(runtimeMetrics.storeSize).with({});
    this.#asking ??= store
      .stats()
      // A store that fails is told by readiness.
      .then(
        ({ bytes }) => size.set(bytes),
        () => {},
      )
      .then(() => {
        this.#asking = undefined;
      });
    return this.#asking;
  }

  #collect(): void {
    this.#collectLag();
    this.#collectInformers(this.#options.informers.list);
    for (const loop of this.#options.loops()) loop.collect();
    // For whoever renders without asking: the next time it is as new as this.
    void this.#ask();
  }

  #collectLag(): void {
    const { registry, lag } = this.#options;
    registry
      .gauge(runtimeMetrics.eventLoopLag)
      .with({})
      .set(lag.ms / 1000);
  }

  #collectInformers(informers: Informers['list']): void {
    const { registry, store } = this.#options;
    const objects = registry.gauge(runtimeMetrics.informerObjects);
    const lag = registry.gauge(runtimeMetrics.watchLag);
    const revision = Number(store.revision);
    const sums = new Map<string, { objects: number; lag: number }>();
    for (const informer of informers) {
      const sum = sums.get(informer.definition.type) ?? { objects: 0, lag: 0 };
      sum.objects += informer.size;
      sum.lag = Math.max(sum.lag, revision - Number(informer.resourceVersion));
      sums.set(informer.definition.type, sum);
    }
    for (const [resource, sum] of sums) {
      objects.with({ resource }).set(sum.objects);
      lag.with({ resource }).set(sum.lag);
    }
    for (const resource of this.#types) {
      if (sums.has(resource)) continue;
      objects.remove({ resource });
      lag.remove({ resource });
    }
    this.#types = new Set(sums.keys());
  }
}
