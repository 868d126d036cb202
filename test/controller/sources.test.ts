import { describe, expect, it } from 'vitest';
import { InvalidError } from '../../src/schemas/index.js';
import {
  controllerReference,
  createIterableSource,
  defineController,
  generationChanged,
  pathChanged,
  withController,
  type ControllerInput,
  type Source,
} from '../../src/controller/index.js';
import { openWorld, Part, Site, Widget, type World } from './world.js';

const recording = (input: Partial<ControllerInput<typeof Widget>> = {}) => {
  const runs: string[] = [];
  return {
    runs,
    controller: defineController({
      ...input,
      name: 'widgets',
      for: Widget,
      reconcile: ({ object }) => void runs.push(object.metadata.name),
    }),
  };
};
const take = (runs: string[]): string[] => runs.splice(0).sort();
const part = (world: World, name: string, owner?: Widget, spec: object = {}) =>
  world.run(
    world.repo(Part).create({
      metadata: { namespace: 'prod', name, ...(owner === undefined ? {} : { ownerReferences: [controllerReference(owner, Widget)] }) },
      spec,
    }),
  );

describe('sources', () => {
  it('a child wakes the object that controls it: when it comes, changes and goes', async () => {
    const { runs, controller } = recording({ owns: [Part] });
    await using world = await openWorld([controller]);
    const a = await world.widget('a');
    await world.widget('b');
    await world.flush();
    take(runs);
    await part(world, 'p', a);
    await world.flush();
    expect(take(runs)).toEqual(['a']);
    await world.run(world.repo(Part).patch({ namespace: 'prod', name: 'p' }, { spec: { n: 1 } }));
    await world.flush();
    expect(take(runs)).toEqual(['a']);
    await world.run(world.repo(Part).delete({ namespace: 'prod', name: 'p' }));
    await world.flush();
    expect(take(runs)).toEqual(['a']);
    await part(world, 'stray');
    await world.flush();
    expect(take(runs)).toEqual([]);
  });

  it('a change of owner wakes the old owner and the new one, whatever `where` says', async () => {
    const { runs, controller } = recording({ owns: [{ resource: Part, where: () => false }] });
    await using world = await openWorld([controller]);
    const a = await world.widget('a');
    const b = await world.widget('b');
    await world.flush();
    await part(world, 'p', a);
    await world.flush();
    take(runs);
    await world.run(
      world.repo(Part).patch({ namespace: 'prod', name: 'p' }, { metadata: { ownerReferences: [controllerReference(b, Widget)] } }),
    );
    await world.flush();
    expect(take(runs)).toEqual(['a', 'b']);
    await world.run(world.repo(Part).patch({ namespace: 'prod', name: 'p' }, { metadata: { ownerReferences: null } }));
    await world.flush();
    expect(take(runs)).toEqual(['b']);
  });

  it('an owner that does not control the child is woken only with everyOwner', async () => {
    for (const everyOwner of [false, true]) {
      const { runs, controller } = recording({ owns: [{ resource: Part, everyOwner }] });
      await using world = await openWorld([controller]);
      const a = await world.widget('a');
      await world.flush();
      take(runs);
      await world.run(
        world.repo(Part).create({
          metadata: { namespace: 'prod', name: 'p', ownerReferences: [{ ...controllerReference(a, Widget), controller: false }] },
          spec: {},
        }),
      );
      await world.flush();
      expect(take(runs)).toEqual(everyOwner ? ['a'] : []);
    }
  });

  it('map is called on the previous and the new object, and each key is woken once', async () => {
    const mapped: number[] = [];
    const { runs, controller } = recording({
      watches: [
        {
          resource: Site,
          map: (site) => {
            const n = (site as unknown as { spec: { n?: number } }).spec.n ?? 0;
            mapped.push(n);
            return [`prod/w${n}`, { namespace: 'prod', name: 'all' }, 'prod/all'];
          },
        },
      ],
    });
    await using world = await openWorld([controller]);
    for (const name of ['w1', 'w2', 'all']) await world.widget(name);
    await world.flush();
    take(runs);
    await world.run(world.repo(Site).create({ metadata: { name: 's' }, spec: { n: 1 } }));
    await world.flush();
    expect(take(runs)).toEqual(['all', 'w1']);
    mapped.length = 0;
    await world.run(world.repo(Site).patch({ name: 's' }, { spec: { n: 2 } }));
    await world.flush();
    expect(mapped.sort()).toEqual([1, 2]);
    expect(take(runs)).toEqual(['all', 'w1', 'w2']);
    await world.run(world.repo(Site).delete({ name: 's' }));
    await world.flush();
    expect(take(runs)).toEqual(['all', 'w2']);
  });

  it('a map may be async, and one that throws is tried again', async () => {
    let broken = 2;
    const { runs, controller } = recording({
      watches: [
        {
          resource: Site,
          map: async () => {
            await Promise.resolve();
            if (broken-- > 0) throw new Error('not now');
            return 'prod/a';
          },
        },
      ],
    });
    await using world = await openWorld([controller]);
    await world.widget('a');
    await world.flush();
    take(runs);
    await world.run(world.repo(Site).create({ metadata: { name: 's' } }));
    await world.flush();
    expect(take(runs)).toEqual([]);
    await world.advance('10s');
    expect(take(runs)).toEqual(['a']);
    expect(world.logs('warn').filter((line) => line.message.startsWith('map threw'))).toHaveLength(2);
  });

  it('a map that gives a key that cannot be is reported and wakes nobody', async () => {
    const { runs, controller } = recording({ watches: [{ resource: Site, map: () => 'no-namespace' }] });
    await using world = await openWorld([controller]);
    await world.widget('a');
    await world.flush();
    take(runs);
    await world.run(world.repo(Site).create({ metadata: { name: 's' } }));
    await world.advance('10m');
    expect(take(runs)).toEqual([]);
    expect(world.logs('error')[0]?.message).toMatch(/given up/);
  });

  it('what is read is the whole type, however little of it is watched, and whichever is declared first', async () => {
    const map = () => undefined;
    const narrow = { resource: Part, labelSelector: 'tier=web', namespace: 'prod', map };
    const inputs: Partial<ControllerInput<typeof Widget>>[] = [
      { watches: [narrow], reads: [Part] },
      { watches: [narrow, { resource: Part, map }] },
      { watches: [narrow], reads: [Part], namespace: 'prod', owns: [Part] },
    ];
    for (const input of inputs) {
      const seen: (readonly string[])[] = [];
      const controller = defineController({
        ...input,
        name: 'widgets',
        for: Widget,
        reconcile: ({ lister, children }) => {
          seen.push(
            lister(Part)
              .list()
              .map((each) => each.metadata.name)
              .toSorted(),
          );
          if (input.owns !== undefined) expect(children(Part)).toEqual([]);
        },
      });
      await using world = await openWorld([controller]);
      await part(world, 'p');
      await world.run(world.repo(Part).create({ metadata: { namespace: 'dev', name: 'q' }, spec: {} }));
      await world.widget('a');
      await world.flush();
      expect(seen).toEqual([['p', 'q']]);
    }
  });

  it('`where` applies to updates; creations, deletions and deletion marks pass', async () => {
    const { runs, controller } = recording({ where: () => false });
    await using world = await openWorld([controller]);
    await world.widget('a', {}, { finalizers: ['example.com/x'] });
    await world.flush();
    expect(take(runs)).toEqual(['a']);
    await world.run(world.repo(Widget).patch({ namespace: 'prod', name: 'a' }, { spec: { size: 2 } }));
    await world.flush();
    expect(take(runs)).toEqual([]);
    await world.run(world.repo(Widget).delete({ namespace: 'prod', name: 'a' }));
    await world.flush();
    expect(take(runs)).toEqual(['a']);
  });

  it('generation and path predicates keep status writes of others from running a key', async () => {
    for (const where of [generationChanged(), pathChanged('spec.size')]) {
      const { runs, controller } = recording({ where });
      await using world = await openWorld([controller]);
      await world.widget('a');
      await world.flush();
      take(runs);
      await world.run(world.repo(Widget).patch({ namespace: 'prod', name: 'a' }, { status: { phase: 'x' } }, { subresource: 'status' }));
      await world.flush();
      expect(take(runs)).toEqual([]);
      await world.run(world.repo(Widget).patch({ namespace: 'prod', name: 'a' }, { spec: { size: 9 } }));
      await world.flush();
      expect(take(runs)).toEqual(['a']);
    }
  });

  it('a recreated object with the same generation passes', async () => {
    const { runs, controller } = recording({ where: generationChanged() });
    await using world = await openWorld([controller]);
    await world.widget('a');
    await world.flush();
    take(runs);
    await world.run(world.repo(Widget).delete({ namespace: 'prod', name: 'a' }));
    await world.widget('a');
    await world.flush();
    expect(take(runs)).toEqual(['a']);
  });

  it('a predicate that throws counts as true and is reported', async () => {
    const { runs, controller } = recording({
      where: () => {
        throw new Error('oops');
      },
    });
    await using world = await openWorld([controller]);
    await world.widget('a');
    await world.flush();
    take(runs);
    await world.run(world.repo(Widget).patch({ namespace: 'prod', name: 'a' }, { spec: { size: 2 } }));
    await world.flush();
    expect(take(runs)).toEqual(['a']);
    expect(world.logs('error')[0]?.message).toMatch(/predicate threw/);
  });

  it('namespace and labelSelector narrow what is reconciled', async () => {
    const { runs, controller } = recording({ namespace: 'prod', labelSelector: 'tier=web' });
    await using world = await openWorld([controller]);
    await world.widget('a', {}, { labels: { tier: 'web' } });
    await world.widget('b');
    await world.widget('c', {}, { namespace: 'dev', labels: { tier: 'web' } });
    await world.flush();
    expect(take(runs)).toEqual(['a']);
  });

  it('a resync runs every key again, at low priority', async () => {
    const { runs, controller } = recording({ resync: '1m', where: () => false });
    await using world = await openWorld([controller]);
    await world.widget('a');
    await world.flush();
    take(runs);
    await world.advance('5m');
    expect(runs.length).toBeGreaterThanOrEqual(4);
  });

  it('no reconcile before every source has synced and its handlers have been fed the initial list', async () => {
    let open: () => void = () => {};
    const slow: Source = { name: 'slow', start: () => new Promise((resolve) => void (open = resolve)) };
    const { runs, controller } = recording({ sources: [slow], owns: [Part] });
    await using world = await openWorld([controller], {
      start: false,
      before: async ({ widget }) => void (await widget('a'), await widget('b')),
    });
    const starting = world.manager.start();
    await world.advance('1m');
    expect(runs).toEqual([]);
    expect(world.manager.queue('widgets').len()).toBe(2);
    expect(world.manager.readyz().checks.find((check) => check.name === 'controller-widgets')?.message).toMatch(/source slow/);
    open();
    await world.run(starting);
    await world.flush();
    expect(take(runs)).toEqual(['a', 'b']);
  });

  it('a sync that takes too long fails and names the source, and everything is stopped again', async () => {
    const slow: Source = { name: 'slow', start: () => new Promise(() => {}) };
    const { runs, controller } = recording({ sources: [slow], cacheSyncTimeout: '30s' });
    await using world = await openWorld([controller], { start: false, before: async ({ widget }) => void (await widget('a')) });
    const starting = world.manager.start();
    starting.catch(() => {});
    await world.advance('31s');
    await expect(world.run(starting)).rejects.toMatchObject({
      name: 'TimeoutError',
      message: expect.stringMatching(/widgets.*source slow.*30000/),
    });
    expect(world.manager.state).toBe('stopped');
    expect(runs).toEqual([]);
  });

  it('a source that throws while starting fails the start', async () => {
    const { controller } = recording({ sources: [{ name: 'bad', start: () => Promise.reject(new InvalidError('no such topic')) }] });
    await using world = await openWorld([controller], { start: false });
    const starting = world.manager.start();
    starting.catch(() => {});
    await world.flush();
    await expect(world.run(starting)).rejects.toThrow(/no such topic/);
  });

  it('an iterable source is read, opened again when it fails, and closed at the stop', async () => {
    let opened = 0;
    let closed = 0;
    const source = createIterableSource('topic', async function* () {
      opened += 1;
      try {
        yield 'prod/a';
        if (opened === 1) throw new Error('connection lost');
        await new Promise<void>(() => {});
      } finally {
        closed += 1;
      }
    });
    const { runs, controller } = recording({ sources: [source] });
    const world = await openWorld([controller], { before: async ({ widget }) => void (await widget('a')) });
    await world.flush();
    await world.advance('2s');
    expect(opened).toBe(2);
    expect(runs.length).toBeGreaterThanOrEqual(2);
    await world.stop();
    expect(closed).toBe(1);
    await world.run(world.store.close());
  });
});

describe('owner rules', () => {
  const owner = { metadata: { namespace: 'prod', name: 'a', uid: 'u1' } };
  it('a second controller owner is refused', () => {
    const child = {
      metadata: { name: 'p', ownerReferences: [{ apiVersion: 'rune.dev/v1', kind: 'Widget', name: 'b', uid: 'u2', controller: true }] },
    };
    expect(() => withController({ owner, ownerDefinition: Widget, child, childDefinition: Part })).toThrow(
      /already controlled by Widget b/,
    );
  });
  it('a namespaced owner of a cluster-scoped object is refused', () => {
    expect(() => withController({ owner, ownerDefinition: Widget, child: { metadata: { name: 's' } }, childDefinition: Site })).toThrow(
      /cluster-scoped/,
    );
  });
  it('an owner in another namespace is refused', () => {
    expect(() =>
      withController({ owner, ownerDefinition: Widget, child: { metadata: { namespace: 'dev', name: 'p' } }, childDefinition: Part }),
    ).toThrow(/same namespace/);
  });
  it('a child without a namespace gets that of its owner, and keeps its other owners', () => {
    const other = { apiVersion: 'rune.dev/v1', kind: 'Site', name: 's', uid: 'u9' };
    expect(
      withController({
        owner,
        ownerDefinition: Widget,
        child: { metadata: { name: 'p', ownerReferences: [other] } },
        childDefinition: Part,
      }).metadata,
    ).toMatchObject({
      namespace: 'prod',
      ownerReferences: [other, { kind: 'Widget', uid: 'u1', controller: true, blockOwnerDeletion: true }],
    });
  });
  it('a cluster-scoped owner may own in every namespace', () => {
    expect(
      withController({
        owner: { metadata: { name: 's', uid: 'u3' } },
        ownerDefinition: Site,
        child: { metadata: { namespace: 'dev', name: 'p' } },
        childDefinition: Part,
      }).metadata,
    ).toMatchObject({ namespace: 'dev' });
  });
  it('ensure refuses a child that another controls, in the cache or not, and writes nothing', async () => {
    for (const declared of [true, false]) {
      const errors: unknown[] = [];
      await using world = await openWorld(
        [
          defineController({
            name: 'widgets',
            for: Widget,
            ...(declared ? { owns: [Part] } : {}),
            reconcile: async ({ ensure, object }) => {
              if (object.metadata.name === 'a') return;
              await ensure(Part, { metadata: { name: 'p' }, spec: { n: 5 } }).catch((error: unknown) => errors.push(error));
            },
          }),
        ],
        {
          before: async ({ widget, repo, run }) => {
            const a = await widget('a');
            await run(
              repo(Part).create({
                metadata: { namespace: 'prod', name: 'p', ownerReferences: [controllerReference(a, Widget)] },
                spec: { n: 1 },
              }),
            );
          },
        },
      );
      await world.widget('b');
      await world.flush();
      expect(errors).toMatchObject([{ code: 403, message: expect.stringMatching(/already controlled by Widget a/) }]);
      expect((await world.run(world.repo(Part).get({ namespace: 'prod', name: 'p' }))).spec.n).toBe(1);
    }
  });
});
