import { describe, expect, it } from 'vitest';
import type { WriteReceipt } from '../../src/store/index.js';
import { Widget } from '../../src/testing/conformance/store-widget.js';
import { engines, onStorage } from './on-engines.js';

describe.each(engines)('the receipt of a write on the %s engine', (engine) => {
  it(
    'names the revision that the write made, whatever others write meanwhile',
    onStorage(engine, async ({ open }) => {
      const store = await open();
      const told: string[] = [];
      const made: (string | null | undefined)[] = [];
      const watch = store.watch(Widget, 'prod');
      await store.create(Widget, 'prod', 'a', { spec: { size: 0 } });
      await Promise.all(
        Array.from({ length: 20 }, async (_, size) => {
          const receipt: WriteReceipt = {};
          await store.patch(Widget, 'prod', 'a', { spec: { size: size + 1 } }, { receipt, source: `${size}` });
          made[size] = receipt.revision;
        }),
      );
      for await (const event of watch) {
        if (event.type === 'UPDATED') told[Number(event.source)] = event.resourceVersion;
        if (told.filter(Boolean).length === 20) break;
      }
      expect(made).toEqual(told);
    }),
  );

  it(
    'says null of a write that changes nothing, though another write gave the object a new revision',
    onStorage(engine, async ({ open }) => {
      const store = await open();
      await store.create(Widget, 'prod', 'a', { spec: { size: 1 } });
      const [first, second]: [WriteReceipt, WriteReceipt] = [{}, {}];
      await Promise.all([
        store.patch(Widget, 'prod', 'a', { spec: { size: 2 } }, { receipt: first }),
        store.patch(Widget, 'prod', 'a', { spec: { size: 2 } }, { receipt: second }),
      ]);
      expect([first.revision, second.revision]).toEqual(['2', null]);
    }),
  );

  it(
    'names the revision of a deletion, of a write that releases an object, and of a transaction as a whole',
    onStorage(engine, async ({ open }) => {
      const store = await open();
      await store.create(Widget, 'prod', 'a', { metadata: { finalizers: ['a/b'] }, spec: { size: 1 } });
      const receipts = Array.from({ length: 6 }, (): WriteReceipt => ({}));
      const [mark, again, release, whole, nothing, thrown] = receipts;
      await store.delete(Widget, 'prod', 'a', { receipt: mark });
      await store.delete(Widget, 'prod', 'a', { receipt: again });
      await store.patch(Widget, 'prod', 'a', { metadata: { finalizers: null } }, { receipt: release });
      await store.transaction((tx) => tx.create(Widget, 'prod', 'b', { spec: { size: 1 } }), { receipt: whole });
      await store.transaction((tx) => tx.get(Widget, 'prod', 'b'), { receipt: nothing });
      await store.transaction((tx) => tx.get(Widget, 'prod', 'gone'), { receipt: thrown }).catch(() => {});
      expect(receipts.map(({ revision }) => revision)).toEqual(['2', null, '3', '4', null, null]);
    }),
  );

  it(
    'stays empty for a write that failed and for a dry run, and one that is frozen harms nobody',
    onStorage(engine, async ({ open }) => {
      const store = await open();
      const receipt: WriteReceipt = {};
      await store.create(Widget, 'prod', 'a', { spec: { size: 1 } }, { receipt, dryRun: true });
      await store.create(Widget, 'prod', 'a', { spec: { size: 'wrong' as unknown as number } }, { receipt }).catch(() => {});
      expect(receipt).toEqual({});
      await store.create(Widget, 'prod', 'a', { spec: { size: 1 } }, { receipt: Object.freeze({}) });
      await store.create(Widget, 'prod', 'b', { spec: { size: 1 } });
    }),
  );
});
