/** Real world: a process that runs a manager until it is told to stop by a signal: `stopper.ts <signals: yes|no> <ms to drain>`. */
import { memoryEngine, openStore } from '../../../src/store/index.js';
import { createManager, defineController } from '../../../src/controller/index.js';
import { Widget } from '../world.js';

const [signals, drain] = process.argv.slice(2) as [string, string];
const say = (line: string): void => void process.stdout.write(`${line}\n`);
const silent = { trace() {}, debug() {}, info() {}, warn() {}, error() {}, child: () => silent };

const store = await openStore({ engine: memoryEngine(), types: [Widget] });
await store.create(Widget, 'prod', 'a', { spec: {} });
const manager = createManager({
  store,
  logger: silent,
  signals: signals === 'yes',
  controllers: [
    defineController({
      name: 'widgets',
      for: Widget,
      async reconcile({ signal }) {
        say('begun');
        await new Promise<void>((resolve) => signal.addEventListener('abort', () => setTimeout(resolve, Number(drain))));
        say('drained');
      },
    }),
  ],
});
say(`listeners ${process.listenerCount('SIGTERM')} ${process.listenerCount('SIGINT')}`);
await manager.run();
say(`stopped, listeners ${process.listenerCount('SIGTERM')} ${process.listenerCount('SIGINT')}`);
await store.close();
