/**
 * Carries out scaling operations: at once, or step by step; one at a time for a service, the oldest first.
 *
 * Each run is a transaction: the service's new scale and the operation's status are written together or not at all, so a
 * crash between two steps can neither skip a step nor take one twice.
 */
import { ScalingOperation, Service, defineController, parseDuration } from 'rune-runtime';
import type { CachedOf } from 'rune-runtime';

type Operation = CachedOf<typeof ScalingOperation>;

/** Nothing more will happen to an operation in one of these phases. */
export const isFinished = (operation: { readonly status?: { readonly phase?: string } }): boolean =>
  ['completed', 'failed', 'cancelled'].includes(operation.status?.phase ?? 'pending');

const age = ({ metadata }: Operation): string => `${metadata.creationTimestamp} ${metadata.name}`;
const sameService = (a: Operation, b: Operation): boolean =>
  a.metadata.namespace === b.metadata.namespace && a.spec.service === b.spec.service;

export const scalingController = defineController({
  name: 'scaling',
  for: ScalingOperation,
  transactional: true,
  watches: [
    {
      resource: Service,
      map: ({ metadata }, { lister }) =>
        lister(ScalingOperation)
          .byIndex('byService', metadata.name)
          .filter((operation) => operation.metadata.namespace === metadata.namespace && !isFinished(operation))
          .map((operation) => operation.metadata),
    },
  ],
  async reconcile({ object: operation, lister, repo, status, condition, clock, event }) {
    if (isFinished(operation)) return;
    const { spec, metadata } = operation;
    const now = clock.now();
    const at = new Date(now).toISOString();
    const finish = (phase: 'completed' | 'failed' | 'cancelled', message: string): void => {
      status({ phase, completedAt: at, message });
      condition('Complete', phase === 'completed', { reason: phase, message });
      event(phase === 'failed' ? 'Warning' : 'Normal', phase, message);
    };
    if (spec.cancelled) {
      finish('cancelled', 'cancelled: the service stays at the scale it has');
      return;
    }
    const queue = lister(ScalingOperation)
      .byIndex('byService', spec.service)
      .filter((other) => sameService(other, operation) && !isFinished(other));
    const first = queue.reduce((oldest, other) => (age(other) < age(oldest) ? other : oldest), operation);
    if (first.metadata.name !== metadata.name) {
      status({ phase: 'pending', message: `waits for ${first.metadata.name}` });
      // Wakes when the service moves; this is for the case that the other one is cancelled or deleted.
      return { requeueAfter: '1s' };
    }
    const service = await repo(Service).find({ namespace: metadata.namespace!, name: spec.service });
    if (service === undefined) {
      finish('failed', `service ${spec.service} does not exist`);
      return;
    }

    const { scale } = service.spec;
    const startedAt = operation.status?.startedAt ?? at;
    const from = operation.status?.from ?? scale;
    if (scale === spec.target) {
      const ready = service.status?.readyInstances ?? 0;
      status({ phase: 'in_progress', startedAt, from, current: scale });
      if (ready === scale && service.status?.instances === scale) finish('completed', `scaled from ${from} to ${scale}`);
      return;
    }
    const lastStepAt = operation.status?.lastStepAt;
    const interval = parseDuration(spec.interval, 'interval');
    const wait = spec.mode === 'gradual' && lastStepAt !== undefined ? Date.parse(lastStepAt) + interval - now : 0;
    if (wait > 0) return { requeueAfter: wait };
    const step = spec.mode === 'immediate' ? Number.POSITIVE_INFINITY : spec.step;
    const next = scale < spec.target ? Math.min(scale + step, spec.target) : Math.max(scale - step, spec.target);
    await repo(Service).patch(service.metadata, { spec: { scale: next } });
    status({ phase: 'in_progress', startedAt, from, current: next, lastStepAt: at });
    return { requeueAfter: interval };
  },
});
