/** The log lines of runs that did not simply succeed: which level, which sentence. */
import type { Logger } from '../store/index.js';
import type { HotLoopVerdict } from './hot-loop.js';
import type { Outcome } from './outcome.js';
import type { Run } from './run.js';

const SENTENCES: Readonly<Record<Outcome['kind'], string>> = {
  success: 'reconciled',
  requeueAfter: 'reconciled',
  error: 'reconcile failed; it is tried again',
  terminal: 'reconcile failed for good; it waits for a change',
  exhausted: 'reconcile failed and its retries are used up; it waits for a change',
  conflict: 'reconcile lost to another write; it runs again on what is there now',
  timeout: 'a reconcile past its timeout has settled; its key is free again',
};

/** Tells how a run failed. The logger carries the controller; the line carries key and reconcileID. */
export function logFailure(logger: Logger, run: Run, outcome: Outcome): void {
  const fields = { key: run.key, reconcileID: run.id, attempt: run.attempt, durationMs: run.tookMs, err: outcome.error };
  // A run that was told to stop, and says so by throwing, did what it should.
  if (run.aborted && !run.timedOut) logger.debug(fields, 'reconcile ended by the stop');
  else if (outcome.kind === 'timeout') logger.info(fields, SENTENCES.timeout);
  else logger[outcome.level](fields, SENTENCES[outcome.kind]);
}

/** Tells that a key is slowed because it causes its own runs; gives the note for an event the first time. */
export function logHotLoop(logger: Logger, run: Run, { runs, fields, delayMs, report }: HotLoopVerdict): string | undefined {
  const details = { key: run.key, reconcileID: run.id, runs, delayMs, fields };
  if (!report) {
    logger.debug(details, 'a key still causes its own runs');
    return undefined;
  }
  const flips = fields.length === 0 ? 'what is not known' : fields.join(', ');
  const note = `its own writes ran it ${runs} times in a row; they keep changing ${flips}`;
  logger.warn(details, `a key causes its own runs and is slowed: ${note}`);
  return note;
}
