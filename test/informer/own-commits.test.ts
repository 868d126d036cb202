/** Writes of this process as its informers get them. Real world: on each engine as it is, with its disk and its threads. */
import { describe, expect, it, vi } from 'vitest';
import { createInformers } from '../../src/informer/index.js';
import { defineResource } from '../../src/schemas/index.js';
import { jsonCodec, msgpackCodec, systemDeps } from '../../src/store/index.js';
import { virtualDeps } from '../../src/testing/index.js';
import { engines, onStorage } from '../store/on-engines.js';

const Widget = defineResource({ kind: 'Widget', scope: 'Namespaced', spec: { type: 'object', additionalProperties: true } });

describe.each(engines)('Informer on the %s engine', (engine) => {
  it.each([jsonCodec, msgpackCodec])(
    'gets own commits as the shared frozen objects: own commits are never parsed again, with $name',
    async (codec) => {
      await onStorage(engine, async (storage) => {
        let encoded = 0;
        let decoded = 0;
        const counting: typeof codec = {
          name: codec.name,
          encode: (value) => {
            encoded += 1;
            return codec.encode(value);
          },
          decode: (bytes) => {
            decoded += 1;
            return codec.decode(bytes);
          },
        };
        const store = await storage.open({ codec: counting, types: [Widget], deps: systemDeps({ logger: virtualDeps().logger }) });
        await using informers = createInformers({ store });
        const all = informers.for(Widget);
        const some = informers.for(Widget, { labelSelector: 'app=web' });
        const told: unknown[] = [];
        all.addHandler({ onAdd: (w) => void told.push(w), onUpdate: (w) => void told.push(w), onDelete: (w) => void told.push(w) });
        informers.start();
        await informers.whenSynced();
        const parse = vi.spyOn(JSON, 'parse');
        const names = Array.from({ length: 20 }, (_, i) => `w${i}`);
        const metadata = { labels: { app: 'web' } };
        for (const name of names) await store.create(Widget, 'prod', name, { metadata, spec: { n: 1, deep: { list: [1, 2] } } });
        for (const name of names) await store.update(Widget, 'prod', name, { metadata, spec: { n: 2, deep: { list: [1, 2] } } });
        await store.transaction(async (tx) => {
          for (const name of names.slice(0, 5)) await tx.delete(Widget, 'prod', name);
        });
        await all.caughtUp(store.revision);
        await some.caughtUp(store.revision);
        expect(told).toHaveLength(45);
        expect(some.size).toBe(15);
        // The store parses other texts meanwhile: which keys there are, who holds a lease.
        const parsed = parse.mock.calls.filter(([text]) => text.includes('"Widget"') && text.includes('"spec"'));
        expect([decoded, parsed]).toEqual([0, []]);
        expect(encoded).toBe(40);
        for (const name of names.slice(5)) {
          const cached = all.get(`prod/${name}`);
          expect(cached).toBe(some.get(`prod/${name}`));
          expect(told).toContain(cached);
          expect(Object.isFrozen(cached?.spec)).toBe(true);
        }
      })();
    },
  );
});
