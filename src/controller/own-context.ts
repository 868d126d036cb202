/**
 * Worker slots whose work runs in the controller's own async context, not in that of whoever pushed its key.
 *
 * Invariant: the context is changed where a worker begins, and not for each key: whatever a worker does then, for any key,
 * goes on in that context. Without it a key that is pushed inside a transaction would be reconciled inside it.
 */
import { AsyncResource } from 'node:async_hooks';
import type { Slots } from './queue/index.js';

/** The context of one controller, from where it was made. */
export class OwnContext {
  readonly #resource = new AsyncResource('rune.Controller', { requireManualDestroy: true });

  /** The same slots, with work that begins in here. */
  slots(slots: Slots): Slots {
    const run: Slots['run'] = (work) => this.#resource.runInAsyncScope(slots.run, slots, work);
    return Object.create(slots, { run: { value: run } }) as Slots;
  }

  close(): void {
    this.#resource.emitDestroy();
  }
}
