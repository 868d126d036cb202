/**
 * The states of a key and what each event makes of them: the whole contract of the queue, as one table.
 *
 * Invariants: an event that a row does not name leaves the state as it is. `waiting` and `idle` are what the table asks
 * for; while a key's minimum interval runs, `held` stands in for the first and `cooling` for the second.
 * The rules are client-go's (util/workqueue), and one of our own: a plain add cancels a pending delay.
 */

/** Every state, with its number: a key's state is one byte. */
export const states = {
  /** Not in the queue; only its failures are remembered, if there are any. */
  idle: 0,
  /** In a priority band, ready to be handed out. */
  waiting: 1,
  /** A timer will make it waiting. */
  delayed: 2,
  /** Ready, but its last start is too recent: a timer will make it waiting. */
  held: 3,
  /** With a worker. */
  processing: 4,
  /** With a worker, and a timer will ask for another run. */
  processingDelayed: 5,
  /** With a worker, and to be handed out again after `done`. */
  dirty: 6,
  /** Not in the queue; its last start is remembered until the minimum interval is over. */
  cooling: 7,
} as const;

/** A state by its name. */
export type StateName = keyof typeof states;

/** What can happen to a key, with its number. */
export const events = { add: 0, delay: 1, due: 2, take: 3, done: 4, cancel: 5 } as const;

/** An event by its name. */
export type EventName = keyof typeof events;

/** The table. */
export const transitions: Readonly<Record<StateName, Readonly<Partial<Record<EventName, StateName>>>>> = {
  idle: { add: 'waiting', delay: 'delayed' },
  waiting: { take: 'processing', cancel: 'idle' },
  delayed: { add: 'waiting', due: 'waiting', cancel: 'idle' },
  held: { due: 'waiting', cancel: 'idle' },
  processing: { add: 'dirty', delay: 'processingDelayed', done: 'idle' },
  processingDelayed: { add: 'dirty', due: 'dirty', done: 'delayed', cancel: 'processing' },
  dirty: { done: 'waiting', cancel: 'processing' },
  cooling: { add: 'waiting', delay: 'delayed', due: 'idle' },
};

/** The table as bytes: `next[(state << 3) | event]`. */
export const next: Uint8Array = compile();

function compile(): Uint8Array {
  const table = new Uint8Array(64);
  for (const from of Object.keys(states) as StateName[]) {
    for (const event of Object.keys(events) as EventName[]) {
      table[(states[from] << 3) | events[event]] = states[transitions[from][event] ?? from];
    }
  }
  return table;
}
