/**
 * Whether a sealed version is where it belongs. It opens wherever it lies in its object, since its identity is written beside
 * it: that an old one was put back, or two were exchanged, only the log and the other kept versions tell.
 *
 * Invariants: inside the window the log decides, exactly. Below it an object's counters must rise with the revisions. Types
 * that hold no secrets never come here. (Putting back the whole storage as it once was cannot be told from inside it.)
 */
import { DecryptionError } from '../../schemas/index.js';
import type { Entry, Key } from '../engine.js';
import { describeKey, keyId } from '../keys.js';
import { detailsOf } from '../write/rules.js';
import { Ledger } from './ledger.js';
import type { LedgerHost, Place } from './ledger.js';

/** Versions from below the window that need not be checked again; a few MB at most. */
const MOST_VOUCHED = 16_384;

export function placeOf({ key, revision, version, meta }: Entry): Place {
  return { key, revision, version, uid: meta.uid };
}

export class Places {
  readonly #host: LedgerHost;
  readonly #ledger: Ledger;
  /** Versions that were found to be the newest of their key, from before the log begins. */
  readonly #vouched = new Map<string, Place>();

  constructor(host: LedgerHost) {
    this.#host = host;
    this.#ledger = new Ledger(host);
  }

  /**
   * What is wrong with a version that was read as what its key shows at a revision; for a read of the present that is the
   * newest one from before it. A promise only where something has to be read.
   */
  fault(entry: Entry, at: number): DecryptionError | undefined | Promise<DecryptionError | undefined> {
    const following = this.#ledger.follow(entry.key.type, Math.max(at, entry.revision));
    return following === undefined ? this.#fault(entry, at) : following.then(() => this.#fault(entry, at));
  }

  #fault(entry: Entry, at: number): DecryptionError | undefined | Promise<DecryptionError | undefined> {
    const place = placeOf(entry);
    const last = this.#ledger.last(place.key, at);
    if (last > place.revision) return replaced(place, last);
    const told = this.#ledger.told(place);
    if (told === 'written') return undefined;
    return told === 'not written' ? strange(place) : this.#faultBelow(place, at);
  }

  /** The same for a version from before the log begins. */
  async #faultBelow(place: Place, at: number): Promise<DecryptionError | undefined> {
    const id = keyId(place.key);
    const vouched = this.#vouched.get(id);
    if (vouched?.revision === place.revision && vouched.version === place.version && vouched.uid === place.uid) return undefined;
    const [newest, older] = await this.#host.engine().versions(place.key, { limit: 2, before: at + 1 });
    if (newest !== undefined && newest.revision > place.revision) return replaced(place, newest.revision);
    if (older !== undefined && (older.revision >= place.revision || !isBehind(placeOf(older), place))) return misplaced(place);
    this.#vouch(id, place);
    return undefined;
  }

  #vouch(id: string, place: Place): void {
    if (this.#vouched.size >= MOST_VOUCHED)
      for (const oldest of [...this.#vouched.keys()].slice(0, MOST_VOUCHED / 4)) this.#vouched.delete(oldest);
    this.#vouched.set(id, place);
  }

  /** What is wrong with versions that the log told of, each as what its revision wrote. `previous`: what that replaced. */
  async logged(pairs: readonly { readonly place: Place; readonly previous: Place | undefined }[]): Promise<readonly LoggedFaults[]> {
    for (const { place } of pairs) await this.#ledger.follow(place.key.type, place.revision);
    return pairs.map(({ place, previous }) => {
      const fault = this.#ledger.told(place) === 'written' ? undefined : strange(place);
      if (previous === undefined) return { fault, previousFault: undefined };
      const told = this.#ledger.told(previous);
      // What was replaced may be older than the log; what replaced it counts one more.
      const isRight = told === 'written' || (told === 'unknown' && previous.version === place.version - 1);
      return { fault, previousFault: isRight ? undefined : strange(previous) };
    });
  }

  /** What is wrong with each of some kept versions of a key, newest first, as what its revision wrote. */
  async among(key: Key, entries: readonly Entry[]): Promise<readonly (DecryptionError | undefined)[]> {
    for (const { revision } of entries) await this.#ledger.follow(key.type, revision);
    const places = entries.map(placeOf);
    const told = places.map((place) => this.#ledger.told(place));
    const wrong = told.includes('unknown') ? await this.#notRising(key) : undefined;
    return places.map((place, index) => {
      if (told[index] === 'not written') return strange(place);
      const older = places[index + 1];
      if (older !== undefined && older.revision >= place.revision) return misplaced(place);
      return told[index] === 'unknown' && wrong?.has(place.revision) === true ? misplaced(place) : undefined;
    });
  }

  /** The revisions before the log begins whose versions do not count upwards: which of them is right nobody can tell. */
  async #notRising(key: Key): Promise<ReadonlySet<number>> {
    const floor = this.#ledger.floor(key.type);
    const engine = this.#host.engine();
    const below = await engine.versions(key, { before: floor + 1 });
    const { entries } = await engine.walk({ type: key.type, namespace: key.namespace }, { after: { key, revision: floor }, limit: 1 });
    const places = below.map(placeOf).reverse();
    const next = entries[0] && placeOf(entries[0]);
    if (next !== undefined && keyId(next.key) === keyId(key)) {
      await this.#ledger.follow(key.type, next.revision);
      if (this.#ledger.told(next) === 'written') places.push(next);
    }
    return new Set([
      ...outOfLine(places, (version, before) => version > before),
      ...outOfLine(places.toReversed(), (version, behind) => version < behind),
    ]);
  }
}

interface LoggedFaults {
  readonly fault: DecryptionError | undefined;
  readonly previousFault: DecryptionError | undefined;
}

/** Whether one version of a key can have come behind another. */
function isBehind(older: Place, newer: Place): boolean {
  return older.uid !== newer.uid || older.version < newer.version;
}

/** The revisions of versions that do not continue the line of those of the same object that come before in the list. */
function outOfLine(places: readonly Place[], continues: (version: number, last: number) => boolean): number[] {
  const last = new Map<string, number>();
  return places
    .filter(({ uid, version }) => {
      const before = last.get(uid);
      const fits = before === undefined || continues(version, before);
      if (fits) last.set(uid, version);
      return !fits;
    })
    .map(({ revision }) => revision);
}

function replaced(place: Place, by: number): DecryptionError {
  return refused(place, `it shows version ${place.version} of revision ${place.revision}, and revision ${by} wrote a newer one`);
}

function strange(place: Place): DecryptionError {
  return refused(place, `what lies there as revision ${place.revision} is not what the log says was written then`);
}

function misplaced(place: Place): DecryptionError {
  return refused(
    place,
    `it shows version ${place.version} at revision ${place.revision}, which does not fit the versions that are kept beside it`,
  );
}

function refused({ key }: Place, why: string): DecryptionError {
  return new DecryptionError(
    `${describeKey(key)} cannot be opened: ${why}; it was put there past the store: restore a backup, or delete it and write it anew`,
    { details: detailsOf(key) },
  );
}
