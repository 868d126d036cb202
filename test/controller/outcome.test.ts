import { describe, expect, it } from 'vitest';
import { ConflictError, NotFoundError } from '../../src/schemas/index.js';
import { controllerDefaults, decide, TerminalError, type RunPast } from '../../src/controller/index.js';

const CONFLICTS_AT_ONCE = controllerDefaults.conflictsAtOnce;
const fresh: RunPast = { conflicts: 0, failures: 0, maxRetries: undefined };

describe('the outcome table', () => {
  it('success forgets and waits for a change', () => {
    for (const result of [undefined, null, {}, { requeueAfter: undefined }, { requeueAfter: 0 }]) {
      expect(decide({ ended: 'returned', result }, fresh)).toMatchObject({
        kind: 'success',
        result: 'success',
        forget: true,
        next: 'change',
      });
    }
  });

  it('requeueAfter forgets and adds later', () => {
    expect(decide({ ended: 'returned', result: { requeueAfter: '5s', priority: 7 } }, fresh)).toMatchObject({
      kind: 'requeueAfter',
      result: 'requeue_after',
      forget: true,
      next: 'after',
      delayMs: 5000,
      priority: 7,
    });
  });

  it('an error backs off and keeps the failures', () => {
    const error = new Error('boom');
    expect(decide({ ended: 'threw', error }, fresh)).toMatchObject({
      kind: 'error',
      result: 'error',
      forget: false,
      next: 'backoff',
      error,
      level: 'error',
    });
  });

  it('a terminal error is counted as an error and waits for a change', () => {
    expect(decide({ ended: 'threw', error: new TerminalError('never') }, fresh)).toMatchObject({
      kind: 'terminal',
      result: 'error',
      forget: true,
      next: 'change',
    });
  });

  it('a conflict waits for the revision it lost to, is retried at once, and is not an error line', () => {
    const error = new ConflictError('stale', { currentRevision: '42' });
    for (let conflicts = 0; conflicts < CONFLICTS_AT_ONCE; conflicts += 1) {
      expect(decide({ ended: 'threw', error }, { ...fresh, conflicts })).toMatchObject({
        kind: 'conflict',
        next: 'caughtUp',
        revision: '42',
        forget: false,
        level: 'debug',
      });
    }
  });

  it('the sixth conflict in a row backs off, still without an error line', () => {
    const error = new ConflictError('stale', { currentRevision: '42' });
    expect(decide({ ended: 'threw', error }, { ...fresh, conflicts: CONFLICTS_AT_ONCE })).toMatchObject({
      kind: 'conflict',
      next: 'backoff',
      level: 'debug',
    });
  });

  it('other errors of the store are plain errors', () => {
    expect(decide({ ended: 'threw', error: new NotFoundError('gone') }, fresh).kind).toBe('error');
  });

  it('after maxRetries a key waits for a change', () => {
    const past = { ...fresh, maxRetries: 2 };
    const end = { ended: 'threw', error: new Error('boom') } as const;
    expect(decide(end, { ...past, failures: 1 }).next).toBe('backoff');
    expect(decide(end, { ...past, failures: 2 })).toMatchObject({ kind: 'exhausted', next: 'change', forget: true });
  });

  it('a thrown value that is no Error becomes one, with a plain value as its cause and nothing of an object', () => {
    for (const thrown of ['text', undefined, null, 7, { code: 1 }, Symbol('s'), Object.create(null), () => 1, new Map([[1, 2]])]) {
      const { error, kind } = decide({ ended: 'threw', error: thrown }, fresh);
      expect(kind).toBe('error');
      expect(error).toBeInstanceOf(Error);
      const plain = thrown === null || !['object', 'function'].includes(typeof thrown);
      expect(error?.cause).toBe(plain ? thrown : undefined);
    }
  });

  it('a result that means nothing is an error that says what to return', () => {
    for (const result of [
      true,
      5,
      'later',
      { requeue: true },
      { requeueAfter: '-5s' },
      { requeueAfter: 'soon' },
      { requeueAfter: Number.NaN },
    ]) {
      const outcome = decide({ ended: 'returned', result }, fresh);
      expect(outcome.kind).toBe('error');
      expect(outcome.error?.message).toMatch(/requeueAfter/);
    }
  });

  it('a timeout counts as a failure', () => {
    expect(decide({ ended: 'timedOut', error: new Error('late') }, fresh)).toMatchObject({
      kind: 'timeout',
      result: 'error',
      next: 'backoff',
    });
  });
});
