/** Names that the store makes: another is tried when one is taken. */
import { describe, expect, it } from 'vitest';
import { isAlreadyExists } from '../../src/schemas/index.js';
import { systemDeps } from '../../src/store/index.js';
import type { Deps } from '../../src/store/index.js';
import { engines, onStorage } from './on-engines.js';

/** The machine's dependencies, with the suffixes of names as told; the last one again and again. */
function suffixes(...told: readonly string[]): Deps {
  const base = systemDeps();
  let next = 0;
  return {
    ...base,
    ids: { ...base.ids, suffix: (length) => (length === 5 ? told[Math.min(next++, told.length - 1)]! : base.ids.suffix(length)) },
  };
}

describe.each(engines)('a generated name on the %s engine', (engine) => {
  it(
    'that is taken gives way to another, at last to an error, and writes nothing until then',
    onStorage(engine, async ({ open }) => {
      const store = await open({ deps: suffixes('aaaaa', 'aaaaa', 'aaaaa', 'bbbbb', 'aaaaa', 'bbbbb', 'aaaaa', 'bbbbb') });
      const make = async (): Promise<string> =>
        (await store.create('plain', 'prod', undefined, { metadata: { generateName: 'w-' } })).metadata.name;
      expect([await make(), await make()]).toEqual(['w-aaaaa', 'w-bbbbb']);
      expect(store.revision).toBe('2');
      await expect(make()).rejects.toSatisfy(isAlreadyExists);
      await expect(
        store.transaction((tx) => tx.create('plain', 'prod', undefined, { metadata: { generateName: 'w-' } })),
      ).rejects.toSatisfy(isAlreadyExists);
      expect(store.revision).toBe('2');
    }),
  );

  it(
    'that a transaction has taken itself is taken',
    onStorage(engine, async ({ open }) => {
      const store = await open({ deps: suffixes('aaaaa', 'aaaaa', 'bbbbb') });
      await store.transaction(async (tx) => {
        for (let turn = 0; turn < 2; turn += 1) await tx.create('plain', 'prod', undefined, { metadata: { generateName: 'w-' } });
      });
      expect((await store.list('plain')).items.map(({ metadata }) => metadata.name)).toEqual(['w-aaaaa', 'w-bbbbb']);
    }),
  );
});
