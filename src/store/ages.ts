/**
 * How long ago a revision was written, by a clock of the store's own, which is kept with the data.
 *
 * Invariants:
 * - While a process has the store open that clock is monotonic: a jump of the wall clock ages nothing, and taking it back
 *   brings nothing back. What passes while nobody has it open only the wall clock knows: it counts, a day at most for each
 *   opening, so that a machine that wakes up in another year loses no history either.
 * - Revisions are noted now and then, not one by one, and old notes are thinned out: a revision counts as written at the
 *   first note that covers it, which is never before it was. What nobody noted counts as young.
 */
import type { Clock } from './deps.js';
import type { EngineMeta } from './engine.js';

/** A revision, and when it was there: ms of the store's clock. */
type Note = readonly [revision: number, at: number];

/** What is kept with the data. */
interface Kept {
  /** The store's clock, and the wall clock beside it, when this was written. */
  readonly at: number;
  readonly wall: number;
  readonly notes: readonly Note[];
}

const META_NAME = 'ages';
/** The longest pause that is believed, ms. */
const LONGEST_PAUSE = 24 * 3600 * 1000;
/** How often notes are written down while there are new ones, and while there are none, ms. */
const WRITE_AFTER = 60_000;
const WRITE_IDLE_AFTER = 3600_000;
/** Notes are kept as close as this part of their age: what is told is wrong by that much at most. */
const CLOSENESS = 1 / 64;
const CLOSEST = 1000;

export class Ages {
  readonly #clock: Clock;
  readonly #meta: EngineMeta;
  /** Rising in revision and time. */
  #notes: Note[] = [];
  /** The store's clock when the monotonic one was 0. */
  #origin = 0;
  #kept: string | undefined;
  #written = Number.NEGATIVE_INFINITY;
  #fresh = false;

  constructor(options: { readonly clock: Clock; readonly meta: EngineMeta }) {
    this.#clock = options.clock;
    this.#meta = options.meta;
  }

  /** Goes on with the clock that the data came with. */
  async load(revision: number): Promise<void> {
    this.#kept = await this.#meta.get(META_NAME);
    if (this.#kept !== undefined) {
      const { at, wall, notes } = JSON.parse(this.#kept) as Kept;
      const pause = Math.min(LONGEST_PAUSE, Math.max(0, this.#clock.now() - wall));
      this.#origin = at + pause - this.#clock.monotonic();
      this.#notes = [...notes];
    } else {
      this.#origin = -this.#clock.monotonic();
    }
    this.note(revision);
  }

  /** Everything up to `revision` has been written by now. */
  note(revision: number): void {
    if (revision <= (this.#notes.at(-1)?.[0] ?? 0)) return;
    this.#notes.push([revision, this.#now()]);
    this.#fresh = true;
  }

  /** For how long at least a revision has been there, ms. */
  of(revision: number): number {
    let low = 0;
    let high = this.#notes.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#notes[middle]![0] < revision) low = middle + 1;
      else high = middle;
    }
    const note = this.#notes[low];
    return note === undefined ? 0 : Math.max(0, this.#now() - note[1]);
  }

  /** Writes the notes down when it is time to. `last`: whenever there are new ones. */
  async save(options: { readonly last?: boolean } = {}): Promise<void> {
    const now = this.#clock.monotonic();
    if (!this.#fresh && (options.last === true || now - this.#written < WRITE_IDLE_AFTER)) return;
    if (options.last !== true && now - this.#written < WRITE_AFTER) return;
    this.#takeIn(await this.#meta.get(META_NAME));
    this.#notes = thinned(this.#notes, this.#now());
    const text = JSON.stringify({ at: this.#now(), wall: this.#clock.now(), notes: this.#notes } satisfies Kept);
    this.#fresh = false;
    // Where another process came first, the next time does it.
    if (await this.#meta.set(META_NAME, text, { expect: this.#kept ?? null })) {
      this.#kept = text;
      this.#written = now;
    } else {
      this.#fresh = true;
    }
  }

  /** What another process has written down since. */
  #takeIn(text: string | undefined): void {
    if (text === this.#kept || text === undefined) return;
    this.#kept = text;
    const { at, notes } = JSON.parse(text) as Kept;
    this.#origin += Math.max(0, at - this.#now());
    this.#notes = merged(this.#notes, notes);
  }

  #now(): number {
    return Math.round(this.#origin + this.#clock.monotonic());
  }
}

/** Both, with the later time where they disagree. */
function merged(one: readonly Note[], other: readonly Note[]): Note[] {
  const both = [...one, ...other].sort(([a], [b]) => a - b);
  const notes: Note[] = [];
  let latest = 0;
  for (const [revision, at] of both) {
    latest = Math.max(latest, at);
    if (notes.at(-1)?.[0] === revision) notes.pop();
    notes.push([revision, latest]);
  }
  return notes;
}

/** Without those between two others that are close together already. From the oldest on: what is kept once then stays. */
function thinned(notes: readonly Note[], now: number): Note[] {
  const kept: Note[] = [];
  for (const [index, note] of notes.entries()) {
    const [before, after] = [kept.at(-1), notes[index + 1]];
    if (before === undefined || after === undefined || after[1] - before[1] >= Math.max(CLOSEST, (now - after[1]) * CLOSENESS))
      kept.push(note);
  }
  return kept;
}
