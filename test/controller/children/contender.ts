/**
 * Real world: one of several processes that stand for election over one data directory: `contender.ts <path> <identity>`.
 * Tells what it does as JSON lines with the wall clock of the machine, which all of them share.
 *
 * Asked by SIGUSR2 it freezes itself, in the middle of a reconcile and with no write under way: a process that is frozen
 * from outside may hold the lock of the data, and then the others wait with it.
 */
import { lmdbEngine, openStore, type Store } from '../../../src/store/index.js';
import { createManager, defineController } from '../../../src/controller/index.js';
import { Widget } from '../world.js';

const [path, identity] = process.argv.slice(2) as [string, string];
const say = (line: object): void => void process.stdout.write(`${JSON.stringify({ ...line, identity, at: Date.now() })}\n`);
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const silent = { trace() {}, debug() {}, info() {}, warn() {}, error() {}, child: () => silent };

let writes = 0;
/** The same store, with the writes that are under way counted, those behind a fence included. */
function counted(target: Store): Store {
  // Not a proxy of the target itself: a fenced view is frozen, and a proxy must show what is frozen as it is.
  return new Proxy({} as Store, {
    get(_, property) {
      const value: unknown = Reflect.get(target, property, target);
      if (typeof value !== 'function') return value;
      const call = value.bind(target) as (...args: readonly unknown[]) => unknown;
      if (property === 'fenced') return (...args: readonly unknown[]) => counted(call(...args) as Store);
      if (property !== 'create' && property !== 'patch') return call;
      return async (...args: readonly unknown[]) => {
        writes += 1;
        try {
          return await call(...args);
        } finally {
          writes -= 1;
        }
      };
    },
  });
}
let freezing = false;
process.on('SIGUSR2', () => (freezing = true));

const store = counted(await openStore({ engine: lmdbEngine({ path }), types: [Widget] }));
const controller = defineController({
  name: 'widgets',
  for: Widget,
  concurrency: 4,
  timeout: false,
  async reconcile({ object, repo }) {
    const { name } = object.metadata;
    say({ did: 'begin', name });
    await sleep(60);
    if (freezing && writes === 0) {
      freezing = false;
      say({ did: 'freeze', name });
      process.kill(process.pid, 'SIGSTOP');
    }
    try {
      // Of whoever writes: what another has written already would be no write, and nothing to refuse.
      await repo(Widget).patch({ namespace: 'prod', name }, { spec: { size: object.spec.size + 1, note: identity } });
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
