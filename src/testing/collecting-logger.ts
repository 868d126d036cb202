/**
 * A logger that keeps its lines, so that a test can read what was said.
 *
 * Invariants: a line is stamped with the clock it was given; fields are copied (one level) when the line is written;
 * only the newest `limit` lines are kept, so that an hour of virtual time does not fill the heap.
 */
import type { Logger } from '../store/index.js';

/** How grave a line is. */
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error';

/** One line that was logged. */
export interface LogLine {
  readonly level: LogLevel;
  /** Wall clock, ms since the epoch. */
  readonly time: number;
  readonly message: string;
  /** The bindings of the logger and its parents, then the line's own fields. */
  readonly fields: Readonly<Record<string, unknown>>;
}

/** A logger and what it has collected. */
export interface CollectingLogger {
  readonly logger: Logger;
  /** The newest lines, oldest first. */
  lines(): readonly LogLine[];
}

/** What a collecting logger works with. */
export interface CollectingLoggerOptions {
  /** Stamps the lines, ms since the epoch. */
  readonly now: () => number;
  /** Gets every line as well, for seeing them while a test runs. */
  readonly forward?: Logger | undefined;
  /** How many lines are kept. Default 10,000. */
  readonly limit?: number | undefined;
}

/** Makes a logger that keeps its newest lines; its children write into the same list. */
export function createCollectingLogger(options: CollectingLoggerOptions): CollectingLogger {
  const limit = options.limit ?? 10_000;
  let kept: LogLine[] = [];

  const create = (bindings: Readonly<Record<string, unknown>>, forward: Logger | undefined): Logger => {
    const write = (level: LogLevel, fields: object, message: string): void => {
      // Cut in big steps: dropping one line at a time would copy the list with every line.
      if (kept.length >= 2 * limit) kept = limit > 0 ? kept.slice(-limit) : [];
      if (limit > 0) kept.push({ level, time: options.now(), message, fields: { ...bindings, ...fields } });
      forward?.[level](fields, message);
    };
    return {
      trace: (fields, message) => write('trace', fields, message),
      debug: (fields, message) => write('debug', fields, message),
      info: (fields, message) => write('info', fields, message),
      warn: (fields, message) => write('warn', fields, message),
      error: (fields, message) => write('error', fields, message),
      child: (more) => create({ ...bindings, ...more }, forward?.child(more)),
    };
  };

  return {
    logger: create({}, options.forward),
    lines: () => (kept.length > limit ? kept.slice(-limit) : kept.slice()),
  };
}
