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
