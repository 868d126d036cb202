/** The test kit, loaded while the runner's fake timers are in place. */
import { expect, it, vi } from 'vitest';

it('works when it is loaded after vi.useFakeTimers()', async () => {
  vi.useFakeTimers();
  try {
    const { TestStore, testRig } = await import('../../src/testing/index.js');
    await using store = new TestStore();
    await store.createService({ name: 'web' });
    expect(await store.listServices()).toHaveLength(1);
    await using rig = await testRig();
    await rig.advance('1h');
    expect(vi.getTimerCount()).toBe(0);
  } finally {
    vi.useRealTimers();
  }
});
