/**
 * The runs in progress, oldest first, by key.
 *
 * Invariant: a key has one at most. While they are few they are a list, and a look at each is quicker than a Map, which
 * allocates again and again when keys come and go; when they are many they are a Map.
 */
import type { Run } from './run.js';

/** Up to so many are a list. */
const FEW = 16;

export class ActiveRuns {
  #list: Run[] = [];
  #map: Map<string, Run> | undefined = undefined;

  get size(): number {
    return this.#map === undefined ? this.#list.length : this.#map.size;
  }

  get(key: string): Run | undefined {
    if (this.#map !== undefined) return this.#map.get(key);
    for (const run of this.#list) if (run.key === key) return run;
    return undefined;
  }

  add(run: Run): void {
    if (this.#map === undefined && this.#list.length < FEW) {
      this.#list.push(run);
      return;
    }
    if (this.#map === undefined) {
      this.#map = new Map(this.#list.map((each) => [each.key, each]));
      this.#list = [];
    }
    this.#map.set(run.key, run);
  }

  delete(run: Run): void {
    if (this.#map !== undefined) {
      this.#map.delete(run.key);
      if (this.#map.size === 0) this.#map = undefined;
      return;
    }
    // The last is the common case: a run that does not wait ends before another starts.
    const list = this.#list;
    if (list[list.length - 1] === run) list.pop();
    else {
      const at = list.indexOf(run);
      if (at >= 0) list.splice(at, 1);
    }
  }

  values(): Iterable<Run> {
    return this.#map === undefined ? this.#list : this.#map.values();
  }
}
