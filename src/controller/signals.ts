/** Signals of the process, for managers that ask for them. Invariant: what is installed is removed again. */
import type { Logger } from '../store/index.js';

/** SIGINT and SIGTERM: the first stops, the second exits. Returns what removes the listeners. */
export function onProcessSignals(logger: Logger, stop: () => void): () => void {
  let seen = false;
  const listener = (signal: NodeJS.Signals): void => {
    if (seen) {
      logger.error({ signal }, 'a second signal: exiting at once');
      process.exit(1);
    }
    seen = true;
    logger.info({ signal }, 'stopping');
    stop();
  };
  process.on('SIGINT', listener);
  process.on('SIGTERM', listener);
  return () => {
    process.removeListener('SIGINT', listener);
    process.removeListener('SIGTERM', listener);
  };
}
