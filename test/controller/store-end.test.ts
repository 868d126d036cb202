/** What a manager does when its store goes away under it. */
import { describe, expect, it } from 'vitest';
import { createManager, defineController } from '../../src/controller/index.js';
import { Service } from '../../src/schemas/index.js';
import { memoryEngine, openStore } from '../../src/store/index.js';

describe('a manager', () => {
  it('fails and stops when its store is closed', async () => {
    const store = await openStore({ engine: memoryEngine() });
    const manager = createManager({ store, controllers: [defineController({ name: 'idle', for: Service, reconcile: () => {} })] });
    const running = manager.run({});
    const failure = running.then(
      () => undefined,
      (error: unknown) => error,
    );
    await store.create(Service, 'default', 'a', { spec: { image: 'x' } });
    await store.close();
    expect(await failure).toMatchObject({ name: 'StoreClosedError' });
    expect(manager.state).toBe('stopped');
  });
});
