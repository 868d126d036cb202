/** The matchers for vitest: what they accept, and the story they tell when they do not. */
import { describe, expect, it } from 'vitest';
import '../../src/testing/vitest.js';
import { defineController } from '../../src/controller/index.js';
import { Service } from '../../src/schemas/index.js';
import { openTestStore, testRig, type TestRig } from '../../src/testing/index.js';

const web = { namespace: 'default', name: 'web' } as const;
const starter = defineController({
  name: 'starter',
  for: Service,
  reconcile({ object, condition, status, event, clock }) {
    const age = clock.now() - Date.parse(object.metadata.creationTimestamp);
    if (age < 60_000) {
      condition('Ready', false, { reason: 'Starting', message: 'one minute' });
      return { requeueAfter: 60_000 - age };
    }
    event('Normal', 'Started', 'it took a minute');
    status({ phase: 'Running' });
    condition('Ready', true, { reason: 'Started' });
    return undefined;
  },
});
const failing = defineController({
  name: 'failing',
  for: Service,
  reconcile() {
    throw new Error('not today');
  },
});

const open = (): Promise<TestRig> => testRig({ controllers: [starter], objects: { services: [web] } });
const complaint = (assertion: () => void): string => {
  try {
    assertion();
  } catch (error) {
    return (error as Error).message;
  }
  return '';
};

describe('the matchers', () => {
  it('toHaveCondition looks at type, status, reason and message', async () => {
    await using rig = await open();
    await rig.settle();
    const early = await rig.repo(Service).get(web);
    expect(early).toHaveCondition('Ready', false, { reason: 'Starting', message: /minute/ });
    expect(early).not.toHaveCondition('Ready');
    expect(early).not.toHaveCondition('Progressing', 'Unknown');
    const message = complaint(() => expect(early).toHaveCondition('Ready', true));
    expect(message).toContain('expected Service default/web to have condition Ready=True; it has Ready=False (Starting): one minute');
    expect(message).toMatch(/CREATED service default\/web/);
    expect(message).toMatch(/starter reconcile default\/web: requeueAfter, again in 60000 ms, 1 write <- existing service default\/web/);
    expect(complaint(() => expect('web').toHaveCondition('Ready'))).toContain('with its metadata');
  });

  it('toBeReconciled looks at an object, or at all of a rig', async () => {
    await using rig = await open();
    await rig.settle();
    expect(rig).toBeReconciled();
    expect(await rig.store.getService('web')).toBeReconciled();
    await using bad = await testRig({ controllers: [failing], objects: { services: [web] } });
    await bad.settle();
    const service = await bad.store.getService('web');
    expect(service).not.toBeReconciled();
    expect(complaint(() => expect(service).toBeReconciled())).toMatch(
      /controller failing failed 6 times in a row: not today[^]*what happened:[^]*failing reconcile default\/web \(attempt 6\): error: not today/,
    );
    expect(complaint(() => expect(bad).toBeReconciled())).toContain('the last run of failing default/web ended with error: not today');
    const config = await bad.store.createConfig();
    expect(complaint(() => expect(config).toBeReconciled())).toContain('no controller reconciles Config');
    expect(complaint(() => expect({ metadata: { name: 'x' } }).toBeReconciled())).toContain('read through one');
  });

  it('toBeReconciled takes neither a rig that was not started nor a dead process for reconciled', async () => {
    await using rig = await testRig({ controllers: [starter], objects: { services: [web] }, start: false });
    const service = await rig.store.getService('web');
    expect(complaint(() => expect(rig).toBeReconciled())).toContain('start: false');
    expect(complaint(() => expect(service).toBeReconciled())).toContain('start: false');
    await rig.start();
    await rig.settle();
    expect(rig).toBeReconciled();
    rig.kill({ restart: false });
    expect(complaint(() => expect(rig).toBeReconciled())).toContain('its process is down');
    expect(complaint(() => expect(service).toBeReconciled())).toContain('its process is down');
    await rig.crash();
    await rig.settle();
    await rig.manager.stop();
    expect(complaint(() => expect(rig).toBeReconciled())).toContain('its manager is stopped');
  });

  it('know an object however it was read: by a wait, a watch, the history, a transaction, or from the record', async () => {
    await using rig = await open();
    const watch = rig.store.watch(Service, 'default', { initial: true });
    const batch = rig.store.watch(Service, 'default', { initial: true }).batches();
    await rig.settle();
    await rig.advance('1m');
    const services = rig.repo(Service);
    const event = (await watch.next()).value;
    const [first] = (await batch.next()).value?.events ?? [];
    const found = [
      await services.waitFor(web, 'Ready'),
      event?.type === 'CREATED' ? event.resource : undefined,
      first?.type === 'CREATED' ? first.resource : undefined,
      rig.events({ type: Service }).at(-1)?.resource,
      (await services.history(web))[0]?.resource,
      await rig.store.transaction((tx) => tx.get(Service, 'default', 'web')),
    ];
    expect(found).toHaveLength(6);
    for (const each of found) expect(each).toBeReconciled();
  });

  it('toHaveEvent does not take an event of an earlier object of the same name', async () => {
    await using rig = await open();
    await rig.settle();
    await rig.advance('1m');
    expect(await rig.repo(Service).get(web)).toHaveEvent('Started');
    await rig.repo(Service).delete(web);
    await rig.settle();
    const next = await rig.store.createService(web);
    expect(next).not.toHaveEvent('Started');
  });

  it('toHaveEvent looks at reason, type and note, of an object or of all', async () => {
    await using rig = await open();
    await rig.settle();
    expect(rig).not.toHaveEvent('Started');
    await rig.advance('1m');
    expect(rig).toHaveEvent('Started');
    const service = await rig.repo(Service).get(web);
    expect(service).toHaveEvent({ type: 'Normal', reason: 'Started', note: /a minute/ });
    expect(service).not.toHaveEvent({ type: 'Warning' });
    expect(complaint(() => expect(service).toHaveEvent('Stopped'))).toContain('there are Normal Started: it took a minute');
    await using store = await openTestStore();
    await store.createEvent({ reason: 'Told' });
    expect(store).toHaveEvent('Told');
    expect(complaint(() => expect(store).toHaveEvent('Other'))).toContain('Normal Told');
  });

  it('toEventually moves virtual time until it holds', async () => {
    await using rig = await open();
    await expect(rig).toEventually(async () => expect(await rig.repo(Service).get(web)).toHaveCondition('Ready'));
    expect(rig.deps.clock.now()).toBeGreaterThanOrEqual(Date.parse('2026-01-01T00:01:00Z'));
    await expect(rig).not.toEventually(() => false, { within: '5m' });
    await expect(
      expect(rig).toEventually(
        () => {
          throw new Error('still not');
        },
        { within: '1m' },
      ),
    ).rejects.toThrow(/did not come to hold within 60000 ms of virtual time: still not[^]*CREATED service/);
    await expect(expect(1).toEventually(() => true)).rejects.toThrow(/of a rig or a TestStore/);
  });
});
