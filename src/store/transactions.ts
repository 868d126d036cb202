/**
 * Runs transactions: the callback, again after a conflict, and the refusal of the store's own verbs inside it.
 *
 * Invariant: reruns hold the gate only until their request has its place in line, so transactions in conflict follow each
 * other at the speed of memory and share commits.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { BadRequestError, ForbiddenError, show } from '../schemas/index.js';
import type { Ids } from './deps.js';
import { scopeNamespace } from './keys.js';
import { selectItems } from './read/reader.js';
import type { TypeInfo, TypeRegistry } from './registry.js';
import { withSource } from './source.js';
import type { ListOptions, Transaction, TransactionOptions } from './types.js';
import { checkOptions } from './verb-options.js';
import { abortedError, deferred, onAbort, throwIfAborted } from './timing.js';
import { createVerbs } from './verbs.js';
import type { CommitQueue } from './write/commit-queue.js';
import { Restart, TransactionRun, conflictAfter } from './write/transaction.js';
import type { TransactionHost } from './write/transaction.js';

export interface TransactionsHost extends TransactionHost {
  readonly registry: TypeRegistry;
  readonly queue: Pick<CommitQueue, 'submit'>;
  readonly ids: Ids;
  readonly inside: Inside;
  check(): void;
  accept<T>(info: TypeInfo, input: T): T;
  before(): Promise<void>;
}

/** What an abort says that comes before there is anything to commit. */
const BEFORE = 'the transaction, of which nothing was written,';
/** Reruns after a conflict, by default. */
export const transactionRetries = 5;

/** Which code runs inside a transaction's callback: one for a store and all its fenced views. */
export class Inside {
  readonly #storage = new AsyncLocalStorage<TransactionRun>();
  #active = 0;

  async run<R>(current: TransactionRun, body: () => Promise<R>): Promise<R> {
    this.#active += 1;
    try {
      return await this.#storage.run(current, body);
    } finally {
      this.#active -= 1;
      // Async hooks slow every promise of the process: they run only while a transaction does.
      if (this.#active === 0) this.#storage.disable();
    }
  }

  /** @throws {ForbiddenError} when called from within a transaction's callback */
  refuse(): void {
    if (this.#active === 0 || this.#storage.getStore()?.open !== true) return;
    throw new ForbiddenError(
      'the store was used inside a transaction: use the verbs of its tx, so that they are part of it (or move this call out of the callback)',
    );
  }
}

export class Transactions {
  readonly #host: TransactionsHost;
  #gate: Promise<void> = Promise.resolve();

  constructor(host: TransactionsHost) {
    this.#host = host;
  }

  async run<R>(run: (tx: Transaction) => Promise<R> | R, options: TransactionOptions): Promise<R> {
    this.#host.check();
    checkOptions('transaction', options);
    if (typeof run !== 'function') throw new BadRequestError(`a transaction takes a function that is given its tx, not ${show(run)}`);
    const { retries = transactionRetries } = withSource(options);
    throwIfAborted(options.signal, BEFORE);
    await this.#host.before();
    for (let attempt = 1; attempt <= retries + 1; attempt += 1) {
      const release = attempt === 1 ? () => {} : await this.#enterGate(options.signal);
      try {
        return await this.#attempt(run, attempt, options, release);
      } catch (error) {
        if (!(error instanceof Restart)) throw error;
      } finally {
        release();
      }
    }
    throw conflictAfter(retries + 1);
  }

  async #attempt<R>(
    run: (tx: Transaction) => Promise<R> | R,
    attempt: number,
    options: TransactionOptions,
    release: () => void,
  ): Promise<R> {
    const current = new TransactionRun(this.#host, options.source);
    const tx: Transaction = Object.freeze({ attempt, ...this.#verbs(current, options.signal) });
    let outcome: { readonly value: R } | { readonly error: unknown };
    try {
      try {
        outcome = { value: await this.#host.inside.run(current, async () => run(tx)) };
      } catch (error) {
        if (error instanceof Restart || current.stale) throw new Restart();
        outcome = { error };
      } finally {
        current.close();
      }
      // A type that the callback brought is remembered before anything of it is written.
      if (this.#host.registry.unsaved) await this.#host.before();
      // What the callback threw may rest on a write that is still under way, and that may yet fail.
      const told = await this.#host.queue.submit(
        current.operation(outcome, { planned: release, discard: 'error' in outcome, receipt: options.receipt }),
        options.signal,
      );
      if ('error' in told) throw told.error;
      return told.value;
    } finally {
      current.release();
    }
  }

  #verbs(run: TransactionRun, signal: AbortSignal | undefined): ReturnType<typeof createVerbs> {
    return createVerbs({
      registry: this.#host.registry,
      ids: this.#host.ids,
      check: () => {
        run.checkOpen();
        throwIfAborted(signal, BEFORE);
      },
      accept: (info, input) => this.#host.accept(info, input),
      read: (info, key, options) => {
        if (options.resourceVersion !== undefined)
          throw new BadRequestError('a transaction reads the present: leave out resourceVersion, or read before it begins');
        return run.read(info, key);
      },
      readByUid: () => {
        throw new BadRequestError('a transaction cannot look up by uid: read by name');
      },
      list: async (info, namespace, options: ListOptions<never>) => {
        if (options.limit !== undefined || options.continue !== undefined || options.resourceVersion !== undefined) {
          throw new BadRequestError(
            'a list inside a transaction is whole and of the present: leave out limit, continue and resourceVersion',
          );
        }
        const { items: all, failed } = await run.list(info, scopeNamespace(namespace));
        const items = selectItems(info, all, options);
        return { items, resourceVersion: String(this.#host.visible()), failed, [Symbol.iterator]: () => items[Symbol.iterator]() };
      },
      write: async (info, key, mutation, options) => {
        if (options.dryRun === true)
          throw new BadRequestError('a transaction has no dry run of single writes: throw from its callback to write nothing');
        return run.write(info, key, mutation);
      },
    });
  }

  /** First come, first served; resolves to the way out, which may be called twice. */
  async #enterGate(signal: AbortSignal | undefined): Promise<() => void> {
    const before = this.#gate;
    const { promise, resolve: open } = deferred();
    this.#gate = promise;
    await new Promise<void>((enter, reject) => {
      const unlisten = onAbort(signal, () => {
        // Whoever stands behind goes on waiting for who stands before.
        void before.then(open);
        reject(abortedError(signal!, BEFORE));
      });
      void before.then(() => {
        unlisten();
        enter();
      });
    });
    return open;
  }
}
