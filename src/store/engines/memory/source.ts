/**
 * A piece of memory that engines are opened on: it outlives them, as a disk outlives a process.
 *
 * Invariants: one engine is open at a time; what was durable is there at the next `open`, what was pending is not.
 */
import { StoreError } from '../../../schemas/index.js';
import type { EngineSource } from '../../engine.js';
import { openMemory } from './engine.js';
import type { CommitFault, OpenMemory } from './engine.js';
import { MemoryState } from './state.js';

export interface MemoryEngineOptions {
  /** How long a commit stays pending, in ms. Default 0: until the next turn. */
  readonly latencyMs?: number;
  /** Whether entries carry the decoded object that was written. Default true. */
  readonly decoded?: boolean;
}

/** A piece of memory, and the ways to make it fail. */
export interface MemorySource extends EngineSource {
  /** Kills the open engine: what is pending is lost, its calls reject. What was durable waits for the next `open`. */
  crash(): void;
  /** Makes the next commit reject with `error`; `applied` says whether its writes became durable all the same. */
  failNextCommit(error: Error, options: { readonly applied: boolean }): void;
  /** Sets how long commits stay pending from now on, in ms. */
  setLatency(ms: number): void;
}

/**
 * An engine in memory: nothing survives the process, everything survives `crash()` and `close()`.
 * @example const source = memoryEngine(); await using store = await openStore({ engine: source });
 */
export function memoryEngine(options: MemoryEngineOptions = {}): MemorySource {
  const decoded = options.decoded ?? true;
  const state = new MemoryState(decoded);
  let latencyMs = options.latencyMs ?? 0;
  let fault: CommitFault | undefined;
  let open: OpenMemory | undefined;
  return {
    name: 'memory',
    keptWith: new Map<string, Uint8Array>(),
    async open({ deps }) {
      if (open) throw new StoreError('this memory engine is open already: close it first, or take a second one');
      const opened = openMemory(
        {
          state,
          decoded,
          latencyMs: () => latencyMs,
          takeFault() {
            const taken = fault;
            fault = undefined;
            return taken;
          },
          closed() {
            if (open === opened) open = undefined;
          },
        },
        deps,
      );
      open = opened;
      return opened.engine;
    },
    crash() {
      const killed = open;
      open = undefined;
      killed?.crash();
    },
    failNextCommit(error, { applied }) {
      fault = { error, applied };
    },
    setLatency(ms) {
      latencyMs = ms;
    },
  };
}
