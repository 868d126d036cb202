/**
 * Virtual timers in the order of their moments: a heap with four children a node.
 *
 * Invariants: the top has the smallest `due`, and among those the smallest `seq`; what was cancelled leaves at the
 * latest when it makes up half of the heap, so that timeouts which are set and cancelled do not pile up.
 */
import type { Timer } from '../store/index.js';

/** Something to run, and when; its own cancel handle, so that a million timers are a million objects, not two. */
export class Task implements Timer {
  /** Virtual ms since the start. */
  readonly due: number;
  /** Rises with each task made: the order of arrival. */
  readonly seq: number;
  readonly kind: 'deferred' | 'timer' | 'unref';
  /** Gone once the task ran or was cancelled. */
  run: (() => void) | undefined;
  /** Whether it is in the heap. */
  waits = false;
  readonly #drop: (task: Task) => void;

  constructor(due: number, seq: number, kind: Task['kind'], run: () => void, drop: (task: Task) => void) {
    this.due = due;
    this.seq = seq;
    this.kind = kind;
    this.run = run;
    this.#drop = drop;
  }

  /** Made on demand: it must work without `this`, as that of other timers does, and most timers are never cancelled. */
  get cancel(): () => void {
    return () => this.#drop(this);
  }
}

/** Whether `a` comes before `b`. */
export function before(a: Task, b: Task): boolean {
  return a.due < b.due || (a.due === b.due && a.seq < b.seq);
}

/** The timers that wait for their moment. */
export class TimerHeap {
  // Three columns instead of one list of objects: with a million timers, following pointers is what takes the time.
  #dues: number[] = [];
  #seqs: number[] = [];
  #tasks: Task[] = [];
  #cancelled = 0;

  /** The next task that is still wanted. */
  peek(): Task | undefined {
    for (;;) {
      const task = this.#tasks[0];
      if (task === undefined || task.run !== undefined) return task;
      this.#cancelled--;
      this.#pop();
    }
  }

  /** Takes out the next task that is still wanted. */
  take(): Task | undefined {
    const task = this.peek();
    if (task !== undefined) {
      task.waits = false;
      this.#pop();
    }
    return task;
  }

  push(task: Task): void {
    task.waits = true;
    this.#rise(task.due, task.seq, task);
  }

  /** Must be told of each task that was cancelled while it waits here. */
  noteCancelled(): void {
    this.#cancelled++;
    if (this.#cancelled > 256 && this.#cancelled * 2 > this.#tasks.length) this.#sweep();
  }

  /** Leaves out what was cancelled, and builds the heap anew from the rest. */
  #sweep(): void {
    const wanted = this.#tasks.filter((task) => task.run !== undefined);
    this.#dues = [];
    this.#seqs = [];
    this.#tasks = [];
    this.#cancelled = 0;
    for (const task of wanted) this.push(task);
  }

  #rise(due: number, seq: number, task: Task): void {
    const dues = this.#dues;
    const seqs = this.#seqs;
    const tasks = this.#tasks;
    let place = dues.length;
    dues.push(due);
    seqs.push(seq);
    tasks.push(task);
    while (place > 0) {
      const up = (place - 1) >> 2;
      const parentDue = dues[up] as number;
      const parentSeq = seqs[up] as number;
      if (parentDue < due || (parentDue === due && parentSeq < seq)) break;
      dues[place] = parentDue;
      seqs[place] = parentSeq;
      tasks[place] = tasks[up] as Task;
      place = up;
    }
    dues[place] = due;
    seqs[place] = seq;
    tasks[place] = task;
  }

  #pop(): void {
    const dues = this.#dues;
    const seqs = this.#seqs;
    const tasks = this.#tasks;
    const due = dues.pop();
    const seq = seqs.pop();
    const task = tasks.pop();
    const length = tasks.length;
    if (due === undefined || seq === undefined || task === undefined || length === 0) return;
    let place = 0;
    for (;;) {
      const first = 4 * place + 1;
      if (first >= length) break;
      const end = Math.min(first + 4, length);
      let least = first;
      let leastDue = dues[first] as number;
      for (let i = first + 1; i < end; i++) {
        const other = dues[i] as number;
        if (other < leastDue || (other === leastDue && (seqs[i] as number) < (seqs[least] as number))) {
          least = i;
          leastDue = other;
        }
      }
      const leastSeq = seqs[least] as number;
      if (due < leastDue || (due === leastDue && seq < leastSeq)) break;
      dues[place] = leastDue;
      seqs[place] = leastSeq;
      tasks[place] = tasks[least] as Task;
      place = least;
    }
    dues[place] = due;
    seqs[place] = seq;
    tasks[place] = task;
  }
}
