/**
 * Revisions that are still to come: another process, or a message, may have told of one before this process has seen it.
 * They are waited for a little, as Kubernetes' API server does, and then refused as a timeout that can be tried again.
 */
import { TimeoutError } from '../../schemas/index.js';
import type { Deps } from '../deps.js';
import { abortedError, onAbort } from '../timing.js';
import type { Feed } from '../watch/feed.js';

/** How long a read waits for its revision, ms. */
export const revisionWaitMs = 3000;

export interface ToComeHost {
  readonly deps: Deps;
  readonly feed: Feed;
  /** Aborts with the store. */
  readonly ended: AbortSignal;
}

/** Resolves once `revision` is visible. @throws {TimeoutError} when that takes longer than 3 s @throws {AbortedError} @throws the store's end */
export function whenVisible({ deps, feed, ended }: ToComeHost, revision: number, signal?: AbortSignal): Promise<void> {
  if (feed.visible >= revision) return Promise.resolve();
  if (ended.aborted) return Promise.reject(ended.reason as Error);
  if (signal?.aborted === true) return Promise.reject(abortedError(signal, 'the read'));
  return new Promise((resolve, reject) => {
    const done = (): void => {
      timer.cancel();
      unfollow();
      unlisten();
      unlistenSignal();
    };
    const timer = deps.scheduler.after(revisionWaitMs, () => {
      done();
      reject(
        new TimeoutError(`revision ${revision} is in the future: the newest is ${feed.visible}, and 3 s have not brought it; try again`, {
          details: { retryAfterSeconds: 1 },
        }),
      );
    });
    const unfollow = feed.onProgress((visible) => {
      if (visible < revision) return;
      done();
      resolve();
    });
    const unlisten = onAbort(ended, (reason) => {
      done();
      reject(reason);
    });
    const unlistenSignal = onAbort(signal, () => {
      done();
      reject(abortedError(signal!, 'the read'));
    });
  });
}
