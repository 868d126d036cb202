/**
 * What clients that are killed say to who counts on them: a line for each call, before it is made, and for each answer.
 */
import type { Outcome } from '../../store/history-checks.js';
import type { Operation } from '../../store/linearizability.js';
import type { Run } from '../../store/random-transactions.js';

export const CLIENTS = 8;
export const KEYS: readonly string[] = Array.from({ length: 10 }, (_, index) => `${index % 2 === 0 ? 'prod' : 'dev'}/k${index >> 1}`);

/** What the child says. Of several keys, the values and reads are in their order; `ABSENT` for nothing. */
export type Line =
  | {
      readonly is: 'call';
      readonly id: number;
      readonly client: number;
      readonly kind: Operation['kind'] | 'transaction' | 'list';
      readonly keys: readonly string[];
      readonly values?: readonly number[];
      /** What a compare-and-swap rests on. */
      readonly reads?: readonly number[];
    }
  /** The last run of a transaction: what it has seen, and what it writes. */
  | { readonly is: 'plan'; readonly id: number; readonly run: Run }
  | {
      readonly is: 'answer';
      readonly id: number;
      readonly outcome: Outcome;
      readonly reads?: readonly number[];
      readonly revision?: number;
    };
