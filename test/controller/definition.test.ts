import { describe, expect, it } from 'vitest';
import { controllerDefaults, defineController, isTerminal, TerminalError } from '../../src/controller/index.js';
import { Part, Site, Widget } from './world.js';

describe('defineController', () => {
  it('gives frozen data with the defaults filled in', () => {
    const controller = defineController({ name: 'widgets', for: Widget, owns: [Part], reconcile() {} });
    expect(Object.isFrozen(controller)).toBe(true);
    expect(controller).toMatchObject({
      name: 'widgets',
      finalizer: 'widgets.rune.dev/finalizer',
      concurrency: controllerDefaults.concurrency,
      timeout: controllerDefaults.timeout,
      cacheSyncTimeout: controllerDefaults.cacheSyncTimeout,
      echo: 'own-status',
      transactional: false,
      prune: [],
    });
    expect(controller.owns[0]?.resource).toBe(Part);
  });

  it('names every wrong option at once', () => {
    const define = () =>
      defineController({
        name: 'Not A Name',
        for: Widget,
        concurrency: 0,
        timeout: 'soon' as '1s',
        maxRetries: -1,
        echo: 'loud' as 'all',
        finalizer: 'nothing',
        owns: ['part' as unknown as typeof Part],
        prune: [Site],
        watches: [{ resource: Site, map: 'x' as unknown as () => undefined }],
        reconcile: undefined as unknown as () => void,
        unknownOption: 1,
      } as Parameters<typeof defineController>[0]);
    expect(define).toThrow(/unknownOption/);
    for (const field of [
      'name',
      'concurrency',
      'timeout',
      'maxRetries',
      'echo',
      'finalizer',
      'owns[0]',
      'prune',
      'watches[0].map',
      'reconcile',
    ]) {
      try {
        define();
      } catch (error) {
        expect((error as { causes: { field: string }[] }).causes.map((cause) => cause.field)).toContain(field);
      }
    }
  });

  it('refuses what could not start: bad jitter, bucket, delays, selectors, namespaces, flags', () => {
    const fieldsOf = (input: object): string[] => {
      try {
        defineController({ name: 'widgets', for: Widget, reconcile() {}, ...input });
      } catch (error) {
        return (error as { causes: { field: string }[] }).causes.map((cause) => cause.field);
      }
      return [];
    };
    const map = () => undefined;
    const cases: [object, string[]][] = [
      [{ rateLimiter: { jitter: 9 } }, ['rateLimiter.jitter']],
      [{ rateLimiter: { jitter: '0.1' } }, ['rateLimiter.jitter']],
      [{ rateLimiter: { bucket: { qps: -1, burst: 0 } } }, ['rateLimiter.bucket.qps', 'rateLimiter.bucket.burst']],
      [{ rateLimiter: { bucket: 5 } }, ['rateLimiter.bucket.qps', 'rateLimiter.bucket.burst']],
      [{ rateLimiter: { baseDelay: false, maxDelay: 'x' } }, ['rateLimiter.baseDelay', 'rateLimiter.maxDelay']],
      [{ rateLimiter: { basedelay: '1s' } }, ['rateLimiter.basedelay']],
      [{ rateLimiter: 'slow' }, ['rateLimiter']],
      [{ labelSelector: '!!(' }, ['labelSelector']],
      [{ labelSelector: { matchLabels: { 'not a key': 'x' } } }, ['labelSelector']],
      [{ namespace: 5 }, ['namespace']],
      [{ namespace: 'Not A Namespace' }, ['namespace']],
      [{ watches: [{ resource: Part, map, labelSelector: '((', namespace: '-' }] }, ['watches[0].namespace', 'watches[0].labelSelector']],
      [{ watches: [{ resource: Site, map, namespace: 'prod' }] }, ['watches[0].namespace']],
      [{ transactional: 'yes', owns: [{ resource: Part, everyOwner: 1 }] }, ['owns[0].everyOwner', 'transactional']],
      [
        {
          rateLimiter: { baseDelay: 5, maxDelay: '1m', jitter: 0, bucket: { qps: 0.5, burst: 1 } },
          labelSelector: { app: 'web' },
          namespace: 'prod',
          watches: [{ resource: Part, map, labelSelector: 'a in (b)', namespace: '*' }],
        },
        [],
      ],
    ];
    for (const [input, fields] of cases) expect([input, fieldsOf(input)]).toEqual([input, fields]);
  });

  it('types the object of for, watches and the context by their definitions', () => {
    const typed = defineController({
      name: 'typed',
      for: Widget,
      watches: [
        { resource: Site, map: (site) => (site.spec.n === 1 ? { namespace: 'prod', name: site.metadata.name } : undefined) },
        { resource: Part, map: (part) => `prod/${part.spec.n ?? 0}` },
      ],
      reconcile({ object, status, condition }) {
        const size: number = object.spec.size;
        status({ seen: size });
        // @ts-expect-error no such status field
        status({ nothing: 1 });
        condition('Ready', true);
        // @ts-expect-error no such condition
        condition('Redy', true);
        // @ts-expect-error shared objects are read-only
        if (size < 0) object.spec.size = 2;
      },
    });
    expect(typed.watches.map((watch) => watch.resource)).toEqual([Site, Part]);
  });

  it('tells terminal errors by name', () => {
    expect(isTerminal(new TerminalError('x'))).toBe(true);
    expect(isTerminal(new Error('x'))).toBe(false);
  });
});
