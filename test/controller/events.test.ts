import { describe, expect, it } from 'vitest';
import { Event } from '../../src/schemas/index.js';
import { defineController } from '../../src/controller/index.js';
import { Correlator, eventDefaults } from '../../src/controller/events/index.js';
import { deferred } from '../../src/store/index.js';
import { openWorld, Site, Widget, type World } from './world.js';

const facts = (note: string, over: Partial<Parameters<Correlator['take']>[0]> = {}) => ({
  controller: 'c',
  object: 'widget/prod/a/u1',
  type: 'Normal' as const,
  reason: 'Scaled',
  note,
  ...over,
});
const events = async (world: World) => (await world.run(world.repo(Event).list())).items;

describe('which events are told', () => {
  it('the same again is counted', () => {
    const correlator = new Correlator();
    const first = correlator.take(facts('up to 3'), 1000);
    const second = correlator.take(facts('up to 3'), 2000);
    expect(first).toMatchObject({ count: 1, first: 1000, last: 1000, combined: false });
    expect(second).toMatchObject({ id: first?.id, count: 2, first: 1000, last: 2000 });
    expect(correlator.take(facts('up to 3', { reason: 'Other' }), 2000)?.id).not.toBe(first?.id);
  });

  it('more than ten different notes with one reason within ten minutes become one event', () => {
    const correlator = new Correlator();
    const told = Array.from({ length: 15 }, (_, i) => correlator.take(facts(`note ${i}`), i));
    expect(told.map((each) => each?.combined)).toEqual([
      ...Array.from({ length: 10 }, () => false),
      ...Array.from({ length: 5 }, () => true),
    ]);
    expect(new Set(told.slice(10).map((each) => each?.id)).size).toBe(1);
    expect(told[14]).toMatchObject({ count: 5, note: '(combined from similar events): note 14' });
    // After ten quiet minutes they are told apart again.
    expect(correlator.take(facts('another'), 600_000 + 400_000)).toMatchObject({ combined: false, count: 1 });
  });

  it('a flood about one object is dropped: 25 at once, then one each five minutes; other objects are not touched', () => {
    const correlator = new Correlator();
    const told = Array.from({ length: 40 }, () => correlator.take(facts('same'), 0));
    expect(told.filter((each) => each !== undefined)).toHaveLength(25);
    expect(correlator.take(facts('x', { object: 'widget/prod/b/u2' }), 0)).toBeDefined();
    expect(correlator.take(facts('same'), 299_999)).toBeUndefined();
    expect(correlator.take(facts('same'), 300_001)).toBeDefined();
    expect(correlator.take(facts('same'), 300_002)).toBeUndefined();
  });

  it('a wall clock that goes back drops nothing that it would have told', () => {
    const correlator = new Correlator();
    correlator.take(facts('one'), 10_000_000);
    expect(correlator.take(facts('one'), 0)).toMatchObject({ count: 2 });
  });

  it('memory is bounded', () => {
    const correlator = new Correlator();
    for (let i = 0; i < 10_000; i += 1) correlator.take(facts('n', { object: `o${i}` }), i);
    expect(correlator.size).toEqual({ similar: 4096, known: 4096, buckets: 4096 });
  });
});

describe('event()', () => {
  const controller = (note: () => string) =>
    defineController({ name: 'widgets', for: Widget, reconcile: ({ event }) => event('Warning', 'Odd', note()) });

  it('is written once and counted, with what it is about and who told it', async () => {
    await using world = await openWorld([controller(() => 'it is odd')]);
    const a = await world.widget('a');
    await world.advance('1s');
    for (let i = 0; i < 4; i += 1) {
      world.manager.enqueue('widgets', 'prod/a');
      await world.advance('1m');
    }
    expect(await events(world)).toMatchObject([
      {
        metadata: { namespace: 'prod', name: expect.stringMatching(/^a\.[a-z0-9]{10}$/) },
        regarding: { apiVersion: 'rune.dev/v1', kind: 'Widget', type: 'widget', namespace: 'prod', name: 'a', uid: a.metadata.uid },
        type: 'Warning',
        reason: 'Odd',
        note: 'it is odd',
        reportingController: 'widgets',
        count: 5,
        firstTimestamp: '2026-01-01T00:00:00.000Z',
        lastTimestamp: '2026-01-01T00:03:01.000Z',
      },
    ]);
  });

  it('ends: what has not happened for an hour is deleted, and told anew when it happens again', async () => {
    await using world = await openWorld([controller(() => 'it is odd')]);
    await world.widget('a');
    await world.advance('1s');
    await world.advance('50m');
    expect(await events(world)).toHaveLength(1);
    await world.advance('20m');
    expect(await events(world)).toEqual([]);
    world.manager.enqueue('widgets', 'prod/a');
    await world.advance('1s');
    expect(await events(world)).toMatchObject([{ count: 2, firstTimestamp: '2026-01-01T00:00:00.000Z' }]);
  });

  it('a note that is too long is cut, and one about a cluster-scoped object goes to `default`', async () => {
    await using world = await openWorld([
      defineController({ name: 'sites', for: Site, reconcile: ({ event }) => event('Normal', 'Long', 'x'.repeat(5000)) }),
    ]);
    await world.run(world.repo(Site).create({ metadata: { name: 's' } }));
    await world.advance('1s');
    const [told] = await events(world);
    expect(told?.metadata.namespace).toBe('default');
    expect(told?.note).toHaveLength(eventDefaults.noteLength);
  });

  it('never makes a reconciler wait or fail, and what cannot be written is dropped', async () => {
    let runs = 0;
    await using world = await openWorld([
      defineController({
        name: 'widgets',
        for: Widget,
        reconcile({ event }) {
          runs += 1;
          event('Normal', '', 'an event without a reason is not valid');
        },
      }),
    ]);
    await world.widget('a');
    await world.advance('5m');
    expect(runs).toBe(1);
    expect(await events(world)).toEqual([]);
    expect(world.logs('warn').some((line) => line.message.includes('event could not be written'))).toBe(true);
    expect(world.logs('error')).toEqual([]);
  });

  it('from inside a transaction is written after it, and not when it was undone unless it is a warning', async () => {
    let fail = true;
    await using world = await openWorld([
      defineController({
        name: 'widgets',
        for: Widget,
        transactional: true,
        rateLimiter: { baseDelay: '1m', jitter: 0 },
        reconcile({ event }) {
          event('Normal', 'Done', 'did it');
          event('Warning', 'Trouble', 'saw trouble');
          if (fail) throw new Error('undone');
        },
      }),
    ]);
    await world.widget('a');
    await world.advance('1s');
    expect((await events(world)).map((each) => each.reason)).toEqual(['Trouble']);
    fail = false;
    await world.advance('1m');
    expect((await events(world)).map((each) => [each.reason, each.count]).sort()).toEqual([
      ['Done', 1],
      ['Trouble', 2],
    ]);
  });

  it('of a run that is past its timeout, of a removed controller, or after the end is dropped', async () => {
    for (const how of ['timeout', 'remove', 'end'] as const) {
      const gate = deferred();
      let runs = 0;
      await using world = await openWorld(
        [
          defineController({
            name: 'widgets',
            for: Widget,
            timeout: how === 'timeout' ? '1s' : false,
            async reconcile({ event }) {
              if (runs++ > 0) return;
              event('Normal', 'Early', 'in time');
              const late = gate.promise.then(() => event('Normal', 'Late', 'too late'));
              if (how !== 'end') await late;
            },
          }),
        ],
        { gracePeriod: '1s' },
      );
      await world.widget('a');
      await world.flush();
      const removing = how === 'remove' ? world.manager.remove('widgets') : undefined;
      await world.advance('5s');
      gate.resolve();
      await world.advance('1m');
      await removing;
      expect([how, (await events(world)).map((each) => each.reason)]).toEqual([how, ['Early']]);
      expect(world.logs('debug').some((line) => line.message.startsWith('an event was dropped'))).toBe(true);
    }
  });

  it('what waits is written at the stop', async () => {
    const world = await openWorld([controller(() => 'last words')]);
    await world.widget('a');
    await world.stop();
    expect(await events(world)).toHaveLength(1);
    await world.run(world.store.close());
  });
});
