/**
 * One handler: what waits for it, and its calls, one at a time and in order.
 *
 * Invariants: a handler that returns nothing costs no promise, it is called in the turn that brought the change. Only a
 * promise makes later changes wait. Whatever it throws is caught, counted and logged with its name and the object's key.
 * After `remove()` no call begins.
 */
import type { Item } from './change.js';
import { keyText } from './keys.js';
import { PendingChanges } from './pending.js';
import { isPromiseLike } from './promise-like.js';
import type { ResyncTimer } from './resync-timer.js';
import type { Cacheable, InformerHandler } from './types.js';
import type { Waiters } from './waiting.js';

/** What a handler needs from around it. */
export interface HandlerHost {
  /** Runs a task in a later turn. */
  defer(task: () => void): void;
  /** No calls while true. */
  readonly paused: boolean;
  readonly itemsPerTurn: number;
  failed(handler: string, key: string, error: unknown): void;
  missed(handler: string, count: number): void;
}

export interface HandlerSpec<T> {
  readonly name: string;
  readonly handler: InformerHandler<T>;
  readonly pendingLimit: number;
  readonly host: HandlerHost;
  /** Reaches 1 when the handler was given all that was there. */
  readonly sync: Waiters;
}

const INITIAL = Object.freeze({ initial: true });
const LATER = Object.freeze({ initial: false });

export class HandlerRunner<T extends Cacheable> {
  readonly name: string;
  readonly wantsBookmarks: boolean;
  /** Who waits for its sync. */
  readonly sync: Waiters;
  /** If it is to be told everything again now and then. */
  resyncTimer: ResyncTimer | undefined;
  readonly #handler: InformerHandler<T>;
  readonly #host: HandlerHost;
  readonly #pending: PendingChanges<T>;
  /** Cached objects still to be told, before anything that is pending: what was there, or a resync. */
  #replay: { readonly objects: readonly T[]; readonly resync: boolean; next: number } | undefined;
  /** The promise of the call that runs, if it returned one. */
  #running: Promise<void> | undefined;
  #calling = false;
  #scheduled = false;
  #removed = false;
  #synced = false;
  #settled = 0;
  #missed = 0;
  #errors = 0;

  constructor(spec: HandlerSpec<T>) {
    this.name = spec.name;
    this.#handler = spec.handler;
    this.wantsBookmarks = spec.handler.onBookmark !== undefined;
    this.#host = spec.host;
    this.sync = spec.sync;
    this.#pending = new PendingChanges(spec.pendingLimit, (count) => {
      this.#missed += count;
      spec.host.missed(spec.name, count);
    });
  }

  get synced(): boolean {
    return this.#synced;
  }
  get lag(): number {
    const replay = this.#replay;
    return this.#pending.changes + (replay === undefined ? 0 : replay.objects.length - replay.next);
  }
  get missed(): number {
    return this.#missed;
  }
  get errors(): number {
    return this.#errors;
  }
  get removed(): boolean {
    return this.#removed;
  }
  /** Nothing waits and nothing runs. */
  get idle(): boolean {
    return this.#running === undefined && !this.#calling && this.#replay === undefined && this.#pending.size === 0;
  }

  /** Tells what is there before anything else, starting in a later turn. */
  begin(objects: readonly T[]): void {
    if (objects.length === 0) return;
    this.#replay = { objects, resync: false, next: 0 };
    this.#schedule();
  }

  /** Tells every object again. Left out while the handler still has something to do. */
  resync(objects: readonly T[]): void {
    if (!this.idle || !this.#synced || objects.length === 0 || this.#removed) return;
    this.#replay = { objects, resync: true, next: 0 };
    this.#schedule();
  }

  /** Calls the handler now if it has nothing to do, else lets the item wait. */
  push(item: Item<T>): void {
    if (this.#removed) return;
    if (!this.idle || this.#host.paused) {
      this.#pending.push(item);
      return;
    }
    this.#call(item);
    // The handler may have caused changes while it was called: they wait behind this one.
    if (this.#running === undefined && this.#pending.size > 0) this.#schedule();
  }

  /** Goes on after a pause. */
  resume(): void {
    if (!this.idle && this.#running === undefined) this.#schedule();
  }

  /** The promise of the call that runs, for those who wait for it; undefined inside the handler's own synchronous part. */
  remove(): Promise<void> | undefined {
    this.#removed = true;
    this.resyncTimer?.stop();
    this.#pending.clear();
    this.#replay = undefined;
    return this.#running;
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#host.defer(() => {
      this.#scheduled = false;
      this.#drain();
    });
  }

  #drain(): void {
    for (let i = 0; i < this.#host.itemsPerTurn; i++) {
      // A call that runs comes back here when it settles.
      if (this.#removed || this.#host.paused || this.#running !== undefined || this.#calling) return;
      const item = this.#take();
      if (item === undefined) return;
      this.#call(item);
    }
    if (!this.idle && this.#running === undefined) this.#schedule();
  }

  #take(): Item<T> | undefined {
    const replay = this.#replay;
    if (replay === undefined) return this.#pending.shift();
    const object = replay.objects[replay.next] as T;
    replay.next += 1;
    if (replay.next === replay.objects.length) this.#replay = undefined;
    return replay.resync ? { type: 'update', object, previous: object } : { type: 'add', object, initial: true };
  }

  #call(item: Item<T>): void {
    this.#calling = true;
    let running: Promise<unknown> | undefined;
    try {
      const result = this.#invoke(item);
      // Both look at what the handler made, which may throw as well as the handler itself.
      if (isPromiseLike(result)) running = Promise.resolve(result);
    } catch (error) {
      this.#fail(item, error);
    }
    this.#calling = false;
    if (running !== undefined) this.#running = this.#wait(running, item);
  }

  async #wait(running: Promise<unknown>, item: Item<T>): Promise<void> {
    try {
      await running;
    } catch (error) {
      this.#fail(item, error);
    }
    this.#running = undefined;
    this.#settled += 1;
    // Promises that settle at once must not keep the event loop from turning.
    if (this.#settled % this.#host.itemsPerTurn === 0) this.#schedule();
    else this.#drain();
  }

  #invoke(item: Item<T>): unknown {
    const handler = this.#handler;
    switch (item.type) {
      case 'add':
        return handler.onAdd?.(item.object, item.initial ? INITIAL : LATER);
      case 'update':
        return handler.onUpdate?.(item.object, item.previous);
      case 'delete':
        return handler.onDelete?.(item.object, item.deletion);
      case 'bookmark':
        return handler.onBookmark?.(item.resourceVersion);
      case 'synced':
        this.#synced = true;
        this.sync.reach(1);
        return undefined;
      default:
        return item satisfies never;
    }
  }

  #fail(item: Item<T>, error: unknown): void {
    this.#errors += 1;
    this.#host.failed(this.name, describe(item), error);
  }
}

function describe(item: Item<Cacheable>): string {
  if (item.type === 'bookmark' || item.type === 'synced') return item.type;
  return keyText(item.object.metadata.namespace, item.object.metadata.name);
}
