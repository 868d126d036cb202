/**
 * The real world behind `Deps`: system clock, timers, turns of the event loop, chance, UUIDs, key material, pino.
 *
 * Invariants: this is the only file outside the test kit that touches them. UUIDs are version 7 (RFC 9562): those of one
 * process rise strictly, also within a millisecond and when the clock goes back, so an index of them is appended to.
 */
import { randomBytes, randomFillSync } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { destination, pino } from 'pino';
import type { Clock, Deps, Entropy, Ids, Logger, Random, Scheduler, Timer } from './deps.js';

/** The longest delay that Node's timers can hold; a longer one would fire at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;
const SUFFIX_ALPHABET = 'bcdfghjklmnpqrstvwxz2456789';
/** Bytes from here on are thrown away, so that each character is equally likely. */
const SUFFIX_CEILING = 256 - (256 % SUFFIX_ALPHABET.length);
const SEQUENCE_CEILING = 0x1000;
const HEX = '0123456789abcdef';

/** The real dependencies; `overrides` replace single ones, for example the logger. */
export function systemDeps(overrides: Partial<Deps> = {}): Deps {
  const clock = overrides.clock ?? systemClock();
  return {
    clock,
    scheduler: overrides.scheduler ?? systemScheduler(),
    random: overrides.random ?? systemRandom(),
    ids: overrides.ids ?? systemIds(clock),
    entropy: overrides.entropy ?? systemEntropy(),
    logger: overrides.logger ?? systemLogger(),
  };
}

function systemClock(): Clock {
  return { now: () => Date.now(), monotonic: () => performance.now() };
}

function systemScheduler(): Scheduler {
  return {
    after: (delayMs, task, options) =>
      delayMs > 0 ? longTimer(delayMs, task, options?.unref === true) : nextTurn(task, options?.unref === true),
    defer: (task) => void setImmediate(task),
    turn: () => new Promise((resolve) => setImmediate(resolve)),
  };
}

function nextTurn(task: () => void, unref: boolean): Timer {
  const immediate = setImmediate(task);
  if (unref) immediate.unref();
  return { cancel: () => clearImmediate(immediate) };
}

/** A timer of any length, in steps that Node can hold. */
function longTimer(delayMs: number, task: () => void, unref: boolean): Timer {
  let left = delayMs;
  let timeout: NodeJS.Timeout;
  const step = (): void => {
    if (left <= 0) return task();
    const part = Math.min(left, LONGEST_TIMER_MS);
    left -= part;
    timeout = setTimeout(step, part);
    if (unref) timeout.unref();
  };
  step();
  return { cancel: () => clearTimeout(timeout) };
}

function systemRandom(): Random {
  return { next: () => Math.random() };
}

function systemEntropy(): Entropy {
  return { bytes: (length) => new Uint8Array(randomBytes(length)) };
}

/** Random bytes are drawn in bulk: one call to the generator for each id would cost more than the rest of it. */
function systemIds(clock: Clock): Ids {
  const pool = Buffer.alloc(4096);
  let used = pool.length;
  const take = (length: number): number => {
    if (used + length > pool.length) {
      randomFillSync(pool);
      used = 0;
    }
    used += length;
    return used - length;
  };
  let lastMs = -1;
  let sequence = 0;
  // One text cut from bytes costs a fraction of one put together from pieces, and is flat for whoever hashes it.
  const text = Buffer.alloc(36, '-');
  const digits = (at: number, value: number, count: number): void => {
    let rest = value;
    for (let index = at + count - 1; index >= at; index -= 1) {
      text[index] = HEX.charCodeAt(rest & 15);
      rest >>>= 4;
    }
  };
  return {
    uuid() {
      const now = Math.floor(clock.now());
      const at = take(10);
      const before = lastMs;
      if (now > lastMs) {
        lastMs = now;
        // The upper half stays free, so that a burst within the millisecond has room to count up.
        sequence = pool.readUInt16BE(at) & (SEQUENCE_CEILING / 2 - 1);
      } else if (++sequence === SEQUENCE_CEILING) {
        lastMs += 1;
        sequence = 0;
      }
      if (lastMs !== before) {
        const time = lastMs.toString(16).padStart(12, '0');
        text.write(`${time.slice(0, 8)}-${time.slice(8)}-7`, 'latin1');
      }
      digits(15, sequence, 3);
      digits(19, (pool.readUInt16BE(at + 2) & 0x3fff) | 0x8000, 4);
      digits(24, pool.readUInt16BE(at + 4), 4);
      digits(28, pool.readUInt32BE(at + 6), 8);
      return text.toString('latin1');
    },
    suffix(length) {
      let text = '';
      while (text.length < length) {
        const byte = pool[take(1)] ?? SUFFIX_CEILING;
        if (byte < SUFFIX_CEILING) text += SUFFIX_ALPHABET.charAt(byte % SUFFIX_ALPHABET.length);
      }
      return text;
    },
  };
}

/** Logs go to stderr: stdout belongs to the program. */
function systemLogger(): Logger {
  return pino({ name: 'rune' }, destination({ dest: 2, sync: true }));
}
