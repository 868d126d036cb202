/** Waiting on injected time: that it ends when it should, and leaves no timer and no listener. */
import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { AbortedError, InvalidError, TimeoutError } from '../../src/schemas/index.js';
import { abortedError, deadline, deferred, onAbort, sleep, throwIfAborted, waitFor, withTimeout } from '../../src/store/timing.js';
import { virtualDeps } from '../../src/testing/index.js';

const listeners = (signal: AbortSignal): number => getEventListeners(signal, 'abort').length;

/** What a promise came to, without waiting for it. */
function watchOutcome(promise: Promise<unknown>): { state: 'pending' | 'resolved' | 'rejected'; value?: unknown } {
  const outcome: { state: 'pending' | 'resolved' | 'rejected'; value?: unknown } = { state: 'pending' };
  promise.then(
    (value) => Object.assign(outcome, { state: 'resolved', value }),
    (value: unknown) => Object.assign(outcome, { state: 'rejected', value }),
  );
  return outcome;
}

describe('deferred', () => {
  it('settles from outside, once', async () => {
    const one = deferred<number>();
    one.resolve(1);
    one.reject(new Error('late'));
    expect(await one.promise).toBe(1);
    const other = deferred();
    other.reject('why');
    await expect(other.promise).rejects.toBe('why');
  });
});

describe('onAbort', () => {
  it('calls once with the reason and leaves no listener', () => {
    const controller = new AbortController();
    const seen: unknown[] = [];
    onAbort(controller.signal, (reason) => seen.push(reason));
    expect(listeners(controller.signal)).toBe(1);
    controller.abort('stop');
    controller.abort('again');
    expect(seen).toEqual(['stop']);
    expect(listeners(controller.signal)).toBe(0);
  });

  it('calls at once when the signal has aborted already', () => {
    const seen: unknown[] = [];
    onAbort(AbortSignal.abort('before'), (reason) => seen.push(reason))();
    expect(seen).toEqual(['before']);
  });

  it('is never called after it was removed, and removing twice is harmless', () => {
    const controller = new AbortController();
    let called = 0;
    const remove = onAbort(controller.signal, () => called++);
    remove();
    remove();
    expect(listeners(controller.signal)).toBe(0);
    controller.abort();
    expect(called).toBe(0);
  });

  it('does nothing without a signal', () => {
    let called = 0;
    const remove = onAbort(undefined, () => called++);
    remove();
    expect(called).toBe(0);
  });
});

describe('waitFor', () => {
  it('resolves when the signal aborts, at once if it has', async () => {
    const controller = new AbortController();
    const outcome = watchOutcome(waitFor(controller.signal));
    await Promise.resolve();
    expect(outcome.state).toBe('pending');
    controller.abort();
    await Promise.resolve();
    expect(outcome.state).toBe('resolved');
    await waitFor(controller.signal);
  });
});

describe('throwIfAborted', () => {
  it('throws an AbortedError with the reason as cause, and only then', () => {
    throwIfAborted(undefined);
    throwIfAborted(new AbortController().signal);
    const reason = new Error('shutting down');
    expect(() => throwIfAborted(AbortSignal.abort(reason), 'the list')).toThrow(AbortedError);
    const error = abortedError(AbortSignal.abort(reason), 'the list');
    expect(error.cause).toBe(reason);
    expect(error.message).toContain('the list');
  });
});

describe('sleep', () => {
  it('resolves at its moment, not before', async () => {
    const deps = virtualDeps();
    const outcome = watchOutcome(sleep(deps, '5s'));
    await deps.advance(4_999);
    expect(outcome.state).toBe('pending');
    await deps.advance(1);
    expect(outcome.state).toBe('resolved');
  });

  it('takes 0 and below for the next turn', async () => {
    const deps = virtualDeps();
    const outcomes = [0, -100].map((delay) => watchOutcome(sleep(deps, delay)));
    await Promise.resolve();
    expect(outcomes.map(({ state }) => state)).toEqual(['pending', 'pending']);
    await deps.flush();
    expect(outcomes.map(({ state }) => state)).toEqual(['resolved', 'resolved']);
  });

  it('ends when the signal aborts, and leaves neither timer nor listener', async () => {
    const deps = virtualDeps();
    const controller = new AbortController();
    const outcome = watchOutcome(sleep(deps, '1h', { signal: controller.signal }));
    await deps.flush();
    expect(deps.pending().timers).toBe(1);
    expect(listeners(controller.signal)).toBe(1);
    controller.abort('enough');
    await deps.flush();
    expect(outcome.state).toBe('rejected');
    expect(outcome.value).toBeInstanceOf(AbortedError);
    expect((outcome.value as Error).cause).toBe('enough');
    expect(deps.pending().timers).toBe(0);
    expect(listeners(controller.signal)).toBe(0);
  });

  it('leaves no listener when it ends in time', async () => {
    const deps = virtualDeps();
    const { signal } = new AbortController();
    const sleeping = sleep(deps, 5, { signal });
    await deps.advance(5);
    await sleeping;
    expect(listeners(signal)).toBe(0);
  });

  it('sets no timer when the signal has aborted already', async () => {
    const deps = virtualDeps();
    await expect(sleep(deps, 5, { signal: AbortSignal.abort() })).rejects.toBeInstanceOf(AbortedError);
    expect(deps.pending().timers).toBe(0);
  });

  it('need not keep the process', async () => {
    const deps = virtualDeps();
    const outcome = watchOutcome(sleep(deps, 5, { unref: true }));
    await deps.flush();
    expect(deps.pending()).toEqual({ timers: 0, deferred: 0, unref: 1 });
    await deps.advance(5);
    expect(outcome.state).toBe('resolved');
  });

  it('refuses what is no duration', async () => {
    const deps = virtualDeps();
    await expect(sleep(deps, 'soon')).rejects.toBeInstanceOf(InvalidError);
    await expect(sleep(deps, Number.NaN)).rejects.toBeInstanceOf(InvalidError);
  });
});

describe('withTimeout', () => {
  it('gives the result, and leaves neither timer nor listener', async () => {
    const deps = virtualDeps();
    const { signal } = new AbortController();
    expect(await withTimeout(deps, () => 7, { timeout: '1s', signal })).toBe(7);
    expect(await withTimeout(deps, async () => 8, { timeout: '1s', signal })).toBe(8);
    expect(deps.pending().timers).toBe(0);
    expect(listeners(signal)).toBe(0);
  });

  it('passes a failure on, thrown or rejected', async () => {
    const deps = virtualDeps();
    const thrown = withTimeout(
      deps,
      () => {
        throw new Error('sync');
      },
      { timeout: 5 },
    );
    await expect(thrown).rejects.toThrow('sync');
    await expect(withTimeout(deps, () => Promise.reject(new Error('async')), { timeout: 5 })).rejects.toThrow('async');
    expect(deps.pending().timers).toBe(0);
  });

  it('rejects when time is up, though the work ignores its signal, and says what took too long', async () => {
    const deps = virtualDeps();
    let seen: AbortSignal | undefined;
    const outcome = watchOutcome(
      withTimeout(
        deps,
        (signal) => {
          seen = signal;
          return new Promise<never>(() => {});
        },
        { timeout: '2s', what: 'reconcile of prod/web' },
      ),
    );
    await deps.advance(1_999);
    expect(outcome.state).toBe('pending');
    expect(seen?.aborted).toBe(false);
    await deps.advance(1);
    expect(outcome.value).toBeInstanceOf(TimeoutError);
    expect((outcome.value as Error).message).toBe('reconcile of prod/web did not finish within 2s');
    expect(seen?.reason).toBe(outcome.value);
  });

  it('prefers its own error to the one the work throws on being aborted', async () => {
    const deps = virtualDeps();
    const outcome = watchOutcome(withTimeout(deps, (signal) => sleep(deps, '1h', { signal }), { timeout: '1s' }));
    await deps.advance('1s');
    expect(outcome.value).toBeInstanceOf(TimeoutError);
    expect(deps.pending().timers).toBe(0);
  });

  it('ends when the caller aborts, and the work is told why', async () => {
    const deps = virtualDeps();
    const controller = new AbortController();
    const inner = deferred<unknown>();
    const outcome = watchOutcome(
      withTimeout(
        deps,
        (signal) => {
          onAbort(signal, inner.resolve);
          return new Promise<never>(() => {});
        },
        { timeout: '1s', signal: controller.signal },
      ),
    );
    await deps.flush();
    controller.abort('stop');
    await deps.flush();
    expect(outcome.value).toBeInstanceOf(AbortedError);
    expect(await inner.promise).toBe('stop');
    expect(deps.pending().timers).toBe(0);
    expect(listeners(controller.signal)).toBe(0);
  });

  it('does not begin when the signal has aborted already', async () => {
    const deps = virtualDeps();
    let began = false;
    const work = (): void => {
      began = true;
    };
    await expect(withTimeout(deps, work, { timeout: 5, signal: AbortSignal.abort() })).rejects.toBeInstanceOf(AbortedError);
    expect(began).toBe(false);
  });

  it('swallows what the work does after it was given up', async () => {
    const deps = virtualDeps();
    const late = deferred<never>();
    const outcome = watchOutcome(withTimeout(deps, () => late.promise, { timeout: 5 }));
    await deps.advance(5);
    expect(outcome.state).toBe('rejected');
    const unhandled: unknown[] = [];
    const listener = (reason: unknown): void => void unhandled.push(reason);
    process.on('unhandledRejection', listener);
    late.reject(new Error('late'));
    await deps.flush({ realTurns: 10 });
    process.off('unhandledRejection', listener);
    expect(unhandled).toEqual([]);
  });
});

describe('deadline', () => {
  it('counts down on the monotonic clock, whatever the wall clock does', async () => {
    const deps = virtualDeps();
    await deps.advance(100);
    const due = deadline(deps, '1s');
    expect(due.at).toBe(1_100);
    await deps.advance(400);
    deps.jumpWallClock('2h');
    expect(due.remaining()).toBe(600);
    expect(due.passed()).toBe(false);
    await deps.advance(600);
    expect(due.remaining()).toBe(0);
    expect(due.passed()).toBe(true);
    await deps.advance(600);
    expect(due.remaining()).toBe(0);
  });
});
