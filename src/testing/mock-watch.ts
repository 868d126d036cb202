/**
 * A watch that a test writes itself: given events, then more, until it is ended.
 *
 * Invariants: it is one stream however often it is opened, each opening from where the last one stood; what an event lacks
 * (namespace, name, revision) is taken from its resource.
 */
import type { DeepReadonly, UnknownResource } from '../schemas/index.js';
import type { Watch, WatchBatch, WatchEvent } from '../store/index.js';

/** An event of a mock watch: its type and its object; the rest follows. */
export type MockEvent<T = DeepReadonly<UnknownResource>> =
  | {
      readonly type: 'CREATED' | 'DELETED';
      readonly resource: T;
      readonly initial?: true | undefined;
      readonly source?: string | undefined;
      readonly error?: Error | undefined;
    }
  | {
      readonly type: 'UPDATED';
      readonly resource: T;
      readonly previous?: T | undefined;
      readonly source?: string | undefined;
      readonly error?: Error | undefined;
    }
  | { readonly type: 'BOOKMARK'; readonly resourceVersion: string };

/** The test's end of a mock watch. */
export interface MockWatchHandle<T> {
  push(...events: readonly MockEvent<T>[]): void;
  /** Ends the stream once what was pushed has been read. */
  end(): void;
  /** Makes the stream fail once what was pushed has been read. */
  fail(error: Error): void;
  /** How often it was opened, and how often closed. */
  readonly opens: number;
  readonly closes: number;
}

export class MockWatch<T> implements MockWatchHandle<T> {
  readonly #type: string;
  readonly #events: WatchEvent<T>[] = [];
  #revision = 0;
  #end: { readonly error: Error | undefined } | undefined;
  /** Pulls that wait, of every opening. */
  readonly #waiting = new Set<() => void>();
  #listeners = new Set<(revision: number) => void>();
  opens = 0;
  closes = 0;

  constructor(type: string, events: readonly MockEvent<T>[]) {
    this.#type = type;
    this.push(...events);
  }

  push(...events: readonly MockEvent<T>[]): void {
    for (const event of events) this.#events.push(this.#whole(event));
    for (const listener of this.#listeners) listener(this.#revision);
    this.#wake();
  }
  end(): void {
    this.#end = { error: undefined };
    this.#wake();
  }
  fail(error: Error): void {
    this.#end = { error };
    this.#wake();
  }

  /** Lets every pull look again: the first that finds something takes it. */
  #wake(): void {
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }

  #whole(event: MockEvent<T>): WatchEvent<T> {
    if (event.type === 'BOOKMARK') return { ...event, resourceType: this.#type, resume: event.resourceVersion };
    const { metadata } = event.resource as {
      readonly metadata?: { readonly namespace?: string; readonly name?: string; readonly resourceVersion?: string };
    };
    this.#revision = Math.max(this.#revision + 1, Number(metadata?.resourceVersion ?? 0));
    const resourceVersion = String(this.#revision);
    const place = {
      resourceType: this.#type,
      namespace: metadata?.namespace ?? '',
      name: metadata?.name ?? '',
      resourceVersion,
      resume: resourceVersion,
    };
    return event.type === 'UPDATED' ? { ...place, ...event, previous: event.previous ?? event.resource } : { ...place, ...event };
  }

  async #next(isOpen: () => boolean): Promise<IteratorResult<WatchEvent<T>, undefined>> {
    for (;;) {
      if (!isOpen()) return { done: true, value: undefined };
      const event = this.#events.shift();
      if (event !== undefined) return { done: false, value: event };
      if (this.#end !== undefined) {
        const { error } = this.#end;
        this.#end = { error: undefined };
        if (error !== undefined) throw error;
        return { done: true, value: undefined };
      }
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
  }

  /** A watch on the stream. */
  opened(): Watch<T> {
    this.opens += 1;
    let open = true;
    const close = async (): Promise<void> => {
      if (!open) return;
      open = false;
      this.closes += 1;
      this.#wake();
    };
    const over = { done: true, value: undefined } as const;
    const progress = (): string => String(this.#revision);
    const watch: Watch<T> = {
      get progress() {
        return progress();
      },
      next: () => this.#next(() => open),
      return: async () => {
        await close();
        return over;
      },
      [Symbol.asyncIterator]: () => watch,
      batches: () => {
        const batches: AsyncIterableIterator<WatchBatch<T>> = {
          [Symbol.asyncIterator]: () => batches,
          next: async () => {
            const { done, value } = await watch.next();
            if (done === true) return over;
            return { done: false, value: { resourceVersion: value.resourceVersion, resume: value.resume, events: [value] } };
          },
          return: async () => {
            await close();
            return over;
          },
        };
        return batches;
      },
      onProgress: (listener) => {
        this.#listeners.add(listener);
        return () => this.#listeners.delete(listener);
      },
      close,
      [Symbol.asyncDispose]: close,
    };
    return watch;
  }
}
