/**
 * Keeps `spec.scale` instances of each service, and its status: what is there, what is ready.
 */
import { Instance, Service, defineController } from 'rune-runtime';

export const serviceController = defineController({
  name: 'service',
  for: Service,
  owns: [Instance],
  concurrency: 4,
  async reconcile({ object: service, children, ensure, repo, status, condition }) {
    const { name } = service.metadata;
    const { scale, image, startupTime, stopTime } = service.spec;
    const instances = children(Instance);

    for (let index = 0; index < scale; index += 1) {
      const child = `${name}-${index}`;
      // A copy that is still stopping keeps its name; its end wakes us, and then the new one is made.
      if (instances.some(({ metadata }) => metadata.name === child && metadata.deletionTimestamp !== undefined)) continue;
      const times = { ...(startupTime === undefined ? {} : { startupTime }), ...(stopTime === undefined ? {} : { stopTime }) };
      await ensure(Instance, { metadata: { name: child, labels: { service: name } }, spec: { service: name, image, index, ...times } });
    }
    for (const { metadata, spec } of instances) {
      if ((spec.index ?? 0) >= scale && metadata.deletionTimestamp === undefined) await repo(Instance).delete(metadata);
    }

    const alive = instances.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
    const ready = alive.filter((instance) => instance.status?.phase === 'Running').length;
    const settled = ready === scale && instances.length === scale;
    status({ instances: instances.length, readyInstances: ready, phase: settled ? (scale === 0 ? 'Stopped' : 'Running') : 'Scaling' });
    condition('Ready', settled, { reason: settled ? 'AllReady' : 'Waiting', message: `${ready} of ${scale} instances are ready` });
  },
  async finalize({ children, repo }) {
    const instances = children(Instance);
    for (const { metadata } of instances) if (metadata.deletionTimestamp === undefined) await repo(Instance).delete(metadata);
    // The end of each instance wakes us; the service goes after the last.
    if (instances.length > 0) return { requeueAfter: '5s' };
  },
});
