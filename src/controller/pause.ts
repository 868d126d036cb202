/**
 * Pauses: keys that are not to be reconciled for a while.
 *
 * Invariants: a pause says why and who; what happens meanwhile is remembered by key and runs when the pause ends;
 * an object that is being deleted is never held up by one.
 */
import { parseLabelSelector } from '../schemas/index.js';
import type { Duration, Selector } from '../schemas/index.js';
import type { LabelSelectorInput } from '../store/index.js';
import { keyOf, type Named } from './keys.js';

/** Annotation that pauses one object, `"true"` or a reason. */
export const PAUSED_ANNOTATION = 'rune.dev/paused';
/** Annotation that says who paused it. */
export const PAUSED_BY_ANNOTATION = 'rune.dev/paused-by';

/** What to pause, why and for how long. */
export interface PauseOptions {
  /** Which objects. Default: all of the controller. */
  readonly labelSelector?: LabelSelectorInput | undefined;
  /** Shown in `explain` and logs. */
  readonly reason: string;
  /** Who paused it. */
  readonly by?: string | undefined;
  /** Ends by itself after this long. Default: never. */
  readonly for?: Duration | undefined;
}

/** A pause in force. */
export interface Pause {
  readonly reason: string;
  readonly by: string | undefined;
  /** `object`: by annotation; `selector`, `controller`: by `manager.pause`. */
  readonly scope: 'object' | 'selector' | 'controller';
  /** Canonical text of the selector. */
  readonly selector: string | undefined;
}

/** A pause that `manager.pause` made. */
export interface PauseHandle extends Disposable {
  readonly pause: Pause;
  /** Ends the pause and runs what changed meanwhile. Doing it twice is harmless. */
  resume(): void;
}

interface Pausable {
  readonly metadata: {
    readonly labels?: Readonly<Record<string, string>> | undefined;
    readonly annotations?: Readonly<Record<string, string>> | undefined;
  };
}

/** The pause that the object's own annotation asks for. */
export function pauseOf(object: Pausable): Pause | undefined {
  const { annotations } = object.metadata;
  const value = annotations?.[PAUSED_ANNOTATION];
  if (value === undefined || value === 'false') return undefined;
  return {
    reason: value === '' || value === 'true' ? 'paused by annotation' : value,
    by: annotations?.[PAUSED_BY_ANNOTATION],
    scope: 'object',
    selector: undefined,
  };
}

/** Whether an update changed the object's own pause. */
export function pauseChanged(object: Pausable, previous: Pausable): boolean {
  return object.metadata.annotations?.[PAUSED_ANNOTATION] !== previous.metadata.annotations?.[PAUSED_ANNOTATION];
}

interface Entry {
  readonly pause: Pause;
  readonly selector: Selector | undefined;
}

/** The pauses of one controller, and the keys that wait for their end. */
export class Pauses {
  readonly #entries = new Set<Entry>();
  readonly #held = new Set<string>();
  readonly #resume: (key: string) => void;

  constructor(resume: (key: string) => void) {
    this.#resume = resume;
  }

  /** @throws {InvalidError} for a malformed selector. */
  add(options: Omit<PauseOptions, 'for'>): PauseHandle {
    const selector = options.labelSelector === undefined ? undefined : parseLabelSelector(options.labelSelector);
    const entry: Entry = {
      selector,
      pause: {
        reason: options.reason,
        by: options.by,
        scope: selector === undefined ? 'controller' : 'selector',
        selector: selector?.toString(),
      },
    };
    this.#entries.add(entry);
    const resume = (): void => {
      if (!this.#entries.delete(entry)) return;
      const keys = [...this.#held];
      this.#held.clear();
      // Those that another pause still covers are held again when their turn comes.
      for (const key of keys) this.#resume(key);
    };
    return { pause: entry.pause, resume, [Symbol.dispose]: resume };
  }

  /** The pause that covers an object, if any. */
  covering(object: Pausable): Pause | undefined {
    const own = object.metadata.annotations === undefined ? undefined : pauseOf(object);
    if (own !== undefined || this.#entries.size === 0) return own;
    for (const { selector, pause } of this.#entries) if (selector === undefined || selector.matches(object.metadata.labels)) return pause;
    return undefined;
  }

  /** Remembers that a key wanted to run. The end of an object's own pause is a change of the object, which wakes it. */
  hold(key: string, pause: Pause): void {
    if (pause.scope !== 'object') this.#held.add(key);
  }
  /** An object that waited for the end of a pause has changed: true when no pause covers it any more, and its key is to run. */
  left(object: Pausable & Named): boolean {
    if (this.#held.size === 0) return false;
    const key = keyOf(object);
    return this.#held.has(key) && this.covering(object) === undefined && this.#held.delete(key);
  }
  forget(key: string): void {
    this.#held.delete(key);
  }

  get list(): readonly Pause[] {
    return [...this.#entries].map((entry) => entry.pause);
  }
  get held(): number {
    return this.#held.size;
  }
}
