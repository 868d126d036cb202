/**
 * Events of a run's own writes that do not run its key again, also when they come after the run is over: a handler may be
 * behind the cache (while it is told everything anew in a resync, say), and a key waits for caches alone.
 *
 * Invariants: an event is known by the revision of the commit; one that may hide another's change behind it counts. What is
 * kept here lasts as long as handlers are behind.
 */
import { ChangeCause, type Cause } from './causes.js';

/** What a run wrote in silence. */
export interface Echo {
  readonly revisions: readonly string[];
  /** How often changes had been merged on their way here before it wrote. */
  readonly merges: number;
}

/** What echoes need of their controller. */
export interface EchoHost {
  merges(): number;
  /** Changes wait for its handlers that the caches show already. */
  readonly lagging: boolean;
}

/** Whether an event can be that of a write: a deletion carries the revision of the state before, and its mark always counts. */
export function mayBeEcho(cause: Cause): boolean {
  return cause instanceof ChangeCause && (cause.change === 'created' || (cause.change === 'updated' && !cause.marksDeletion));
}

export class Echoes {
  readonly #host: EchoHost;
  readonly #byKey = new Map<string, Echo>();

  constructor(host: EchoHost) {
    this.#host = host;
  }

  /** A run of the key is over; what it wrote in silence may not have been told yet. */
  ran(key: string, echo: Echo | undefined): void {
    if (echo === undefined && this.#byKey.size === 0) return;
    if (!this.#host.lagging) {
      this.#byKey.clear();
      return;
    }
    if (echo === undefined) return;
    const before = this.#byKey.get(key);
    const revisions = before?.merges === echo.merges ? [...before.revisions, ...echo.revisions] : echo.revisions;
    this.#byKey.set(key, { revisions, merges: echo.merges });
  }

  /** Whether an event about the key is one of them. */
  hears(key: string, revision: string, cause: Cause): boolean {
    const echo = this.#byKey.size === 0 ? undefined : this.#byKey.get(key);
    if (echo === undefined || !mayBeEcho(cause) || !echo.revisions.includes(revision)) return false;
    return echo.merges === this.#host.merges();
  }
}
