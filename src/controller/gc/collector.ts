/**
 * The garbage collector: deletes what has no owner left, in the background or before the owner goes, or lets it live.
 *
 * Invariants: nothing is touched before all that exists is known; every write is conditional on the version the decision was
 * made from, so a change that comes between is looked at again. It is level-based: what a crash left undone is found at the
 * next start.
 */
import { isConflict, isForbidden, isNotFound, isStoreClosed } from '../../schemas/index.js';
import { sleep } from '../../store/index.js';
import type { Deps, Logger, Store, Watch } from '../../store/index.js';
import { createSlots, createWorkQueue, runWorkers, type WorkQueue, type Workers } from '../queue/index.js';
import { collectorDefaults } from './defaults.js';
import { OwnerGraph, waitsForDependents, orphansDependents, type Node } from './graph.js';
import { planFor } from './plan.js';

export interface CollectorOptions {
  readonly store: Store;
  readonly deps: Deps;
  readonly logger: Logger;
}

/** What the collector has in hand. */
export interface CollectorStats {
  readonly synced: boolean;
  /** Objects with owners, and objects that wait. */
  readonly nodes: number;
  /** Objects that are to be looked at. */
  readonly pending: number;
  readonly deleted: number;
  /** Objects that wait for their dependents to go, or to be orphaned. */
  readonly waiting: readonly {
    readonly type: string;
    readonly namespace: string | undefined;
    readonly name: string;
    readonly propagation: 'foreground' | 'orphan';
  }[];
}

const SOURCE = 'garbage-collector';

export class GarbageCollector {
  readonly #options: CollectorOptions;
  readonly #graph = new OwnerGraph();
  readonly #queue: WorkQueue;
  readonly #abort = new AbortController();
  #workers: Workers | undefined;
  #running: Promise<void> | undefined;
  #watch: Watch | undefined;
  /** Types whose objects this process may not write, and said so. */
  readonly #refusedTypes = new Set<string>();
  #synced = false;
  #deleted = 0;

  constructor(options: CollectorOptions) {
    this.#options = options;
    this.#queue = createWorkQueue({ name: 'garbage-collector', deps: options.deps, maxDelay: '1m' });
  }

  start(): void {
    if (this.#running !== undefined) return;
    this.#workers = runWorkers(this.#queue, createSlots({ concurrency: collectorDefaults.concurrency }), {
      handle: (item) => this.#handle(item.key),
      deps: this.#options.deps,
    });
    this.#running = this.#follow().catch((error: unknown) =>
      this.#options.logger.error({ err: error }, 'the garbage collector ended with an error'),
    );
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    this.#queue.shutDown();
    await this.#watch?.close();
    await this.#running;
    await this.#workers?.stop();
    await this.#queue[Symbol.asyncDispose]();
    this.#graph.clear();
  }

  stats(): CollectorStats {
    const waiting: CollectorStats['waiting'][number][] = [];
    for (const node of this.#graph.nodes()) {
      const propagation = waitsForDependents(node) ? 'foreground' : orphansDependents(node) ? 'orphan' : undefined;
      if (propagation !== undefined) waiting.push({ type: node.type, namespace: node.namespace, name: node.name, propagation });
    }
    return {
      synced: this.#synced,
      nodes: this.#graph.size,
      pending: this.#queue.len() + this.#queue.processing() + this.#queue.delayed(),
      deleted: this.#deleted,
      waiting,
    };
  }

  // ---- what exists

  async #follow(): Promise<void> {
    const { deps, logger } = this.#options;
    const { signal } = this.#abort;
    let delay: number = collectorDefaults.restartDelay;
    await sleep(deps, collectorDefaults.startDelay, { signal, unref: true }).catch(() => {});
    while (!signal.aborted) {
      try {
        await this.#followOnce();
        delay = collectorDefaults.restartDelay;
      } catch (error) {
        if (signal.aborted || isStoreClosed(error)) return;
        logger.warn({ err: error, delayMs: delay }, "the garbage collector's watch failed; it begins anew");
      }
      if (signal.aborted) return;
      await sleep(deps, delay, { signal, unref: true }).catch(() => {});
      delay = Math.min(delay * 2, collectorDefaults.restartMaxDelay);
    }
  }

  /** All that exists, then every change, in commit order: so a living owner is always known before its dependents. */
  async #followOnce(): Promise<void> {
    this.#synced = false;
    this.#graph.clear();
    const watch = this.#options.store.watch('*', undefined, { initial: true, signal: this.#abort.signal });
    this.#watch = watch;
    for await (const batch of watch.batches()) {
      for (const event of batch.events) {
        switch (event.type) {
          case 'BOOKMARK':
            if (!this.#synced) this.#begin();
            break;
          case 'CREATED':
          case 'UPDATED':
            // Whose owners cannot be read has those that were known, or none: nothing is collected on a guess.
            if (event.error === undefined || this.#graph.get(event.resource.metadata.uid) === undefined)
              this.#put(event.resourceType, event.resource);
            break;
          case 'DELETED':
            this.#gone(event.resource.metadata.uid);
            break;
          default:
            event satisfies never;
        }
      }
    }
  }

  #begin(): void {
    this.#synced = true;
    for (const node of this.#graph.nodes()) this.#look(node);
  }

  #put(type: string, object: Parameters<OwnerGraph['put']>[1]): void {
    const before = this.#synced ? this.#graph.get(object.metadata.uid) : undefined;
    const node = this.#graph.put(type, object);
    if (!this.#synced) return;
    if (node !== undefined) this.#look(node);
    // One that depends no more, or blocks no more, may be the last that an owner waits for.
    if (before !== undefined && before.owners !== node?.owners) this.#tellOwners(before);
    // One that is new must be disowned, too.
    for (const { uid } of node?.owners ?? []) if (orphansDependents(this.#graph.get(uid))) this.#queue.add(uid);
  }

  #tellOwners(node: Node): void {
    for (const { uid } of node.owners) {
      const owner = this.#graph.get(uid);
      if (
        waitsForDependents(owner) ? this.#graph.blockingCount(uid) === 0 : orphansDependents(owner) && this.#graph.dependentCount(uid) === 0
      )
        this.#queue.add(uid);
    }
  }

  #gone(uid: string): void {
    const node = this.#graph.remove(uid);
    if (!this.#synced) return;
    for (const dependent of this.#graph.dependentsOf(uid)) this.#queue.add(dependent);
    if (node !== undefined) this.#tellOwners(node);
  }

  #look(node: Node): void {
    if (planFor(this.#graph, node).do !== 'nothing') this.#queue.add(node.uid);
  }

  // ---- what is done about it

  async #handle(uid: string): Promise<void> {
    const node = this.#graph.get(uid);
    if (node === undefined || this.#abort.signal.aborted || !this.#synced) return;
    try {
      await this.#act(node);
      this.#queue.forget(uid);
    } catch (error) {
      if (isNotFound(error) || isStoreClosed(error)) return;
      if (isConflict(error)) {
        // The watch brings what it is now; should it have done so already, this looks at it again.
        if (this.#graph.get(uid) !== node) this.#queue.add(uid);
        else this.#queue.addAfter(uid, collectorDefaults.restartDelay);
        return;
      }
      const { type, namespace, name } = node;
      if (isForbidden(error)) {
        this.#refused(error.details?.kind ?? type, error);
        this.#queue.addAfter(uid, collectorDefaults.refusedDelay);
        return;
      }
      this.#options.logger.warn({ type, namespace, name, err: error }, 'an object could not be collected; it is tried again');
      this.#queue.addRateLimited(uid);
    }
  }

  /** What is refused goes on being refused until somebody registers the type: one line says so for all objects of it. */
  #refused(type: string, error: Error): void {
    if (this.#refusedTypes.has(type)) return;
    this.#refusedTypes.add(type);
    this.#options.logger.warn(
      { type, err: error, everyMs: collectorDefaults.refusedDelay },
      'objects of a type cannot be collected by this process; they are looked at again now and then',
    );
  }

  async #act(node: Node): Promise<void> {
    const { store } = this.#options;
    const { type, namespace, name, uid, resourceVersion } = node;
    const step = planFor(this.#graph, node);
    switch (step.do) {
      case 'nothing':
        return;
      case 'delete':
        await store.delete(type, namespace, name, {
          propagation: step.propagation,
          preconditions: { uid, resourceVersion },
          source: SOURCE,
        });
        this.#deleted += 1;
        return;
      case 'setOwners':
        await this.#patch(node, { ownerReferences: step.owners.length === 0 ? null : step.owners });
        return;
      case 'release': {
        const finalizers = node.finalizers.filter((finalizer) => finalizer !== step.finalizer);
        await this.#patch(node, { finalizers: finalizers.length === 0 ? null : finalizers });
        return;
      }
      case 'visit':
        for (const dependent of step.uids) this.#queue.add(dependent);
        return;
      case 'disown':
        // The owner itself is looked at again as each of them changes hands.
        await this.#disown(node, step.uids);
        return;
      default:
        step satisfies never;
    }
  }

  async #disown(owner: Node, uids: readonly string[]): Promise<void> {
    const results = await Promise.allSettled(
      uids.map(async (uid) => {
        const node = this.#graph.get(uid);
        if (node === undefined) return;
        const owners = node.owners.filter((reference) => reference.uid !== owner.uid);
        await this.#patch(node, { ownerReferences: owners.length === 0 ? null : owners });
      }),
    );
    const failed = results.find((result) => result.status === 'rejected' && !isNotFound(result.reason));
    if (failed?.status === 'rejected') throw failed.reason;
  }

  async #patch({ type, namespace, name, resourceVersion }: Node, metadata: Readonly<Record<string, unknown>>): Promise<void> {
    await this.#options.store.patch(
      type,
      namespace,
      name,
      { metadata: { ...metadata, resourceVersion } },
      { type: 'merge', source: SOURCE },
    );
  }
}
