/** What the informer's unit tests share: frozen objects, and a watch that does what the test says. */
import { freezeJson, type DeepReadonly, type ObjectMeta } from '../../src/schemas/index.js';
import type { Watch, WatchBatch, WatchEvent } from '../../src/store/index.js';

export interface Thing {
  readonly metadata: DeepReadonly<ObjectMeta>;
  readonly spec: { readonly node?: string | undefined; readonly tags?: readonly string[] | undefined; readonly n?: number | undefined };
}

export interface ThingInput {
  readonly name: string;
  readonly namespace?: string | undefined;
  readonly uid?: string;
  readonly rv?: number;
  readonly labels?: Record<string, string> | undefined;
  readonly node?: string | undefined;
  readonly tags?: readonly string[] | undefined;
  readonly n?: number | undefined;
}

/** A frozen object as a watch would deliver it. */
export function thing(input: ThingInput): Thing {
  const { name, namespace = 'prod', uid = `uid-${name}`, rv = 1, labels, node, tags, n } = input;
  return freezeJson({
    metadata: {
      name,
      ...(namespace === '' ? {} : { namespace }),
      uid,
      resourceVersion: String(rv),
      generation: 1,
      creationTimestamp: '2026-01-01T00:00:00Z',
      ...(labels === undefined ? {} : { labels }),
    },
    spec: { ...(node === undefined ? {} : { node }), ...(tags === undefined ? {} : { tags }), ...(n === undefined ? {} : { n }) },
  }) as Thing;
}

type Event = WatchEvent<Thing>;

function at(object: Thing): { resourceType: string; namespace: string; name: string } {
  return { resourceType: 'thing', namespace: object.metadata.namespace ?? '', name: object.metadata.name };
}

export function created(object: Thing, options: { initial?: true } = {}): Event {
  const { resourceVersion } = object.metadata;
  return { type: 'CREATED', ...at(object), resourceVersion, resume: resourceVersion, resource: object, ...options };
}

export function updated(object: Thing, previous: Thing): Event {
  const { resourceVersion } = object.metadata;
  return { type: 'UPDATED', ...at(object), resourceVersion, resume: resourceVersion, resource: object, previous };
}

export function deleted(object: Thing, rv: number): Event {
  return { type: 'DELETED', ...at(object), resourceVersion: String(rv), resume: String(rv), resource: object };
}

/** A watch whose every step the test takes. */
export class ScriptedWatch implements Watch<Thing> {
  readonly options: { readonly since?: string; readonly initial?: true };
  readonly #batches: WatchBatch<Thing>[] = [];
  readonly #listeners = new Set<(revision: number) => void>();
  #progress = 0;
  #end: { readonly error: Error | undefined } | undefined;
  #wake: (() => void) | undefined;
  closed = false;

  constructor(options: { readonly since?: string; readonly initial?: true }) {
    this.options = options;
  }

  get progress(): string {
    return String(this.#progress);
  }
  get listeners(): number {
    return this.#listeners.size;
  }

  send(rv: number, ...events: Event[]): void {
    this.#batches.push({ resourceVersion: String(rv), resume: String(rv), events });
    this.#wakeUp();
  }

  /** The initial list in slices of `size`, and its bookmark. */
  list(rv: number, objects: readonly Thing[], size = 100): void {
    for (let i = 0; i < objects.length; i += size) {
      const events = objects.slice(i, i + size).map((object) => created(object, { initial: true }));
      this.#batches.push({ resourceVersion: String(rv), resume: 'initial', events });
    }
    this.send(rv, { type: 'BOOKMARK', resourceType: 'thing', resourceVersion: String(rv), resume: String(rv) });
  }

  advance(revision: number): void {
    this.#progress = revision;
    for (const listener of [...this.#listeners]) listener(revision);
  }

  cut(): void {
    this.#end = { error: undefined };
    this.#wakeUp();
  }

  fail(error: Error): void {
    this.#end = { error };
    this.#wakeUp();
  }

  #wakeUp(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  onProgress(listener: (revision: number) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async *batches(): AsyncGenerator<WatchBatch<Thing>, undefined> {
    for (;;) {
      const batch = this.#batches.shift();
      if (batch !== undefined) {
        this.#progress = Math.max(this.#progress, Number(batch.resourceVersion));
        yield batch;
      } else if (this.#end !== undefined) {
        if (this.#end.error !== undefined) throw this.#end.error;
        return undefined;
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
  next(): Promise<IteratorResult<Event>> {
    return Promise.reject(new Error('informers read batches'));
  }
  close(): Promise<void> {
    this.closed = true;
    this.#end ??= { error: undefined };
    this.#wakeUp();
    return Promise.resolve();
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
