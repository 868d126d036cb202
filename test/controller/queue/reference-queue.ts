/** The work queue's contract at its plainest: one list of keys, looked through for every question. */
import type { DelayPolicy } from '../../../src/controller/queue/index.js';

interface Entry {
  readonly key: string;
  /** A run is asked for: at once (`place` is set once it is in its band), or by a timer. */
  wanted: 'no' | 'ready' | 'later';
  running: boolean;
  priority: number;
  causes: unknown[];
  failures: number;
  since: number;
  startedAt: number;
  place: number | undefined;
  timer: { at: number; order: number } | undefined;
}

export interface ReferenceOptions {
  readonly baseDelay: number;
  readonly maxDelay: number;
  readonly minInterval: number;
  readonly ageing: number;
}

export class ReferenceQueue {
  now = 0;
  shut = false;
  readonly #entries: Entry[] = [];
  readonly #options: ReferenceOptions;
  #count = 0;

  constructor(options: ReferenceOptions) {
    this.#options = options;
  }

  #entry(key: string): Entry {
    let entry = this.#entries.find((other) => other.key === key);
    if (entry === undefined) {
      entry = {
        key,
        wanted: 'no',
        running: false,
        priority: 0,
        causes: [],
        failures: 0,
        since: 0,
        startedAt: -Infinity,
        place: undefined,
        timer: undefined,
      };
      this.#entries.push(entry);
    }
    return entry;
  }

  #ask(entry: Entry, priority: number, cause: unknown): void {
    if (cause !== undefined) entry.causes.push(cause);
    const before = entry.wanted === 'no' ? -Infinity : entry.priority;
    if (priority <= before) return;
    entry.priority = priority;
    if (entry.place !== undefined) entry.place = this.#count++;
  }

  /** A key that is to run takes its place, as soon as it may. */
  #settle(entry: Entry): void {
    if (entry.wanted !== 'ready' || entry.running || entry.place !== undefined) return;
    const free = entry.startedAt + this.#options.minInterval;
    if (this.now < free && !this.shut) entry.timer ??= { at: free, order: this.#count++ };
    else entry.place = this.#count++;
  }

  #ready(entry: Entry): void {
    if (entry.wanted === 'ready') return;
    entry.wanted = 'ready';
    entry.since = this.now;
    entry.timer = undefined;
    this.#settle(entry);
  }

  add(key: string, priority: number, cause: unknown): boolean {
    if (this.shut) return false;
    const entry = this.#entry(key);
    this.#ask(entry, priority, cause);
    this.#ready(entry);
    return true;
  }

  addAfter(key: string, delay: number, policy: DelayPolicy, priority: number, cause: unknown): boolean {
    if (this.shut) return false;
    const entry = this.#entry(key);
    const pending = entry.wanted === 'later' ? entry.timer : undefined;
    if (delay <= 0 && !(pending !== undefined && policy === 'latest')) return this.add(key, priority, cause);
    this.#ask(entry, priority, cause);
    if (entry.wanted === 'ready') return true;
    const at = this.now + Math.max(0, delay);
    const kept = pending !== undefined && (policy === 'earliest' ? pending.at <= at : policy === 'latest' && pending.at >= at);
    entry.wanted = 'later';
    if (!kept) entry.timer = { at, order: this.#count++ };
    return true;
  }

  addRateLimited(key: string, priority: number, cause: unknown): boolean {
    if (this.shut) return false;
    const { baseDelay, maxDelay } = this.#options;
    const delay = Math.min(maxDelay, baseDelay * 2 ** this.#entry(key).failures++);
    return this.addAfter(key, delay, 'earliest', priority, cause);
  }

  take(): { key: string; priority: number; causes: unknown[]; waitedMs: number; attempts: number } | undefined {
    const waiting = this.#entries
      .filter((entry) => entry.place !== undefined)
      .sort((a, b) => b.priority - a.priority || (a.place ?? 0) - (b.place ?? 0));
    const heads = waiting.filter((entry, index) => waiting[index - 1]?.priority !== entry.priority);
    const score = (entry: Entry): number => entry.since + heads.indexOf(entry) * this.#options.ageing;
    const entry = heads.reduce<Entry | undefined>(
      (best, head) => (best === undefined || score(head) < score(best) ? head : best),
      undefined,
    );
    if (entry === undefined) return undefined;
    const { key, priority, causes, failures } = entry;
    Object.assign(entry, { place: undefined, wanted: 'no', running: true, startedAt: this.now, causes: [] });
    return { key, priority, causes, waitedMs: this.now - entry.since, attempts: failures };
  }

  done(key: string): void {
    const entry = this.#entry(key);
    if (!entry.running) return;
    entry.running = false;
    this.#settle(entry);
  }

  forget(key: string): void {
    this.#entry(key).failures = 0;
  }

  cancel(key: string): boolean {
    const entry = this.#entry(key);
    if (entry.wanted === 'no') return false;
    Object.assign(entry, { wanted: 'no', place: undefined, timer: undefined, causes: [] });
    return true;
  }

  advance(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      const next = this.#entries
        .filter((entry) => (entry.timer?.at ?? Infinity) <= end)
        .sort((a, b) => (a.timer?.at ?? 0) - (b.timer?.at ?? 0) || (a.timer?.order ?? 0) - (b.timer?.order ?? 0))[0];
      if (next === undefined) break;
      this.now = next.timer?.at ?? end;
      next.timer = undefined;
      if (next.wanted === 'later') this.#ready(next);
      else this.#settle(next);
    }
    this.now = end;
  }

  shutDown(): void {
    this.shut = true;
    const held = this.#entries
      .filter((entry) => entry.timer !== undefined)
      .sort((a, b) => (a.timer?.at ?? 0) - (b.timer?.at ?? 0) || (a.timer?.order ?? 0) - (b.timer?.order ?? 0));
    for (const entry of held) {
      entry.timer = undefined;
      if (entry.wanted === 'later') this.cancel(entry.key);
      else this.#settle(entry);
    }
  }

  counts(): { len: number; processing: number; delayed: number } {
    const count = (test: (entry: Entry) => boolean): number => this.#entries.filter(test).length;
    return {
      len: count((entry) => entry.place !== undefined),
      processing: count((entry) => entry.running),
      delayed: count((entry) => entry.timer !== undefined),
    };
  }

  failures(key: string): number {
    return this.#entry(key).failures;
  }
}
