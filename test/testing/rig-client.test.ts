/** What a test does through a rig's store: over crashes and restarts, and after the end. */
import { describe, expect, it } from 'vitest';
import { defineController, type ControllerDefinition } from '../../src/controller/index.js';
import { Service, type AnyDefinition } from '../../src/schemas/index.js';
import type { WatchEvent } from '../../src/store/index.js';
import { TestStore, testRig, type TestRig } from '../../src/testing/index.js';
import { Part, Widget } from './types.js';

const a = { namespace: 'default', name: 'a' } as const;
const open = (): Promise<TestRig> => testRig({ objects: [[Widget, { name: 'a' }]] });
/** Kills the process right after the next commit, and only after that one. */
const killOnce = (rig: TestRig): void => {
  const stop = rig.onCommit(() => {
    stop();
    rig.kill();
  });
};
const told = ({ done, value }: IteratorResult<WatchEvent<object>, undefined>): string =>
  done === true ? 'end' : value.type === 'BOOKMARK' ? 'BOOKMARK' : `${value.type} ${value.name}`;

describe('the test’s own writes, cut off by a crash', () => {
  it('are each made once: the one that took effect is not made again, the others are', async () => {
    await using rig = await open();
    killOnce(rig);
    const results = await Promise.all(
      [1, 2, 3, 4].map(() =>
        rig.repo(Widget).mutate(a, (widget) => {
          widget.spec.size += 1;
        }),
      ),
    );
    expect(results.map(({ spec }) => spec.size).sort()).toEqual([2, 3, 4, 5]);
    expect((await rig.repo(Widget).get(a)).spec.size).toBe(5);
  });

  it('do not take the commit of another call of the same source for their own', async () => {
    await using rig = await open();
    killOnce(rig);
    const [patched, inTransaction] = await Promise.all([
      rig.repo(Widget).patch(a, { spec: { size: 7 } }),
      rig.store.transaction((tx) => tx.patch(Widget, 'default', 'a', { spec: { note: 'second' } })),
    ]);
    expect([patched.spec.size, inTransaction.spec.note]).toEqual([7, 'second']);
    expect((await rig.repo(Widget).get(a)).spec).toMatchObject({ size: 7, note: 'second' });
  });

  it('survive a crash while the store of the next life is being opened', async () => {
    await using rig = await open();
    rig.kill({ restart: false });
    rig.deps.scheduler.defer(() => rig.kill());
    expect((await rig.repo(Widget).patch(a, { spec: { size: 3 } })).spec.size).toBe(3);
  });
});

describe('the test’s own watches', () => {
  it('go on in the next life, from where they stood', async () => {
    await using rig = await open();
    const watch = rig.store.watch(Service);
    const first = watch.next();
    await rig.crash();
    await rig.store.createService({ name: 'after' });
    expect(told(await first)).toBe('CREATED after');
    await rig.store.createService({ name: 'unread' });
    await rig.crash();
    await rig.store.createService({ name: 'last' });
    await rig.restart();
    expect([told(await watch.next()), told(await watch.next())]).toEqual(['CREATED unread', 'CREATED last']);
  });

  it('miss nothing of what a crash follows, and tell nothing twice', async () => {
    await using rig = await open();
    const events: string[] = [];
    const watch = rig.store.watch(Part, undefined, { initial: true });
    const reading = (async () => {
      for await (const event of watch) events.push(told({ done: false, value: event }));
    })();
    rig.onCommit(() => rig.kill());
    for (const name of ['p', 'q', 'r']) await rig.repo(Part).create({ metadata: { namespace: 'default', name } });
    await rig.store.transaction(async (tx) => {
      await tx.create(Part, 'default', 's', {});
      await tx.create(Part, 'default', 't', {});
    });
    await rig.settle();
    await rig.close();
    await reading;
    expect(events).toEqual(['BOOKMARK', 'CREATED p', 'CREATED q', 'CREATED r', 'CREATED s', 'CREATED t']);
  });

  it('begin at the call, also while the process is down', async () => {
    await using rig = await open();
    await rig.store.createService({ name: 'before' });
    rig.kill({ restart: false });
    const watch = rig.store.watch(Service);
    const batches = rig.store.watch(Service).batches();
    await rig.crash();
    await rig.store.createService({ name: 'after' });
    expect(told(await watch.next())).toBe('CREATED after');
    expect((await batches.next()).value).toMatchObject({ events: [{ type: 'CREATED', name: 'after' }] });
  });

  it('end when they are closed and when the rig is', async () => {
    const rig = await open();
    const [closed, left] = [rig.store.watch(Service), rig.store.watch(Service)];
    const pulls = [closed.next(), left.next()];
    await closed.close();
    expect(told((await pulls[0]) ?? expect.unreachable())).toBe('end');
    await rig.close();
    expect(told((await pulls[1]) ?? expect.unreachable())).toBe('end');
  });

  it('let waitFor go on over a crash', async () => {
    const slow = (): readonly ControllerDefinition[] => [
      defineController({
        name: 'slow',
        for: Widget,
        reconcile({ object, status }) {
          if (object.status?.phase === undefined) {
            status({ phase: 'begun' });
            return { requeueAfter: '10s' };
          }
          status({ phase: 'done' });
          return undefined;
        },
      }) as ControllerDefinition,
    ];
    await using rig = await testRig({ controllers: slow, objects: [[Widget, { name: 'a' }]] });
    rig.deps.scheduler.after(5_000, () => rig.kill());
    const widget = await rig.repo(Widget).waitFor(a, (each) => each?.status?.phase === 'done');
    expect(widget?.status?.phase).toBe('done');
  });
});

describe('after the end', () => {
  const ends: readonly (readonly [string, (rig: TestRig) => Promise<void> | void])[] = [
    ['close', (rig) => rig.close()],
    ['expectNoLeaks', (rig) => rig.expectNoLeaks()],
    ['discard', (rig) => rig.discard()],
  ];
  it.each(ends)('of %s the store of a rig refuses what it is asked', async (_, end) => {
    const rig = await open();
    await end(rig);
    await expect(rig.store.listServices()).rejects.toThrow(/the rig is closed.*make another/);
    await expect(rig.repo(Widget).get(a)).rejects.toThrow(/the rig is closed/);
    await expect(rig.repo(Widget).patch(a, { spec: { size: 2 } })).rejects.toThrow(/the rig is closed/);
    await expect(rig.repo(Widget).waitFor(a, () => true)).rejects.toThrow(/the rig is closed/);
    expect(() => rig.store.watch(Service as AnyDefinition)).toThrow(/the rig is closed/);
    await expect(rig.run(new Promise(() => {}))).rejects.toThrow(/closed; make another/);
    await rig.store.close();
  });

  it('of close a TestStore refuses what it is asked, a reset too', async () => {
    const store = new TestStore();
    await store.close();
    await store.close();
    await expect(store.listServices()).rejects.toThrow(/closed/);
    await expect(store.reset()).rejects.toThrow(/the TestStore is closed: make another/);
  });
});

describe('onCommit', () => {
  it('tells every listener, until it is removed', async () => {
    await using rig = await open();
    const [one, other]: [number[], number[]] = [[], []];
    const listener = ({ revision }: { readonly revision: number }): void => void one.push(revision);
    const stop = rig.onCommit(listener);
    rig.onCommit(({ revision }) => other.push(revision));
    await rig.store.createService();
    stop();
    await rig.store.createService();
    expect([one, other]).toEqual([[2], [2, 3]]);
  });
});
