/** A process that hears nothing of others: what a transaction has read is checked in the commit, not only against what is known. */
import { describe, expect, it } from 'vitest';
import { isConflict } from '../../src/schemas/index.js';
import { openStore } from '../../src/store/index.js';
import type { EngineSource, Store } from '../../src/store/index.js';
import { onStorage } from './on-engines.js';

/** The same storage for a process that is told of no commit but its own. */
function deaf(source: EngineSource): EngineSource {
  return {
    ...source,
    open: async (context) =>
      new Proxy(await source.open(context), {
        get: (engine, name) => (name === 'onForeignCommit' ? () => () => {} : (Reflect.get(engine, name, engine) as unknown)),
      }),
  };
}

interface Scene {
  /** Hears nothing. */
  readonly mine: Store;
  readonly theirs: Store;
}

const beside = (body: (scene: Scene) => Promise<void>): (() => Promise<void>) =>
  onStorage('lmdb', async ({ source, open }) => {
    const theirs = await open();
    for (const name of ['a', 'b']) await theirs.create('plain', 'prod', name, { n: 1 });
    await using mine = await openStore({ engine: deaf(source) });
    await body({ mine, theirs });
  });

describe('a transaction beside a process it does not hear of', () => {
  for (const [text, change] of [
    ['something new in it', (store: Store) => store.create('plain', 'prod', 'c', { n: 1 })],
    ['something of it gone', (store: Store) => store.delete('plain', 'prod', 'b')],
    ['something of it changed', (store: Store) => store.update('plain', 'prod', 'b', { n: 2 })],
  ] as const) {
    for (const namespace of ['prod', undefined]) {
      it(
        `runs again when the list it read has ${text}, ${namespace === undefined ? 'of all namespaces' : 'of one namespace'}`,
        beside(async ({ mine, theirs }) => {
          const seen: number[] = [];
          await mine.transaction(async (tx) => {
            const { items } = await tx.list('plain', namespace);
            if (seen.length === 0) await change(theirs);
            seen.push(items.reduce((sum, item) => sum + (item['n'] as number), 0));
            await tx.apply('sum', 'prod', 'total', { n: seen.at(-1) });
          });
          const { items } = await mine.list('plain');
          const now = items.reduce((sum, item) => sum + (item['n'] as number), 0);
          expect(seen.length).toBeGreaterThan(1);
          expect((await theirs.get('sum', 'prod', 'total'))['n']).toBe(now);
        }),
      );
    }
  }

  it(
    'gives up with a conflict when that happens each time, and has written nothing',
    beside(async ({ mine, theirs }) => {
      let runs = 0;
      const counting = mine.transaction(
        async (tx) => {
          await tx.list('plain', 'prod');
          runs += 1;
          await theirs.create('plain', 'prod', `n${runs}`, { n: 1 });
          await tx.create('sum', 'prod', 'total', {});
        },
        { retries: 2 },
      );
      await expect(counting).rejects.toSatisfy(isConflict);
      expect(runs).toBe(3);
      expect((await theirs.list('sum')).items).toEqual([]);
    }),
  );

  it(
    'commits at once when what they wrote lies elsewhere',
    beside(async ({ mine, theirs }) => {
      let runs = 0;
      await mine.transaction(async (tx) => {
        runs += 1;
        const { items } = await tx.list('plain', 'prod');
        await theirs.create('plain', 'production', `a${runs}`, { n: 1 });
        await theirs.create('plain2', 'prod', `a${runs}`, { n: 1 });
        await tx.create('sum', 'prod', 'total', { n: items.length });
      });
      expect([runs, (await mine.list('plain', 'production')).items.length]).toEqual([1, 1]);
    }),
  );
});
