/**
 * A write that is taken back (what it rested on has failed) leaves what it was planned on: that is on its way still, and what
 * reads the newest state must see it.
 */
import { describe, expect, it } from 'vitest';
import { isConflict } from '../../src/schemas/index.js';
import { memoryEngine, openStore, sleep } from '../../src/store/index.js';
import type { Store } from '../../src/store/index.js';
import { keyId, prefixId } from '../../src/store/keys.js';
import { Planned, States } from '../../src/store/write/states.js';
import { virtualDeps } from '../../src/testing/index.js';
import { pumped } from './repos/setup.js';

/** Commits take 5 ms: a moment at which `k` is being created, and a write to it that came later was taken back. */
function withOneTakenBack(body: (store: Store) => Promise<void>): Promise<void> {
  const deps = virtualDeps({ seed: 1 });
  return pumped(
    deps,
    (async () => {
      const engine = memoryEngine({ latencyMs: 5 });
      await using first = await openStore({ engine, deps });
      await first.create('plain', 'prod', 'there', { n: 1 });
      await first.close();
      await using store = await openStore({ engine, deps });
      // Planned as if nothing were there, which the engine refutes 5 ms later.
      const refuted = store.create('plain', 'prod', 'there', { n: 2 }).catch((error: unknown) => error);
      await sleep(deps, 1);
      const creating = store.create('plain', 'prod', 'k', { n: 1 });
      await sleep(deps, 1);
      const takenBack = store
        .transaction(
          async (tx) => {
            await tx.get('plain', 'prod', 'there');
            await tx.update('plain', 'prod', 'k', { n: 2 });
          },
          { retries: 0 },
        )
        .catch((error: unknown) => error);
      await sleep(deps, 1);
      const behind = store.create('plain', 'prod', 'behind', {});
      await sleep(deps, 4);
      await body(store);
      expect(isConflict(await takenBack), 'the write was taken back').toBe(true);
      await Promise.all([refuted, creating, behind]);
      expect(await store.get('plain', 'prod', 'k')).toMatchObject({ n: 1, metadata: { resourceVersion: '2' } });
    })(),
  );
}

describe('a write that is taken back', () => {
  it('hides nothing from the list of a transaction that it was planned on', () =>
    withOneTakenBack(async (store) => {
      const seen = await store.transaction(async (tx) => {
        const names = (await tx.list('plain', 'prod')).items.map(({ metadata }) => metadata.name);
        await tx.create('plain', 'prod', 'c', {});
        return names;
      });
      expect(seen).toEqual(['behind', 'k', 'there']);
    }));

  it('hides nothing from the reads of a transaction that it was planned on', () =>
    withOneTakenBack(async (store) => {
      const seen = await store.transaction(async (tx) => {
        const behind = await tx.list('plain', 'prod', { fieldSelector: 'metadata.name=behind' });
        const k = await tx.get('plain', 'prod', 'k').catch(() => undefined);
        return [behind.items.length, k?.['n']];
      });
      expect(seen).toEqual([1, 1]);
    }));

  /** Plans the removal of an object. */
  const request = (states: States, name: string): Planned => {
    const key = { type: 'plain', namespace: 'prod', name };
    const write = { key, value: undefined, meta: { verb: 'delete' as const, uid: name, generation: 1, time: 0 } };
    const planned = new Planned(name, [{ id: keyId(key), write, form: undefined, previous: undefined, version: 1 }], []);
    states.plan(planned);
    return planned;
  };

  it('that takes with it what a transaction would have told a change by has the transaction run again', () => {
    const states = new States();
    const id = keyId({ type: 'plain', namespace: 'prod', name: 'a' });
    const changeAndTakeBack = (): void => {
      const first = request(states, 'a');
      first.revision = 1;
      states.commit(first);
      states.unplan(request(states, 'a'));
    };
    changeAndTakeBack();
    expect(states.jumps).toBe(0);
    states.pin(id);
    changeAndTakeBack();
    expect([states.jumps, states.known(id)]).toEqual([1, undefined]);
    states.unpin(id);
    changeAndTakeBack();
    expect(states.jumps).toBe(1);
  });

  it('is not alone in that: a change of another process that cannot be opened is told as well', () => {
    const states = new States();
    const key = { type: 'plain', namespace: 'prod', name: 'a' };
    states.forget(key, keyId(key), 6);
    expect([states.jumps, states.lastChange(prefixId({ type: 'plain', namespace: 'prod' }))]).toEqual([0, 6]);
    states.pin(keyId(key));
    states.forget(key, keyId(key), 7);
    expect(states.jumps).toBe(1);
  });

  it('leaves the newest of those on their way to be the last change of where it was', () => {
    const states = new States();
    const under = prefixId({ type: 'plain', namespace: 'prod' });
    const [first, second, third] = ['a', 'b', 'a'].map((name) => request(states, name));
    states.unplan(third!);
    expect(states.lastChange(under)).toBe(second);
    expect(states.known(keyId({ type: 'plain', namespace: 'prod', name: 'a' }))?.origin).toBe(first);
    states.unplan(second!);
    expect(states.lastChange(under)).toBe(first);
    states.unplan(first!);
    expect(states.lastChange(under)).toBe(0);
  });
});
