/**
 * The objects of bench/informer.ts, about 1.1 kB each, and feeds of them with no store behind.
 */
import { defineResource, freezeJson, type CachedOf } from '../src/schemas/index.js';
import { systemDeps, type Store, type Watch, type WatchBatch } from '../src/store/index.js';

export const deps = { ...systemDeps(), logger: quietLogger() };

export const App = defineResource({
  kind: 'App',
  scope: 'Namespaced',
  spec: { type: 'object', additionalProperties: true },
  status: { type: 'object', additionalProperties: true },
  history: false,
  indexes: { byNode: (app) => app.spec['node'] as string },
});
export type App = CachedOf<typeof App>;

const NAMESPACES = 10;
export const namespaceOf = (i: number): string => `team-${i % NAMESPACES}`;

/** A Deployment-like object; about 1.1 kB as JSON once it is stored. */
export function app(
  i: number,
  replicas: number,
): {
  metadata: { labels: Record<string, string>; annotations: Record<string, string> };
  spec: Record<string, unknown>;
  status: Record<string, unknown>;
} {
  return {
    metadata: {
      labels: { app: `app-${i % 500}`, tier: i % 2 === 0 ? 'front' : 'back', version: `v${i % 20}` },
      annotations: {
        'example.dev/owner': `team-${i % 50}@example.dev`,
        'example.dev/note': `kept by the platform for app-${i}: what is changed by hand here is put back within the hour, so change the source`,
      },
    },
    spec: {
      node: `node-${i % 5_000}`,
      replicas,
      selector: { matchLabels: { app: `app-${i % 500}` } },
      template: {
        metadata: { labels: { app: `app-${i % 500}` } },
        spec: {
          containers: [
            {
              name: 'main',
              image: `registry.example.dev/team/app-${i % 500}:1.${i % 20}.0`,
              ports: [{ containerPort: 8080, protocol: 'TCP' }],
              env: [{ name: 'LOG_LEVEL', value: 'info' }],
              resources: { requests: { cpu: '100m', memory: '128Mi' }, limits: { cpu: '500m', memory: '256Mi' } },
            },
          ],
          restartPolicy: 'Always',
        },
      },
    },
    status: {
      observedGeneration: 1,
      replicas: 3,
      readyReplicas: 3,
      conditions: [
        {
          type: 'Available',
          status: 'True',
          reason: 'MinimumReplicasAvailable',
          message: 'has what it needs',
          lastTransitionTime: '2026-01-01T00:00:00Z',
        },
      ],
    },
  };
}

function quietLogger(): ReturnType<typeof systemDeps>['logger'] {
  const nothing = (): void => undefined;
  const logger = { trace: nothing, debug: nothing, info: nothing, warn: nothing, error: nothing, child: () => logger };
  return logger;
}

/** A feed that holds ready batches: the informer alone, without a store behind it. */
export function feedOf(batches: () => Generator<WatchBatch<App>>): Store {
  const watch = (): Watch<App> => {
    const source = batches();
    let close: () => void = () => undefined;
    const closed = new Promise<IteratorResult<WatchBatch<App>>>((resolve) => {
      close = () => resolve({ done: true, value: undefined });
    });
    return {
      progress: '0',
      onProgress: () => () => undefined,
      close: () => Promise.resolve(close()),
      batches: () => ({
        [Symbol.asyncIterator]() {
          return this;
        },
        next: () => {
          const next = source.next();
          // At its end a feed is silent, as a store's is.
          return next.done === true ? closed : Promise.resolve(next);
        },
        return: () => Promise.resolve({ done: true, value: undefined }),
      }),
    } as unknown as Watch<App>;
  };
  return { deps, watch } as unknown as Store;
}

export function decoded(i: number, rv: number): App {
  const object = {
    apiVersion: 'rune.dev/v1',
    kind: 'App',
    ...app(i, rv),
  };
  const whole = {
    ...object,
    metadata: {
      name: `app-${i}`,
      namespace: namespaceOf(i),
      uid: `5f0e8c1e-0000-4000-8000-${String(i).padStart(12, '0')}`,
      generation: 1,
      creationTimestamp: '2026-01-01T00:00:00Z',
      ...object.metadata,
      resourceVersion: String(rv),
    },
  };
  // Through text, as an engine that keeps bytes would give it.
  return freezeJson(JSON.parse(JSON.stringify(whole)));
}

export function* listed(count: number): Generator<WatchBatch<App>> {
  for (let from = 0; from < count; from += 500) {
    const events = Array.from({ length: Math.min(500, count - from) }, (_, i) => {
      const resource = decoded(from + i, from + i + 1);
      const { name, namespace, resourceVersion } = resource.metadata;
      return {
        type: 'CREATED' as const,
        resourceType: 'app',
        namespace: namespace as string,
        name,
        resourceVersion,
        resume: 'initial',
        resource,
        initial: true as const,
      };
    });
    yield { resourceVersion: String(count), resume: 'initial', events };
  }
  const end = { resourceVersion: String(count), resume: String(count) };
  yield { ...end, events: [{ type: 'BOOKMARK', resourceType: 'app', ...end }] };
}
