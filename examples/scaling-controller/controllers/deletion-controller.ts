/**
 * Carries out deletion operations: deletes a service, waits until its last instance has stopped, and says so.
 */
import { DeletionOperation, Instance, Service, defineController } from 'rune-runtime';

export const deletionController = defineController({
  name: 'deletion',
  for: DeletionOperation,
  reads: [Instance],
  watches: [
    {
      resource: Service,
      map: ({ metadata }, { lister }) =>
        lister(DeletionOperation)
          .byIndex('byService', metadata.name)
          .filter((operation) => operation.metadata.namespace === metadata.namespace)
          .map((operation) => operation.metadata),
    },
  ],
  async reconcile({ object: operation, lister, repo, status, condition, clock }) {
    const { phase, startedAt, total } = operation.status ?? {};
    if (phase === 'completed' || phase === 'failed' || phase === 'cancelled') return;
    const { namespace } = operation.metadata;
    const { service: name, dryRun, cancelled } = operation.spec;
    const at = new Date(clock.now()).toISOString();
    const finish = (outcome: 'completed' | 'failed' | 'cancelled', message: string): void => {
      status({ phase: outcome, completedAt: at, message });
      condition('Complete', outcome === 'completed', { reason: outcome, message });
    };
    if (name === undefined || namespace === undefined)
      return finish('failed', 'this controller deletes services: name one in spec.service');
    const service = await repo(Service).find({ namespace, name });
    const instances = lister(Instance)
      .byIndex('byService', name)
      .filter(({ metadata }) => metadata.namespace === namespace).length;
    if (dryRun) {
      status({ total: instances });
      return finish('completed', `would delete ${service === undefined ? 'nothing' : `${name} and ${instances} instances`}`);
    }
    if (service === undefined) {
      if (phase === undefined) return finish('failed', `service ${name} does not exist`);
      status({ deleted: total ?? 0 });
      return finish('completed', `deleted ${name} and ${total ?? 0} instances`);
    }
    if (cancelled && service.metadata.deletionTimestamp === undefined) return finish('cancelled', 'cancelled before it began');
    const all = total ?? instances;
    status({ phase: 'in_progress', startedAt: startedAt ?? at, total: all, deleted: Math.max(all - instances, 0) });
    if (service.metadata.deletionTimestamp === undefined)
      await repo(Service).delete(service.metadata, { preconditions: { uid: service.metadata.uid } });
  },
});
