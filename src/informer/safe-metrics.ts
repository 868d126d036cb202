/**
 * What an informer tells its metrics.
 *
 * Invariant: what they throw is reported and goes no further. They are told between a change of the cache and its handlers.
 */
import type { InformerMetrics } from './types.js';

export class SafeMetrics implements Required<InformerMetrics> {
  readonly #metrics: InformerMetrics;
  readonly #onError: (error: unknown) => void;

  constructor(metrics: InformerMetrics, onError: (error: unknown) => void) {
    this.#metrics = metrics;
    this.#onError = onError;
  }

  events(type: string, count: number): void {
    try {
      this.#metrics.events?.(type, count);
    } catch (error) {
      this.#onError(error);
    }
  }

  relist(type: string, reason: 'expired' | 'error'): void {
    try {
      this.#metrics.relist?.(type, reason);
    } catch (error) {
      this.#onError(error);
    }
  }

  missed(type: string, handler: string, count: number): void {
    try {
      this.#metrics.missed?.(type, handler, count);
    } catch (error) {
      this.#onError(error);
    }
  }

  handlerError(type: string, handler: string): void {
    try {
      this.#metrics.handlerError?.(type, handler);
    } catch (error) {
      this.#onError(error);
    }
  }

  unopened(type: string): void {
    try {
      this.#metrics.unopened?.(type);
    } catch (error) {
      this.#onError(error);
    }
  }
}
