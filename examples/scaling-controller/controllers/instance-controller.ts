/**
 * Runs instances. These are simulated: starting and stopping take the time that the spec says, and nothing else happens.
 * A real one would start a process where this one writes `Starting`.
 */
import { Instance, defineController, parseDuration } from 'rune-runtime';

const startupDefault = '300ms';
const stopDefault = '150ms';

export const instanceController = defineController({
  name: 'instance',
  for: Instance,
  concurrency: 8,
  reconcile({ object: instance, status, clock }) {
    const { phase, startedAt } = instance.status ?? {};
    if (phase === 'Running') return;
    const now = clock.now();
    const began = startedAt === undefined ? now : Date.parse(startedAt);
    const left = began + parseDuration(instance.spec.startupTime ?? startupDefault, 'startupTime') - now;
    const at = new Date(now).toISOString();
    if (left > 0) {
      status({ phase: 'Starting', startedAt: startedAt ?? at });
      return { requeueAfter: left };
    }
    status({ phase: 'Running', startedAt: startedAt ?? at, readyAt: at });
  },
  finalize({ object: instance, status, clock }) {
    const { phase, stoppedAt } = instance.status ?? {};
    const now = clock.now();
    const began = phase === 'Stopping' && stoppedAt !== undefined ? Date.parse(stoppedAt) : now;
    const left = began + parseDuration(instance.spec.stopTime ?? stopDefault, 'stopTime') - now;
    if (left <= 0) return;
    status({ phase: 'Stopping', stoppedAt: new Date(began).toISOString() });
    // Not done yet: the finalizer stays, and the object with it, until a run returns nothing.
    return { requeueAfter: left };
  },
});
