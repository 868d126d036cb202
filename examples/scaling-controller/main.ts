/**
 * The example as a program: applies manifests to a store, runs the controllers until the world is as asked, shows it.
 *
 * Exit codes: 0 converged (or stopped by Ctrl-C with --keep-running), 1 did not converge in time, 2 wrong arguments or manifests.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { pino } from 'pino';
import { DeletionOperation, Instance, ScalingOperation, Service, createManager, openStore, sleep, systemDeps } from 'rune-runtime';
import { deletionController } from './controllers/deletion-controller.js';
import { instanceController } from './controllers/instance-controller.js';
import { isFinished, scalingController } from './controllers/scaling-controller.js';
import { serviceController } from './controllers/service-controller.js';
import { ManifestError, applyManifests } from './manifests.js';
import { createView } from './view.js';
import type { Picture } from './view.js';

const usage = `npm start -- [--data DIR] [--keep-running] [--json] [--timeout SECONDS] [MANIFEST.yaml ...]

  --data DIR       keep the store in DIR (default: a new directory, removed at the end)
  --keep-running   stay until Ctrl-C
  --json           print one JSON summary as the last line
  --timeout S      give up after S seconds without convergence (default 60)

Manifests are applied each time: what one of them deleted, another run of the same manifests makes anew.
`;

const types = [Service, Instance, ScalingOperation, DeletionOperation];

async function main(): Promise<number> {
  const args = readArguments();
  if (args === undefined) return 2;
  const here = dirname(fileURLToPath(import.meta.url));
  const files = args.files.length > 0 ? args.files : ['services.yaml', 'operations.yaml'].map((file) => join(here, 'manifests', file));
  const data = args.data ?? (await mkdtemp(join(tmpdir(), 'rune-')));
  const deps = systemDeps({ logger: pino({ level: process.env['LOG_LEVEL'] ?? 'silent' }, pino.destination(2)) });
  const began = deps.clock.monotonic();
  try {
    await using store = await openStore({ path: data, types, deps });
    try {
      await applyManifests(store, files, types);
    } catch (error) {
      if (!(error instanceof ManifestError)) throw error;
      console.error(`nothing was applied:\n${error.message}`);
      return 2;
    }
    const manager = createManager({ store, controllers: [serviceController, instanceController, scalingController, deletionController] });
    const stop = new AbortController();
    const interrupt = (): void => stop.abort();
    process.once('SIGINT', interrupt);
    process.once('SIGTERM', interrupt);
    const services = manager.informers.for(Service);
    const operations = manager.informers.for(ScalingOperation);
    const deletions = manager.informers.for(DeletionOperation);
    const look = (): Picture => ({ services: services.list({}), operations: operations.list({}), deletions: deletions.list({}) });
    const view = createView(args.json ? { write: () => {} } : process.stdout);

    const converged = new Promise<boolean>((resolve) => {
      const changed = (): void => {
        if (!services.synced || !operations.synced || !deletions.synced) return;
        const picture = look();
        view.show(picture);
        if (isConverged(picture)) resolve(true);
      };
      const handler = { onAdd: changed, onUpdate: changed, onDelete: changed };
      services.addHandler(handler);
      operations.addHandler(handler);
      deletions.addHandler(handler);
      stop.signal.addEventListener('abort', () => resolve(false), { once: true });
      void sleep(deps, args.timeoutMs, { signal: stop.signal }).then(
        () => resolve(false),
        () => resolve(false),
      );
      // What was there at the start may be all there is to do: then no event follows the first list.
      void Promise.all([services.whenSynced(), operations.whenSynced(), deletions.whenSynced()]).then(changed, () => {});
    });
    await manager.start();
    const done = await converged;
    const picture = look();
    view.finish(picture);
    if (args.keepRunning && !stop.signal.aborted) {
      console.error('running; Ctrl-C stops');
      await new Promise<void>((resolve) => stop.signal.addEventListener('abort', () => resolve(), { once: true }));
    }
    stop.abort();
    await manager.stop();
    if (args.json) console.log(JSON.stringify(summary(look(), done, store.revision, Math.round(deps.clock.monotonic() - began))));
    return done || args.keepRunning ? 0 : 1;
  } finally {
    if (args.data === undefined) await rm(data, { recursive: true, force: true });
  }
}

function isConverged({ services, operations, deletions }: Picture): boolean {
  return (
    [...operations, ...deletions].every(isFinished) &&
    services.every(({ spec, status }) => status?.readyInstances === spec.scale && status.instances === spec.scale)
  );
}

function summary({ services, operations, deletions }: Picture, converged: boolean, revision: string, elapsedMs: number): object {
  return {
    converged,
    revision,
    services: services.map(({ metadata, spec, status }) => ({
      namespace: metadata.namespace,
      name: metadata.name,
      desired: spec.scale,
      ready: status?.readyInstances ?? 0,
    })),
    operations: [...operations, ...deletions].map(({ metadata, status }) => ({
      namespace: metadata.namespace,
      name: metadata.name,
      phase: status?.phase ?? 'pending',
    })),
    elapsedMs,
  };
}

function readArguments():
  | { files: string[]; data: string | undefined; keepRunning: boolean; json: boolean; timeoutMs: number }
  | undefined {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        data: { type: 'string' },
        'keep-running': { type: 'boolean' },
        json: { type: 'boolean' },
        timeout: { type: 'string' },
        help: { type: 'boolean' },
      },
    });
    const seconds = Number(values.timeout ?? 60);
    if (values.help === true || !(seconds > 0))
      throw new Error(values.help === true ? '' : `--timeout must be a number of seconds, not "${values.timeout}"`);
    return {
      files: positionals,
      data: values.data,
      keepRunning: values['keep-running'] === true,
      json: values.json === true,
      timeoutMs: seconds * 1000,
    };
  } catch (error) {
    console.error(`${(error as Error).message}\n${usage}`.trimStart());
    return undefined;
  }
}

process.exitCode = await main();
