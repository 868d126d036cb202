/** testRig: store, manager and virtual time together; settling, crashes, faults, the record. */
import { describe, expect, it } from 'vitest';
import { defineController, type ControllerDefinition } from '../../src/controller/index.js';
import { isNotFound, Service } from '../../src/schemas/index.js';
import { sleep } from '../../src/store/index.js';
import { LivelockError, testRig } from '../../src/testing/index.js';
import { Part, Widget } from './types.js';

const a = { namespace: 'default', name: 'a' } as const;

const maker = defineController({
  name: 'maker',
  for: Widget,
  owns: [Part],
  async reconcile({ object, ensure, status, condition, event }) {
    for (let n = 0; n < object.spec.size; n += 1) await ensure(Part, { metadata: { name: `${object.metadata.name}-${n}` }, spec: { n } });
    status({ seen: object.spec.size });
    condition('Ready', true, { reason: 'Made' });
    event('Normal', 'Made', `made ${object.spec.size}`);
  },
});

describe('testRig', () => {
  it('runs controllers until nothing is left to do', async () => {
    await using rig = await testRig({ controllers: [maker] });
    await rig.repo(Widget).create({ metadata: a, spec: { size: 3 } });
    const report = await rig.settle();
    const widget = await rig.repo(Widget).get(a);
    expect([widget.status?.seen, widget.status?.conditions?.[0]?.status]).toEqual([3, 'True']);
    expect((await rig.repo(Part).list()).items.map(({ metadata }) => metadata.name)).toEqual(['a-0', 'a-1', 'a-2']);
    expect(report).toMatchObject({ elapsedMs: 0, waiting: [] });
    expect(report.runs).toBe(rig.runs('maker').length);
    expect(rig.runs('maker').every((run) => run.outcome === 'success')).toBe(true);
    expect(rig.runs('maker', a)[0]).toMatchObject({ key: 'default/a', attempt: 1, phase: 'reconcile' });
    expect((await rig.store.listEvents())[0]).toMatchObject({ reason: 'Made', note: 'made 3' });
    expect(await rig.settle()).toMatchObject({ runs: 0 });
  });

  it('has objects there before the controllers start, by kind, by definition, or as test data', async () => {
    await using rig = await testRig({
      controllers: [maker],
      objects: [{ kind: 'Widget', metadata: a, spec: { size: 1 } }, [Widget, { name: 'b' }]],
    });
    await rig.settle();
    expect((await rig.repo(Part).list()).items).toHaveLength(2);
    await using other = await testRig({ objects: { services: [{ name: 'web' }] } });
    expect((await other.store.getService('web')).spec.scale).toBe(1);
  });

  it('moves time for what was asked, not for a requeueAfter', async () => {
    const poller = defineController({
      name: 'poller',
      for: Widget,
      reconcile: ({ object, status }) => {
        status({ runs: (object.status?.runs ?? 0) + 1 });
        return { requeueAfter: '5s' };
      },
    });
    await using rig = await testRig({ controllers: [poller], objects: [[Widget, { name: 'a' }]] });
    const { waiting, elapsedMs } = await rig.settle();
    expect(elapsedMs).toBe(0);
    expect(waiting).toMatchObject([{ controller: 'poller', key: 'default/a', failures: 0 }]);
    expect(Math.round(waiting[0]?.dueInMs ?? 0)).toBe(5_000);
    await rig.advance('4s');
    expect(rig.runs('poller')).toHaveLength(1);
    await rig.advance('1s');
    expect(rig.runs('poller')).toHaveLength(2);
    await rig.advance('1m');
    expect((await rig.repo(Widget).get(a)).status?.runs).toBe(14);
    await rig.advanceTo('2026-01-01T01:00:00Z');
    expect(rig.runs('poller')).toHaveLength(720 + 1);
  });

  it('waits for a reconcile that takes its time, and for calls that are late', async () => {
    const slow = defineController({
      name: 'slow',
      for: Widget,
      async reconcile({ deps, status, signal }) {
        await sleep(deps, '20s', { signal });
        status({ phase: 'done' });
      },
    });
    await using rig = await testRig({ controllers: [slow], objects: [[Widget, { name: 'a' }]] });
    rig.store.delay('write', '2s', { times: 1 });
    const { elapsedMs } = await rig.settle();
    expect(elapsedMs).toBe(22_000);
    expect((await rig.repo(Widget).get(a)).status?.phase).toBe('done');
  });

  it('follows the first retries of what fails, and leaves the rest to advance', async () => {
    let healthy = false;
    const flaky = defineController({
      name: 'flaky',
      for: Widget,
      reconcile({ status }) {
        if (!healthy) throw new Error('not today');
        status({ phase: 'done' });
      },
    });
    await using rig = await testRig({ controllers: [flaky], objects: [[Widget, { name: 'a' }]] });
    const { waiting } = await rig.settle();
    expect(rig.runs('flaky')).toHaveLength(6);
    expect(waiting).toMatchObject([
      { controller: 'flaky', key: 'default/a', failures: 6, why: expect.stringContaining('not today') as string },
    ]);
    expect(rig.runs('flaky').at(-1)).toMatchObject({ outcome: 'error', error: 'not today', attempt: 6 });
    expect((await rig.settle({ retries: 8 })).runs).toBe(3);
    healthy = true;
    await rig.advance('10m');
    expect((await rig.repo(Widget).get(a)).status?.phase).toBe('done');
  });

  it('survives a fault that passes, and strikes controllers alone', async () => {
    await using rig = await testRig({ controllers: [maker] });
    const fault = rig.store.failNext('create', new Error('disk on fire'), { where: { type: Part } });
    await rig.repo(Part).create({ metadata: { namespace: 'default', name: 'mine' } });
    expect(fault.hits).toBe(0);
    await rig.repo(Widget).create({ metadata: a });
    await rig.settle();
    expect(fault.hits).toBe(1);
    expect(rig.runs('maker', a).map((run) => run.outcome)).toEqual(['error', 'success', 'success'].slice(0, rig.runs('maker', a).length));
    expect((await rig.repo(Part).get({ namespace: 'default', name: 'a-0' })).spec.n).toBe(0);
  });

  it.each(['cut', 'expire'] as const)('misses nothing when watches %s', async (how) => {
    await using rig = await testRig({ controllers: [maker], objects: [[Widget, { name: 'a' }]] });
    await rig.settle();
    expect(how === 'cut' ? rig.store.cutWatches() : rig.store.expireWatches()).toBeGreaterThan(0);
    await rig.repo(Widget).mutate(a, (widget) => {
      widget.spec.size = 2;
    });
    await rig.settle();
    expect((await rig.repo(Part).list()).items).toHaveLength(2);
  });

  it('says which key goes on for ever, and which field keeps it going', async () => {
    const restless = defineController({
      name: 'restless',
      for: Widget,
      async reconcile({ object, repo }) {
        await repo(Widget).updateStatus({ ...object, status: { ...object.status, runs: (object.status?.runs ?? 0) + 1 } });
      },
    });
    await using rig = await testRig({ controllers: [restless], objects: [[Widget, { name: 'a' }]] });
    const error = await rig.settle().then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(LivelockError);
    expect(error).toMatchObject({ controller: 'restless', key: 'default/a' });
    expect((error as Error).message).toMatch(/keep changing status\.runs/);
  });

  it('says which two controllers undo each other’s work', async () => {
    const paint = (name: string, note: string): ControllerDefinition =>
      defineController({
        name,
        for: Widget,
        async reconcile({ object, repo }) {
          if (object.spec.note !== note) await repo(Widget).patch(object, { spec: { note } });
        },
      }) as ControllerDefinition;
    await using rig = await testRig({ controllers: [paint('red', 'red'), paint('blue', 'blue')], objects: [[Widget, { name: 'a' }]] });
    await expect(rig.settle({ maxRuns: 100 })).rejects.toThrow(
      /livelock: controller (red|blue) has run default\/a 101 times.*updated widget default\/a.*spec\.note.*beside it ran (red|blue) default\/a/,
    );
  });

  it('takes a controller that makes its children one in each run for what it is, and not for a livelock', async () => {
    const stepwise = (most: number): ControllerDefinition =>
      defineController({
        name: 'stepwise',
        for: Widget,
        owns: [Part],
        async reconcile({ children, ensure }) {
          const count = children(Part).length;
          if (count < most) await ensure(Part, { metadata: { name: `p${count}` } });
        },
      }) as ControllerDefinition;
    await using rig = await testRig({ controllers: [stepwise(15)], objects: [[Widget, { name: 'a' }]] });
    const { elapsedMs } = await rig.settle();
    expect((await rig.repo(Part).list()).items).toHaveLength(15);
    // The runtime slows it from the eleventh on: by one second, then by two, and so on.
    expect(elapsedMs).toBeGreaterThan(1_000);
    await using endless = await testRig({ controllers: [stepwise(1_000)], objects: [[Widget, { name: 'a' }]] });
    await expect(endless.settle({ within: '10m' })).rejects.toThrow(
      /livelock: controller stepwise keeps running default\/a by its own writes, which keep creating part default\/p\d+; it was slowed \d+ times within 600000 ms/,
    );
  });

  it('tells which field of which child keeps a key going', async () => {
    const fidgety = defineController({
      name: 'fidgety',
      for: Widget,
      owns: [Part],
      async reconcile({ children, ensure, object, repo }) {
        await ensure(Part, { metadata: { name: object.metadata.name }, spec: { n: 0 } });
        for (const { metadata, spec } of children(Part)) await repo(Part).patch(metadata, { spec: { n: (spec.n ?? 0) + 1 } });
      },
    });
    await using rig = await testRig({ controllers: [fidgety], objects: [[Widget, { name: 'a' }]] });
    await expect(rig.settle()).rejects.toThrow(/which keep changing spec\.n of part default\/a; it was slowed/);
  });

  it('counts the runs of one moment in advance, and not all of them', async () => {
    const ticking = defineController({ name: 'ticking', for: Widget, reconcile: () => ({ requeueAfter: '1ms' }) });
    await using rig = await testRig({ controllers: [ticking], objects: [[Widget, { name: 'a' }]] });
    await rig.advance('1100ms');
    expect(rig.runs('ticking').length).toBeGreaterThan(1_000);
    const paint = (name: string, note: string): ControllerDefinition =>
      defineController({
        name,
        for: Widget,
        async reconcile({ object, repo }) {
          if (object.spec.note !== note) await repo(Widget).patch(object, { spec: { note } });
        },
      }) as ControllerDefinition;
    await using painters = await testRig({ controllers: [paint('red', 'red'), paint('blue', 'blue')], objects: [[Widget, { name: 'a' }]] });
    await expect(painters.advance('1s')).rejects.toThrow(/livelock: controller (red|blue) has run default\/a 1001 times/);
  });

  it('replays the same run from the same seed, and others from others', async () => {
    const run = async (seed: number): Promise<string> => {
      await using rig = await testRig({
        controllers: [maker],
        seed,
        objects: Array.from({ length: 5 }, (_, n) => [Widget, { name: `w${n}`, spec: { size: 2 } }] as const),
      });
      await rig.settle();
      return rig.story(undefined, 1_000);
    };
    expect(await run(5)).toBe(await run(5));
    expect(await run(5)).not.toBe(await run(6));
  });

  it('tells what happened at one moment in the order it happened', async () => {
    const looking = defineController({
      name: 'looking',
      for: Widget,
      async reconcile({ object, repo }) {
        if (object.spec.size < 4) await repo(Widget).patch(object, { spec: { size: object.spec.size + 1 } });
      },
    });
    const idle = defineController({ name: 'idle', for: Widget, reconcile() {} });
    await using rig = await testRig({ controllers: [looking, idle], objects: [[Widget, { name: 'a' }]] });
    await rig.settle();
    const lines = rig.timeline({ type: 'widget', ...a }).map(({ text }) => text);
    // A run that wrote is told after what it wrote, and before what came next; one that wrote nothing after what caused it.
    const places = lines.map((line) =>
      Number(/^rev (\d)/.exec(line)?.[1] ?? Number(/ at (\d)/.exec(line)?.[1]) + (line.includes('1 write') ? 1.5 : 0.5)),
    );
    expect(places).toHaveLength(lines.length);
    expect(places).toEqual([...places].sort((one, other) => one - other));
    expect(places.slice(-1)[0]).toBe(4.5);
  });

  it('says so when it is asked for the runs of a controller it does not have', async () => {
    await using rig = await testRig({ controllers: [maker] });
    expect(() => rig.runs('makr')).toThrow(/no controller makr: it has maker/);
    expect(rig.runs('maker')).toEqual([]);
  });

  it('says that a reconcile that never ends may wait for something real', async () => {
    const stuck = defineController({ name: 'stuck', for: Widget, reconcile: () => new Promise<void>(() => {}), timeout: false });
    await using rig = await testRig({ controllers: [stuck], objects: [[Widget, { name: 'a' }]] });
    await expect(rig.settle()).rejects.toThrow(/stuck has default\/a in hand.*something real, as setTimeout.*sleep\(deps, \.\.\.\)/);
  });

  it('tells the story of a key', async () => {
    await using rig = await testRig({
      controllers: [maker],
      objects: [
        [Widget, { name: 'a' }],
        [Widget, { name: 'b' }],
      ],
    });
    await rig.settle();
    const story = rig.story({ type: 'widget', ...a });
    expect(story).toMatch(/rev \d CREATED widget default\/a/);
    expect(story).toContain('CREATED part default/a-0 by controller/maker');
    expect(story).toMatch(/maker reconcile default\/a: success, 2 writes <- existing widget default\/a at \d/);
    expect(story).toMatch(/Normal Made.*: made 1/);
    expect(story).not.toContain('default/b');
    expect(rig.explain('maker', a).lines[0]).toContain('idle');
  });

  it('closes without leaving anything, and says what a controller left', async () => {
    const rig = await testRig({ controllers: [maker], objects: [[Widget, { name: 'a' }]] });
    await rig.settle();
    await rig.expectNoLeaks();
    const careless = defineController({
      name: 'careless',
      for: Widget,
      reconcile({ deps, store }) {
        deps.scheduler.after(3_600_000, () => {});
        store
          .watch(Service)
          .next()
          .catch(() => {});
      },
    });
    const leaking = await testRig({ controllers: [careless], objects: [[Widget, { name: 'a' }]] });
    await leaking.settle();
    await expect(leaking.expectNoLeaks()).rejects.toThrow(
      /1 timer that a controller set; 1 watch that was not closed|1 timer that a controller set/,
    );
    await expect(leaking.settle()).rejects.toThrow(/closed/);
  });

  it('reports what the manager’s start fails with', async () => {
    await expect(testRig({ controllers: [maker, maker] })).rejects.toThrow(/two controllers are called maker/);
    await using rig = await testRig({ controllers: [maker], start: false });
    expect(() => rig.manager).toThrow(/start: false/);
    await rig.start();
    expect(rig.manager.state).toBe('running');
  });
});

describe('a crash', () => {
  it('loses what was in memory and not what was durable', async () => {
    const starts: number[] = [];
    const controllers = (): readonly ControllerDefinition[] => {
      let remembered = 0;
      return [
        defineController({
          name: 'memory',
          for: Widget,
          reconcile({ status }) {
            starts.push((remembered += 1));
            status({ seen: remembered });
          },
        }) as ControllerDefinition,
      ];
    };
    await using rig = await testRig({ controllers, objects: [[Widget, { name: 'a' }]] });
    await rig.settle();
    const before = await rig.repo(Widget).get(a);
    await rig.crash({ downtime: '1m' });
    await rig.settle();
    expect(starts).toEqual([1, 1]);
    expect(await rig.repo(Widget).get(a)).toEqual(before);
    expect(rig.deps.clock.now() - Date.parse('2026-01-01T00:00:00Z')).toBe(60_000);
  });

  it('stops everything at that very point: nothing of the old life reaches the new one', async () => {
    let after = 0;
    const halfway = defineController({
      name: 'halfway',
      for: Widget,
      async reconcile({ object, repo, status }) {
        await repo(Part).ensure({ metadata: { namespace: 'default', name: object.metadata.name } });
        after += 1;
        status({ phase: 'done' });
      },
    });
    await using rig = await testRig({ controllers: [halfway] });
    const stop = rig.onCommit(({ events }) => {
      if (events.some((event) => event.resourceType === 'part')) {
        stop();
        rig.kill();
      }
    });
    await rig.repo(Widget).create({ metadata: a });
    await rig.settle();
    expect(rig.runs('halfway').map((run) => run.outcome)).toEqual(['crashed', 'success']);
    expect(after).toBe(1);
    expect((await rig.repo(Widget).get(a)).status?.phase).toBe('done');
    expect(rig.events({ type: Part })).toHaveLength(1);
    await rig.expectNoLeaks();
  });

  it('in the middle of a write leaves the storage to the next life, however long that takes to begin', async () => {
    let killed = false;
    const halfway = defineController({
      name: 'halfway',
      for: Widget,
      async reconcile({ object, repo }) {
        const writing = repo(Part).ensure({ metadata: { namespace: 'default', name: object.metadata.name } });
        if (!killed) {
          killed = true;
          // Far enough for the commit to be on its way, and not further.
          for (let turn = 0; turn < 100; turn += 1) await Promise.resolve();
          rig.kill({ restart: false });
        }
        await writing;
      },
    });
    await using rig = await testRig({ controllers: [halfway], objects: [[Widget, { name: 'a' }]] });
    await rig.deps.advance('1m');
    expect(rig.runs('halfway').map((run) => run.outcome)).toEqual(['crashed']);
    rig.revive();
    await rig.settle();
    expect(rig.runs('halfway').at(-1)?.outcome).toBe('success');
    expect(rig.events({ type: Part })).toHaveLength(1);
  });

  it('does not cut off what the test itself does', async () => {
    await using rig = await testRig({ controllers: [maker] });
    let kills = 0;
    rig.onCommit(() => {
      if (kills < 6) {
        kills += 1;
        rig.kill();
      }
    });
    const created = await rig.repo(Widget).create({ metadata: a, spec: { size: 2 } });
    const next = await rig.repo(Widget).update({ ...created, spec: { size: 3 } });
    expect(next.spec.size).toBe(3);
    const both = await rig.store.transaction(async (tx) => [
      await tx.create(Part, 'default', 'x', {}),
      await tx.create(Part, 'default', 'y', {}),
    ]);
    expect(both.map(({ metadata }) => metadata.name)).toEqual(['x', 'y']);
    await rig.repo(Part).delete({ namespace: 'default', name: 'x' });
    await expect(rig.repo(Part).get({ namespace: 'default', name: 'x' })).rejects.toSatisfy(isNotFound);
    const generated = await rig.store.createService({ metadata: { generateName: 'web-' } });
    expect(generated.metadata.name).toMatch(/^web-/);
    await rig.settle();
    expect(kills).toBe(6);
    expect(await rig.store.listServices()).toHaveLength(1);
    expect((await rig.repo(Widget).get(a)).status?.seen).toBe(3);
  });

  it('is waited for by settle, until the process is up again', async () => {
    const controllers = (): readonly ControllerDefinition[] => [
      defineController({
        name: 'sees',
        for: Widget,
        reconcile: ({ object, status }) => status({ seen: object.spec.size }),
      }) as ControllerDefinition,
    ];
    await using rig = await testRig({ controllers, objects: [[Widget, { name: 'a' }]] });
    await rig.settle();
    rig.kill({ downtime: '30s' });
    expect(rig.state).toBe('down');
    expect(rig.busy).toContain('its process is down');
    expect(() => rig.manager).toThrow(/no manager: its process is down/);
    await rig.repo(Widget).patch(a, { spec: { size: 7 } });
    expect((await rig.settle()).elapsedMs).toBe(30_000);
    expect((await rig.repo(Widget).get(a)).status?.seen).toBe(7);
    rig.kill({ restart: false });
    rig.deps.scheduler.after(10_000, () => rig.revive());
    expect((await rig.settle()).elapsedMs).toBe(10_000);
    expect(rig.manager.state).toBe('running');
    rig.kill({ restart: false });
    expect((await rig.settle()).elapsedMs).toBe(0);
    expect(rig.state).toBe('down');
    rig.kill();
    expect(() => rig.manager).toThrow(/it is starting/);
    await rig.settle();
    await rig.expectNoLeaks();
    expect(rig.state).toBe('closed');
  });

  it('differs from a restart, which lets runs end', async () => {
    const slow = defineController({
      name: 'slow',
      for: Widget,
      async reconcile({ deps, status }) {
        await sleep(deps, '10s');
        status({ phase: 'done' });
      },
    });
    await using rig = await testRig({ controllers: [slow], objects: [[Widget, { name: 'a' }]] });
    await rig.advance('1s');
    await rig.restart();
    expect(rig.runs('slow').map((run) => run.outcome)).toEqual(['success']);
    expect((await rig.repo(Widget).get(a)).status?.phase).toBe('done');
  });

  it('hands the lease over', async () => {
    await using rig = await testRig({
      controllers: [maker],
      manager: { leaderElection: { name: 'lead' } },
      objects: [[Widget, { name: 'a' }]],
    });
    await rig.settle();
    expect(rig.runs('maker').length).toBeGreaterThan(0);
    await rig.crash();
    await rig.repo(Widget).mutate(a, (widget) => {
      widget.spec.size = 2;
    });
    const { elapsedMs } = await rig.settle();
    expect(elapsedMs).toBeGreaterThan(10_000);
    expect((await rig.repo(Part).list()).items).toHaveLength(2);
  });
});
