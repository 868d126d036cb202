/**
 * Real world: one of several processes that stand for election over one data directory: `contender.ts <path> <identity>`.
 * Tells what it does as JSON lines with the wall clock of the machine, which all of them share.
 */
import { lmdbEngine, openStore } from '../../../src/store/index.js';
import { createManager, defineController } from '../../../src/controller/index.js';
import { Widget } from '../world.js';

const [path, identity] = process.argv.slice(2) as [string, string];
const say = (line: object): void => void process.stdout.write(`${JSON.stringify({ ...line, identity, at: Date.now() })}\n`);
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const silent = { trace() {}, debug() {}, info() {}, warn() {}, error() {}, child: () => silent };

const store = await openStore({ engine: lmdbEngine({ path }), types: [Widget] });
const controller = defineController({
  name: 'widgets',
  for: Widget,
  concurrency: 4,
  timeout: false,
  async reconcile({ object, repo }) {
    const { name } = object.metadata;
    say({ did: 'begin', name });
    await sleep(60);
    try {
      await repo(Widget).patch({ namespace: 'prod', name }, { spec: { size: object.spec.size + 1 } });
      say({ did: 'end', name });
    } catch (error) {
      say({ did: 'refused', name, code: (error as { code?: number }).code, message: (error as Error).message });
      throw error;
    }
    return { requeueAfter: 100 };
  },
});
const manager = createManager({
  store,
  controllers: [controller],
  logger: silent,
  garbageCollection: false,
  gracePeriod: 500,
  leaderElection: { name: 'contest', identity, leaseDuration: '2s', renewDeadline: 1300, retryPeriod: 400 },
});
manager.failed.catch((error: unknown) => say({ did: 'failed', message: (error as Error).message }));
await manager.start();
say({ did: 'standby' });
let seen = manager.state;
setInterval(() => {
  if (manager.state !== seen) say({ did: manager.state });
  seen = manager.state;
}, 10);
