/**
 * As much of a Kubernetes API server as an informer's list and watch need, over node:http, with ready objects: what is
 * measured against it is the client. Told over IPC: `{ updates: n }` sends n MODIFIED events down the open watch, `{ paced: n }`
 * as many about a millisecond apart, each with the time it was sent.
 */
import { createServer } from 'node:http';

const objects = Number(process.argv[2]);

/** The object of bench/informer.ts, in Kubernetes' clothes. */
function app(i, resourceVersion) {
  return {
    apiVersion: 'rune.dev/v1',
    kind: 'App',
    metadata: {
      name: `app-${i}`,
      namespace: `team-${i % 10}`,
      uid: `5f0e8c1e-0000-4000-8000-${String(i).padStart(12, '0')}`,
      generation: 1,
      creationTimestamp: '2026-01-01T00:00:00Z',
      labels: { app: `app-${i % 500}`, tier: i % 2 === 0 ? 'front' : 'back', version: `v${i % 20}` },
      annotations: {
        'example.dev/owner': `team-${i % 50}@example.dev`,
        'example.dev/note': `kept by the platform for app-${i}: what is changed by hand here is put back within the hour, so change the source`,
      },
      resourceVersion: String(resourceVersion),
    },
    spec: {
      node: `node-${i % 5_000}`,
      replicas: resourceVersion,
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

const items = Array.from({ length: objects }, (_, i) => JSON.stringify(app(i, i + 1)));
const list = Buffer.from(
  `{"apiVersion":"rune.dev/v1","kind":"AppList","metadata":{"resourceVersion":"${objects}"},"items":[${items.join(',')}]}`,
);
let watcher;
let revision = objects;

const server = createServer((request, response) => {
  response.writeHead(200, { 'content-type': 'application/json' });
  if (new URL(request.url, 'http://localhost').searchParams.has('watch')) {
    watcher = response;
    response.flushHeaders();
    process.send({ watching: true });
  } else response.end(list);
});

async function sendUpdates(count) {
  const lines = Array.from(
    { length: count },
    (_, i) => `${JSON.stringify({ type: 'MODIFIED', object: app(i % objects, (revision += 1)) })}\n`,
  );
  process.send({ ready: true });
  await new Promise((resolve) => process.once('message', resolve));
  for (let i = 0; i < lines.length; i += 100) {
    if (!watcher.write(lines.slice(i, i + 100).join(''))) await new Promise((resolve) => watcher.once('drain', resolve));
  }
}

async function sendPaced(count) {
  for (let i = 0; i < count; i++) {
    const object = app(i % objects, (revision += 1));
    object.metadata.annotations['example.dev/sent'] = String(process.hrtime.bigint());
    watcher.write(`${JSON.stringify({ type: 'MODIFIED', object })}\n`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

process.on('message', (message) => {
  if (message.updates !== undefined) void sendUpdates(message.updates);
  if (message.paced !== undefined) void sendPaced(message.paced);
});
// An idle connection stays: closing it under the client would be a failure of ours, not of what is measured.
server.keepAliveTimeout = 0;
server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }));
process.on('disconnect', () => process.exit());
