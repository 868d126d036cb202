/** The work queue's contract at its plainest: a list of keys, looked through for every question. Times are whole ms. */
import type { DelayPolicy } from '../../../src/controller/queue/index.js';

const quiet = { wanted: 'no' as 'no' | 'ready' | 'later', running: false, priority: 0, causes: [] as number[], failures: 0, since: 0 };
const nowhere = { place: Infinity, timer: Infinity, order: 0, limited: false, line: Infinity };
/** `place` is in a band, `line` at the bucket; `timer` is when it ends; Infinity: none. */
type Entry = typeof quiet & typeof nowhere & { readonly key: string; startedAt: number };

/** `interval`: ms for a token; 0: no bucket. */
export type ReferenceOptions = Readonly<Record<'baseDelay' | 'maxDelay' | 'minInterval' | 'ageing' | 'interval' | 'burst', number>>;

export class ReferenceQueue {
  now = 0;
  shut = false;
  /** What each `get` was answered with, as long as it was. */
  readonly answers: (ReturnType<ReferenceQueue['take']> | 'waits')[] = [];
  readonly #entries = new Map<string, Entry>();
  #count = 0;
  readonly #how: ReferenceOptions;
  /** What the bucket holds, in ms of filling. */
  #credit: number;

  constructor(how: ReferenceOptions) {
    this.#how = how;
    this.#credit = how.burst * how.interval;
  }

  entry(key: string): Entry {
    const entry = this.#entries.get(key) ?? { ...quiet, ...nowhere, key, startedAt: -Infinity };
    this.#entries.set(key, entry);
    return entry;
  }

  /** The entry that is first by one of its numbers. */
  #first(by: 'place' | 'timer' | 'line'): Entry | undefined {
    const having = [...this.#entries.values()].filter((entry) => entry[by] < Infinity);
    return having.sort((a, b) => a[by] - b[by] || a.order - b.order)[0];
  }

  #ask(key: string, priority: number, cause: number): Entry {
    const entry = this.entry(key);
    entry.causes = [...entry.causes, cause];
    if (entry.wanted !== 'no' && priority <= entry.priority) return entry;
    entry.priority = priority;
    if (entry.place < Infinity) entry.place = this.#count++;
    return entry;
  }

  #ready(entry: Entry): void {
    if (entry.wanted !== 'ready') Object.assign(entry, { ...nowhere, wanted: 'ready', since: this.now });
    this.#settle(entry);
  }

  /** A key that is to run takes its place, as soon as it may; a `get` that waits takes it at once. */
  #settle(entry: Entry): void {
    if (entry.wanted !== 'ready' || entry.running || entry.place < Infinity) return;
    const free = entry.startedAt + this.#how.minInterval;
    if (this.now >= free || this.shut) entry.place = this.#count++;
    else if (entry.timer === Infinity) Object.assign(entry, { timer: free, order: this.#count++ });
    const waits = this.answers.indexOf('waits');
    if (entry.place < Infinity && waits >= 0) this.answers[waits] = this.take();
  }

  add(key: string, priority: number, cause: number): boolean {
    if (!this.shut) this.#ready(this.#ask(key, priority, cause));
    return !this.shut;
  }

  addAfter(key: string, delay: number, policy: DelayPolicy, priority: number, cause: number, limited = false): boolean {
    const { wanted, timer } = this.entry(key);
    // What stands in line is due already.
    const pending = wanted === 'later' ? (timer < Infinity ? timer : -Infinity) : undefined;
    if (this.shut || (delay <= 0 && !limited && (pending === undefined || policy !== 'latest'))) return this.add(key, priority, cause);
    const entry = this.#ask(key, priority, cause);
    const at = this.now + Math.max(0, delay);
    const kept = pending !== undefined && (policy === 'earliest' ? pending <= at : policy === 'latest' && pending >= at);
    if (wanted !== 'ready' && !kept) Object.assign(entry, { ...nowhere, wanted: 'later', timer: at, order: this.#count++, limited });
    return true;
  }

  addRateLimited(key: string, policy: DelayPolicy, priority: number, cause: number): boolean {
    if (this.shut) return false;
    const delay = Math.min(this.#how.maxDelay, this.#how.baseDelay * 2 ** this.entry(key).failures++);
    return this.addAfter(key, delay, policy, priority, cause, this.#how.interval > 0);
  }

  take(): { key: string; priority: number; causes: number[]; waitedMs: number; attempts: number } | undefined {
    const waiting = [...this.#entries.values()].filter((entry) => entry.place < Infinity);
    waiting.sort((a, b) => b.priority - a.priority || a.place - b.place);
    const heads = waiting.filter((entry, index) => waiting[index - 1]?.priority !== entry.priority);
    const scores = heads.map((head, above) => head.since + above * Math.min(this.#how.ageing, 1e9));
    const entry = heads[scores.indexOf(Math.min(...scores))];
    if (entry === undefined) return undefined;
    const { key, priority, causes, failures: attempts } = entry;
    const waitedMs = this.now - entry.since;
    Object.assign(entry, { ...nowhere, wanted: 'no', running: true, startedAt: this.now, causes: [] });
    return { key, priority, causes, waitedMs, attempts };
  }

  get(): void {
    this.answers.push(this.#first('place') === undefined && !this.shut ? 'waits' : this.take());
  }

  done(key: string): void {
    this.entry(key).running = false;
    this.#settle(this.entry(key));
  }

  cancel(key: string): boolean {
    const asked = this.entry(key).wanted !== 'no';
    if (asked) Object.assign(this.entry(key), { ...nowhere, wanted: 'no', causes: [] });
    return asked;
  }

  advance(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      const [line, timer] = [this.#first('line'), this.#first('timer')];
      const token = line === undefined ? Infinity : this.now + Math.max(0, this.#how.interval - this.#credit);
      const next = Math.min(token, timer?.timer ?? Infinity);
      this.#pass(Math.min(end, Math.max(this.now, next)));
      if (next > end) return;
      if (line !== undefined && token === next) {
        this.#credit -= this.#how.interval;
        this.#ready(line);
      } else if (timer !== undefined) {
        timer.timer = Infinity;
        if (timer.limited) timer.line = this.#count++;
        else if (timer.wanted === 'later') this.#ready(timer);
        else this.#settle(timer);
      }
    }
  }

  #pass(to: number): void {
    this.#credit = Math.min(this.#how.burst * this.#how.interval, this.#credit + to - this.now);
    this.now = to;
  }

  shutDown(): void {
    this.shut = true;
    for (const entry of this.#entries.values()) if (entry.wanted === 'later') this.cancel(entry.key);
    for (let held = this.#first('timer'); held !== undefined; held = this.#first('timer')) {
      held.timer = Infinity;
      this.#settle(held);
    }
    this.answers.forEach((answer, get) => answer === 'waits' && (this.answers[get] = undefined));
  }

  counts(): { len: number; processing: number; delayed: number } {
    const count = (test: (entry: Entry) => boolean): number => [...this.#entries.values()].filter(test).length;
    return {
      len: count((entry) => entry.place < Infinity),
      processing: count((entry) => entry.running),
      delayed: count((entry) => entry.timer < Infinity || entry.line < Infinity),
    };
  }
}
