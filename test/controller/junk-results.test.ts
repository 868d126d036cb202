/** What a reconciler returns and throws is its own affair: whatever it is, the run is accounted for and the key goes on. */
import { describe, expect, it } from 'vitest';
import { Secret } from '../../src/schemas/index.js';
import { decide, defineController, type ControllerInput } from '../../src/controller/index.js';
import { openWorld, Widget, type World } from './world.js';

const throwing = (property: string): object =>
  Object.defineProperty({}, property, {
    enumerable: true,
    get() {
      throw new Error(`${property} cannot be looked at`);
    },
  });
const junk: readonly (readonly [string, unknown])[] = [
  ['a priority that is not a number', { requeueAfter: 1000, priority: Number.NaN }],
  ['an infinite priority', { requeueAfter: 1000, priority: Infinity }],
  ['a priority that is a text', { requeueAfter: 1000, priority: '3' }],
  ['a list', []],
  ['a map', new Map()],
  ['a date', new Date(0)],
  ['an error', new Error('returned')],
  ['an infinite delay', { requeueAfter: Infinity }],
  ['a delay that is null', { requeueAfter: null }],
  ['a field nobody knows', { requeueAfter: 1, after: 2 }],
  ['a boolean', false],
  ['a getter that throws', throwing('requeueAfter')],
  [
    'a proxy that throws',
    new Proxy(
      {},
      {
        ownKeys() {
          throw new Error('no keys');
        },
      },
    ),
  ],
];

const open = (reconcile: () => unknown): Promise<World> =>
  openWorld([
    defineController({
      name: 'widgets',
      for: Widget,
      rateLimiter: { baseDelay: '1m', jitter: 0 },
      reconcile: reconcile as ControllerInput<typeof Widget>['reconcile'],
    }),
  ]);

async function expectFailure(world: World): Promise<void> {
  await world.widget('a');
  await world.flush();
  const told = world.manager.explain('widgets', 'prod/a');
  expect(told).toMatchObject({ state: 'delayed', failures: 1, nextRunInMs: 60_000 });
  expect(told.runs.map((run) => run.outcome)).toEqual(['error']);
  expect(world.metric('controller_runtime_reconcile_errors_total')).toBe(1);
  expect(world.metric('controller_runtime_reconcile_total', 'result="error"')).toBe(1);
  expect(world.metric('controller_runtime_active_workers')).toBe(0);
  expect(world.logs('error').map((line) => line.message)).toEqual(['reconcile failed; it is tried again']);
  expect((await world.stop()).unsettled).toEqual([]);
}

describe('a result that means nothing', () => {
  it.each(junk)('is an error of the run like any other: %s', async (_, result) => {
    await expectFailure(await open(() => result));
    await expectFailure(await open(async () => result));
  });

  it('is one also when it throws as soon as it is looked at', async () => {
    await expectFailure(await open(() => throwing('then')));
    const promise = (): Promise<void> =>
      Object.defineProperty(Promise.resolve(), 'constructor', {
        get() {
          throw new Error('no constructor');
        },
      });
    await expectFailure(await open(promise));
  });

  it('keeps the finalizer, since nobody knows whether the cleanup is done', async () => {
    await using world = await openWorld([
      defineController({ name: 'widgets', for: Widget, reconcile() {}, finalize: (() => []) as unknown as () => void }),
    ]);
    await world.widget('a');
    await world.flush();
    await world.run(world.repo(Widget).delete({ namespace: 'prod', name: 'a' }));
    await world.flush();
    expect((await world.get('a')).metadata.finalizers).toEqual(['widgets.rune.dev/finalizer']);
  });

  it('is not a plain object of another realm, or one without a prototype', () => {
    const past = { conflicts: 0, failures: 0, maxRetries: undefined };
    const bare = Object.assign(Object.create(null) as object, { requeueAfter: '1s', priority: 1.5 });
    expect(decide({ ended: 'returned', result: bare }, past)).toMatchObject({ kind: 'requeueAfter', delayMs: 1000, priority: 1.5 });
  });
});

describe('an object that is thrown', () => {
  it('is told by its class and message alone, in the log and in explain: it may hold the plain text of a secret', async () => {
    const text = 'hunter2-is-the-word';
    class Refusal {
      readonly message = 'the database said no';
      readonly data: unknown;
      constructor(data: unknown) {
        this.data = data;
      }
    }
    await using world = await openWorld([
      defineController({
        name: 'secrets',
        for: Secret,
        async reconcile({ repo, attempt }) {
          const { data } = await repo(Secret).get({ namespace: 'prod', name: 'db' });
          throw attempt === 1 ? { why: 'raw', data } : attempt === 2 ? new Refusal(data) : Object.assign(() => data, { data });
        },
      }),
    ]);
    await world.run(world.repo(Secret).create({ metadata: { namespace: 'prod', name: 'db' }, data: { password: text } }));
    await world.advance('1s');
    const told = world.manager.explain('secrets', 'prod/db');
    expect(told.runs.length).toBeGreaterThan(2);
    const errors = world.logs().map((line) => line.fields['err'] as Error | undefined);
    const printed = [
      ...errors.flatMap((error) => [error?.message, error?.stack, JSON.stringify(error?.cause)]),
      JSON.stringify(told),
    ].join();
    expect(printed).toContain('an object of class Refusal (the database said no)');
    expect(printed).toContain('threw a function');
    expect(printed).not.toContain(text);
  });
});
