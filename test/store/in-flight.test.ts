import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { defineResource } from '../../src/schemas/index.js';
import { memoryEngine, openStore } from '../../src/store/index.js';
import { TypeRegistry } from '../../src/store/registry.js';
import type { ModelStep } from '../../src/testing/conformance/store-model.js';
import { StoreModel } from '../../src/testing/conformance/store-model.js';
import { Widget } from '../../src/testing/conformance/store-widget.js';
import { compare, runOn } from './model.js';

const key = fc.constantFrom('a', 'b');
/** Steps that are one call each, so that their order is the order of the calls. */
const call: fc.Arbitrary<ModelStep> = fc.oneof(
  fc.record({
    verb: fc.constant('create' as const),
    key,
    size: fc.nat(3),
    label: fc.constantFrom(undefined, 'x'),
    finalizer: fc.boolean(),
  }),
  fc.record({ verb: fc.constant('status' as const), key, ready: fc.boolean() }),
  fc.record({ verb: fc.constant('patch' as const), key, size: fc.nat(3) }),
  fc.record({ verb: fc.constant('delete' as const), key }),
  fc.record({ verb: fc.constant('release' as const), key }),
);

describe('writes in flight', () => {
  it('come to what they would one after the other, whatever is sent at one key without waiting', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(call, { maxLength: 30, size: 'max' }), async (steps) => {
        await using store = await openStore({ engine: memoryEngine() });
        const model = new StoreModel();
        const outcomes = await Promise.all(steps.map((step) => runOn(store, step)));
        assert.deepEqual(
          outcomes,
          steps.map((step) => model.run(step)),
        );
        await compare(store, model);
      }),
      { numRuns: 150 },
    );
  });

  it('tell two statuses sent at once apart', async () => {
    await using store = await openStore({ engine: memoryEngine() });
    const [made, first, second] = await Promise.all([
      store.create(Widget, 'prod', 'a', { spec: { size: 1 } }),
      store.update(Widget, 'prod', 'a', { spec: { size: 1 }, status: { seen: 1 } }, { subresource: 'status' }),
      store.update(Widget, 'prod', 'a', { spec: { size: 1 }, status: { seen: 2 } }, { subresource: 'status' }),
    ]);
    expect([made, first, second].map(({ metadata }) => metadata.resourceVersion)).toEqual(['1', '2', '3']);
    expect((await store.get(Widget, 'prod', 'a')).status).toEqual({ seen: 2 });
  });
});

describe('a transaction that only reads', () => {
  it('never returns a mix of two states, however much is written in between', async () => {
    await using store = await openStore({ engine: memoryEngine() });
    for (const name of ['a', 'b']) await store.create('account', 'bank', name, { money: 50 });
    let runs = 0;
    const paused = gate();
    const reached = gate();
    const sum = store.transaction(async (tx) => {
      runs += 1;
      const a = Number((await tx.get('account', 'bank', 'a'))['money']);
      if (runs === 1) {
        reached.open();
        await paused.promise;
      }
      return a + Number((await tx.get('account', 'bank', 'b'))['money']);
    });
    await reached.promise;
    await store.transaction(async (tx) => {
      await tx.patch('account', 'bank', 'a', { money: 0 });
      await tx.patch('account', 'bank', 'b', { money: 100 });
    });
    // More than what is kept decoded of recent writes.
    await Promise.all(Array.from({ length: 5000 }, (_, index) => store.create('noise', 'bank', `n${index}`, {})));
    paused.open();
    expect(await sum).toBe(100);
    expect(runs).toBe(2);
  });
});

describe('a transaction that lists what is on its way', () => {
  it.each(['returns', 'writes'])('and %s what it found, never rests on a write that fails, whatever succeeds behind that', async (does) => {
    const source = memoryEngine();
    const first = await openStore({ engine: source });
    await first.create('thing', 'prod', 'a', { size: 1 });
    await first.close();
    // Opened anew it does not know of `a`, and plans the create before the engine says that there is one.
    await using store = await openStore({ engine: source });
    const failing = store.create('thing', 'prod', 'a', { size: 2 }).catch((error: unknown) => error);
    const succeeding = store.create('thing', 'prod', 'b', { size: 3 });
    const sizes = await store.transaction(async (tx) => {
      const { items } = await tx.list('thing', 'prod');
      const found = items.map((item) => item['size']);
      if (does === 'writes') await tx.create('sum', 'prod', 'of', { found });
      return found;
    });
    expect(await failing).toMatchObject({ reason: 'AlreadyExists' });
    await succeeding;
    expect(sizes).toEqual([1, 3]);
    if (does === 'writes') expect((await store.get('sum', 'prod', 'of'))['found']).toEqual([1, 3]);
  });
});

describe('types found in the data', () => {
  it('are read by whatever goes over all types, also where only some types are known', async () => {
    const source = memoryEngine();
    const first = await openStore({ engine: source });
    await first.create('plain', 'prod', 'x', { any: 1 });
    await first.close();
    await using store = await openStore({ engine: source, types: [Widget] });
    await expect(store.get('plain', 'prod', 'x')).rejects.toMatchObject({ reason: 'UnknownType' });
    for (const options of [{ initial: true }, { since: '0' }]) {
      const watch = store.watch('*', undefined, options);
      expect((await watch.next()).value).toMatchObject({ type: 'CREATED', resourceType: 'plain' });
      await watch.close();
    }
    await store.create(Widget, 'prod', 'a', { spec: { size: 1 } });
  });
});

describe('registered types', () => {
  const vault = (sensitive: boolean) =>
    defineResource({
      kind: 'Vault',
      scope: 'Namespaced',
      spec: { type: 'object', properties: { p: { type: 'string', ...(sensitive ? { sensitive: true } : {}) } } },
    });
  const other = defineResource({ kind: 'Other', scope: 'Namespaced', spec: { type: 'object', properties: {} } });
  /** Text that several registries share, as processes share a store. */
  const shared = (fail: () => boolean = () => false) => {
    let text: string | undefined;
    return {
      get: async () => text,
      set: async (_name: string, next: string | undefined, options?: { readonly expect?: string | null }) => {
        if (fail()) throw new Error('EIO');
        if (options?.expect !== undefined && options.expect !== (text ?? null)) return false;
        text = next;
        return true;
      },
      read: () => JSON.parse(text ?? '{}') as Record<string, { sensitivePaths: unknown[] }>,
    };
  };

  it('are not forgotten by a process that knew them otherwise', async () => {
    const meta = shared();
    const a = new TypeRegistry({ meta, strict: false });
    await a.load([vault(false)]);
    await a.save();
    const b = new TypeRegistry({ meta, strict: false });
    await b.load([vault(true)]);
    await b.save();
    a.register(other);
    await a.save();
    expect(Object.keys(meta.read())).toEqual(['other', 'vault']);
    expect(meta.read()['vault']?.sensitivePaths).toEqual([['spec', 'p']]);
  });

  it('are saved again when the save failed', async () => {
    let failing = true;
    const meta = shared(() => failing);
    const registry = new TypeRegistry({ meta, strict: false });
    await registry.load([other]);
    await expect(registry.save()).rejects.toThrow('EIO');
    expect(registry.unsaved).toBe(true);
    failing = false;
    await registry.save();
    expect(registry.unsaved).toBe(false);
    expect(Object.keys(meta.read())).toEqual(['other']);
  });
});

describe('a definition', () => {
  const fresh = () => defineResource({ kind: 'Fresh', type: 'fresh', spec: { type: 'object', properties: { n: { type: 'integer' } } } });

  it('that only a dry run has used is not remembered, whatever else is written', async () => {
    const source = memoryEngine();
    const first = await openStore({ engine: source });
    const Fresh = fresh();
    await first.create(Fresh, 'prod', 'x', { spec: { n: 1 } }, { dryRun: true });
    await expect(first.create(Fresh, 'prod', 'x', { spec: { n: 'one' } } as never, { dryRun: true })).rejects.toMatchObject({ code: 422 });
    await first.create('other', 'prod', 'x', {});
    await first.close();
    const collecting = await openStore({ engine: source });
    await collecting.deleteCollection(fresh(), 'prod', { dryRun: true });
    await collecting.create('other', 'prod', 'y', {});
    await collecting.close();
    const second = await openStore({ engine: source });
    await second.create('fresh', 'prod', 'x', { spec: { n: 'one' } });
    await second.delete('fresh', 'prod', 'x');
    const Again = fresh();
    await second.create(Again, 'prod', 'dry', { spec: {} }, { dryRun: true });
    await second.create(Again, 'prod', 'x', { spec: { n: 1 } });
    await second.close();
    await using third = await openStore({ engine: source });
    await expect(third.create('fresh', 'prod', 'y', { spec: { n: 'one' } })).rejects.toMatchObject({ reason: 'Forbidden' });
  });

  it('that a transaction brings is remembered with what it wrote', async () => {
    const source = memoryEngine();
    const first = await openStore({ engine: source });
    await first.transaction((tx) => tx.create(fresh(), 'prod', 'x', { spec: { n: 1 } }));
    await first.close();
    await using second = await openStore({ engine: source });
    await expect(second.create('fresh', 'prod', 'y', { spec: { n: 'one' } })).rejects.toMatchObject({ reason: 'Forbidden' });
  });
});

describe('a transaction', () => {
  it('that puts another object in the place of one leaves the new uid findable, and not the old', async () => {
    await using store = await openStore({ engine: memoryEngine() });
    const old = await store.create('thing', 'prod', 'a', {});
    await store.transaction(async (tx) => {
      await tx.delete('thing', 'prod', 'a');
      await tx.create('thing', 'prod', 'a', { size: 2 });
    });
    const now = await store.get('thing', 'prod', 'a');
    expect(await store.getByUid('thing', now.metadata.uid)).toEqual(now);
    await expect(store.getByUid('thing', old.metadata.uid)).rejects.toMatchObject({ code: 404 });
  });
});

describe('a writer that is answered at once', () => {
  it('keeps neither timers nor the writes of others from their turn', async () => {
    await using store = await openStore({ engine: memoryEngine() });
    await store.create('thing', 'prod', 'a', { size: 1 });
    let written = false;
    const writing = store.create('thing', 'prod', 'b', {}).then(() => (written = true));
    for (let round = 0; round < 5000 && !written; round += 1) await store.update('thing', 'prod', 'a', { size: 1 });
    expect(written).toBe(true);
    await writing;
  });
});

describe('a watch', () => {
  it('that is closed while an event is on its way ends, and hands out nothing that is not there', async () => {
    for (let hops = 0; hops < 8; hops += 1) {
      await using store = await openStore({ engine: memoryEngine() });
      const watch = store.watch('thing');
      const next = watch.next();
      await store.create('thing', 'prod', 'a', {});
      for (let hop = 0; hop < hops; hop += 1) await Promise.resolve();
      await watch.close();
      const result = await next;
      expect(result.done === true || result.value?.type === 'CREATED').toBe(true);
    }
  });

  it('tells its users when the store has ended', async () => {
    const store = await openStore({ engine: memoryEngine() });
    expect(store.ended.aborted).toBe(false);
    await store.close();
    expect(store.ended.reason).toMatchObject({ name: 'StoreClosedError' });
  });
});

function gate(): { readonly promise: Promise<void>; open(): void } {
  let open!: () => void;
  const promise = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { promise, open };
}
