/** Runs the model's steps on a real store and compares the two. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { isAlreadyExists, isConflict, isNotFound } from '../../src/schemas/index.js';
import type { Store, StoreVerbs } from '../../src/store/index.js';
import type { ModelEvent, ModelObject, ModelOutcome, ModelStep } from '../../src/testing/conformance/store-model.js';
import type { StoreModel } from '../../src/testing/conformance/store-model.js';
import { Widget } from '../../src/testing/conformance/store-widget.js';

const FINALIZER = 'example.com/hold';
const NS = 'prod';

const key = fc.constantFrom('a', 'b', 'c', 'd');
const label = fc.constantFrom(undefined, 'x', 'y');
const plain: fc.Arbitrary<ModelStep> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ verb: fc.constant('create' as const), key, size: fc.nat(3), label, finalizer: fc.boolean() }) },
  { weight: 4, arbitrary: fc.record({ verb: fc.constant('update' as const), key, size: fc.nat(3), label, stale: fc.constant(false) }) },
  { weight: 2, arbitrary: fc.record({ verb: fc.constant('status' as const), key, ready: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ verb: fc.constant('patch' as const), key, size: fc.nat(3) }) },
  { weight: 3, arbitrary: fc.record({ verb: fc.constant('delete' as const), key }) },
  { weight: 2, arbitrary: fc.record({ verb: fc.constant('release' as const), key }) },
);
export const step: fc.Arbitrary<ModelStep> = fc.oneof(
  { weight: 8, arbitrary: plain },
  { weight: 1, arbitrary: fc.record({ verb: fc.constant('update' as const), key, size: fc.nat(3), label, stale: fc.constant(true) }) },
  {
    weight: 2,
    arbitrary: fc.record({ verb: fc.constant('transaction' as const), steps: fc.array(plain, { maxLength: 4 }), fails: fc.boolean() }),
  },
);

async function verb(on: StoreVerbs, each: ModelStep): Promise<void> {
  switch (each.verb) {
    case 'create':
      await on.create(Widget, NS, each.key, {
        metadata: { ...labels(each.label), ...(each.finalizer ? { finalizers: [FINALIZER] } : {}) },
        spec: { size: each.size },
      });
      return;
    case 'update': {
      const now = await on.get(Widget, NS, each.key);
      const stale = each.stale ? { resourceVersion: '0' } : {};
      await on.update(Widget, NS, each.key, {
        metadata: { ...labels(each.label), finalizers: now.metadata.finalizers ?? [], ...stale },
        spec: { size: each.size },
      });
      return;
    }
    case 'status':
      await on.update(Widget, NS, each.key, { spec: { size: 99 }, status: { ready: each.ready } }, { subresource: 'status' });
      return;
    case 'patch':
      await on.patch(Widget, NS, each.key, { spec: { size: each.size } });
      return;
    case 'delete':
      await on.delete(Widget, NS, each.key);
      return;
    case 'release':
      await on.patch(Widget, NS, each.key, { metadata: { finalizers: null } });
      return;
    case 'transaction':
      throw new Error('transactions do not nest');
    default:
      throw new Error(String(each satisfies never));
  }
}

const labels = (value: string | undefined): object => (value === undefined ? { labels: {} } : { labels: { l: value } });
const failure = new Error('the transaction fails');

/** What a step comes to on a real store. */
export async function runOn(store: Store, each: ModelStep): Promise<ModelOutcome> {
  try {
    if (each.verb === 'transaction') {
      await store.transaction(async (tx) => {
        for (const inner of each.steps) await verb(tx, inner);
        if (each.fails) throw failure;
      });
    } else await verb(store, each);
    return 'ok';
  } catch (error) {
    if (isAlreadyExists(error)) return 'AlreadyExists';
    if (isNotFound(error)) return 'NotFound';
    if (isConflict(error)) return 'Conflict';
    if (error === failure) return 'failed';
    throw error;
  }
}

export type Seen = Omit<ModelObject, 'incarnation'>;
export function seen(widget: {
  readonly metadata: {
    readonly resourceVersion: string;
    readonly generation: number;
    readonly labels?: Readonly<Record<string, string>>;
    readonly finalizers?: readonly string[];
    readonly deletionTimestamp?: string;
  };
  readonly spec: { readonly size: number };
  readonly status?: { readonly ready?: boolean };
}): Seen {
  return {
    generation: widget.metadata.generation,
    revision: Number(widget.metadata.resourceVersion),
    size: widget.spec.size,
    label: widget.metadata.labels?.l,
    ready: widget.status?.ready,
    finalizer: (widget.metadata.finalizers ?? []).includes(FINALIZER),
    terminating: widget.metadata.deletionTimestamp !== undefined,
  };
}
const expected = ({ generation, revision, size, label: l, ready, finalizer, terminating }: ModelObject): Seen => ({
  generation,
  revision,
  size,
  label: l,
  ready,
  finalizer,
  terminating,
});

/** Holds the store against every state and every event of the model. */
export async function compare(store: Store, model: StoreModel): Promise<void> {
  assert.equal(store.revision, String(model.revision));
  for (let revision = 0; revision <= model.revision; revision += 1) {
    const list = await store.list(Widget, NS, { resourceVersion: String(revision) });
    const found = Object.fromEntries(list.items.map((widget) => [widget.metadata.name, seen(widget)]));
    assert.deepEqual(
      found,
      Object.fromEntries([...model.states[revision]!].map(([name, object]) => [name, expected(object)])),
      `state at revision ${revision}`,
    );
  }
  for (let since = 0; since <= model.revision; since += 1) {
    const watch = store.watch(Widget, NS, { since: String(since) });
    const want = model.events.filter((event) => event.revision > since);
    const got: { revision: number; type: string; key: string }[] = [];
    while (got.length < want.length) {
      const event = (await watch.next()).value!;
      if (event.type !== 'BOOKMARK') got.push({ revision: Number(event.resourceVersion), type: event.type, key: event.name });
    }
    await watch.close();
    const order = (a: { revision: number; key: string }, b: { revision: number; key: string }): number =>
      a.revision - b.revision || (a.key < b.key ? -1 : 1);
    assert.deepEqual(
      got.toSorted(order),
      want.map(({ revision, type, key: name }: ModelEvent) => ({ revision, type, key: name })).toSorted(order),
      `events since ${since}`,
    );
  }
}
