/** The end of a store: what is in flight, what comes after, what is cut off half way. */
import assert from 'node:assert/strict';
import { describe, expect, it } from 'vitest';
import { isAborted, isStoreClosed } from '../../src/schemas/index.js';
import { engines, onStorage } from './on-engines.js';

describe.each(engines)('closing on the %s engine', (engine) => {
  it(
    'answers all that is in flight, keeps what was acknowledged, and ends the rest with StoreClosedError',
    onStorage(engine, async ({ open }) => {
      const store = await open();
      await store.create('plain', 'prod', 'a', { n: 0 });
      const watch = store.watch('plain');
      const told = assert.rejects(
        (async () => {
          for await (const event of watch) expect(event.type).not.toBe('DELETED');
        })(),
        isStoreClosed,
      );
      const writing = Array.from({ length: 200 }, (_, index) => store.create('plain', 'prod', `o${index}`, {}));
      const changing = store.modify('plain', 'prod', 'a', (draft) => void (draft['n'] = 1));
      const reading = store.list('plain');
      const transacting = store.transaction(async (tx) => {
        await tx.create('plain', 'prod', 'tx', {});
        await store.deps.scheduler.turn();
        await store.deps.scheduler.turn();
        await tx.create('plain', 'prod', 'ty', {});
      });
      const outcomes = Promise.allSettled([...writing, changing, reading, transacting]);
      const closing = store.close();
      expect(store.close()).toBe(closing);
      await closing;
      await told;
      const settled = await outcomes;
      for (const outcome of settled) if (outcome.status === 'rejected') expect(outcome.reason).toSatisfy(isStoreClosed);
      expect(settled.slice(0, 201).every(({ status }) => status === 'fulfilled')).toBe(true);
      const again = await open();
      expect((await again.list('plain', 'prod')).items).toHaveLength(201 + (settled.at(-1)!.status === 'fulfilled' ? 2 : 0));
      expect((await again.get('plain', 'prod', 'a'))['n']).toBe(1);
      expect((await again.verify()).problems).toEqual([]);
    }),
  );

  it(
    'makes every verb throw StoreClosedError from then on',
    onStorage(engine, async ({ open }) => {
      const store = await open();
      await store.create('plain', 'prod', 'a', {});
      await store.close();
      await store.close();
      await store[Symbol.asyncDispose]();
      const verbs: (() => unknown)[] = [
        () => store.create('plain', 'prod', 'b', {}),
        () => store.get('plain', 'prod', 'a'),
        () => store.getByUid('plain', 'x'),
        () => store.list('plain'),
        () => store.update('plain', 'prod', 'a', {}),
        () => store.patch('plain', 'prod', 'a', {}),
        () => store.apply('plain', 'prod', 'a', {}),
        () => store.modify('plain', 'prod', 'a', () => {}),
        () => store.delete('plain', 'prod', 'a'),
        () => store.deleteCollection('plain'),
        () => store.transaction(() => 1),
        () => store.watch('plain'),
        () => store.getHistory('plain', 'prod', 'a'),
        () => store.getVersion('plain', 'prod', 'a', '1'),
        () => store.rollback('plain', 'prod', 'a', '1'),
        () => store.compact('1'),
        () => store.rotateKeys(),
        () => store.keys(),
        () => store.dropKey('x'),
        () => store.verify(),
        () => store.stats(),
      ];
      const outcomes = await Promise.all(
        verbs.map(async (verb) => {
          try {
            await verb();
            return 'went through';
          } catch (error) {
            return isStoreClosed(error) ? 'closed' : String(error);
          }
        }),
      );
      expect(outcomes).toEqual(verbs.map(() => 'closed'));
      expect(store.revision).toBe('1');
    }),
  );

  it(
    'in the middle of a compaction or of a long list harms neither the data nor the next opening',
    onStorage(engine, async ({ open }) => {
      const store = await open();
      await Promise.all(Array.from({ length: 3000 }, (_, index) => store.apply('plain', 'prod', `o${index % 1500}`, { n: index })));
      const settled = Promise.allSettled([
        store.compact(store.revision),
        store.list('plain'),
        store.list('plain', 'prod', { limit: 1000 }),
      ]);
      await store.close();
      for (const outcome of await settled)
        if (outcome.status === 'rejected')
          expect(isStoreClosed(outcome.reason) || isAborted(outcome.reason), String(outcome.reason)).toBe(true);
      const again = await open();
      await again.compact(again.revision);
      expect((await again.list('plain', 'prod')).items).toHaveLength(1500);
      expect((await again.verify()).problems).toEqual([]);
    }),
  );
});
