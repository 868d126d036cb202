/** Real world: the server is node:http, on real sockets. */
import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { memoryEngine, openStore, type Store } from '../../src/store/index.js';
import { createManager, defineController, type Manager } from '../../src/controller/index.js';
import { Widget } from './world.js';

const silent = { trace() {}, debug() {}, info() {}, warn() {}, error() {}, child: () => silent };

/** The status line that answers a request target as it stands: fetch would not send all of them. */
function statusOf(base: string, target: string): Promise<string> {
  const { hostname, port } = new URL(base);
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connect(Number(port), hostname, () => socket.write(`GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`));
    socket.on('data', (data) => (text += data.toString()));
    socket.on('error', reject);
    socket.on('close', () => resolve(text.split('\r\n')[0] as string));
  });
}

async function withManager(work: (base: string, manager: Manager, store: Store) => Promise<void>): Promise<void> {
  await using store = await openStore({ engine: memoryEngine(), types: [Widget] });
  const controller = defineController({
    name: 'widgets',
    for: Widget,
    timeout: 20,
    rateLimiter: { baseDelay: '1h' },
    reconcile: ({ object }) => (object.spec.note === 'hang' ? new Promise<void>(() => {}) : undefined),
  });
  await using manager = createManager({ store, controllers: [controller], http: { port: 0 }, logger: silent, gracePeriod: 10 });
  await manager.start();
  const { host, port } = manager.address as { host: string; port: number };
  expect(host).toBe('127.0.0.1');
  await store.create(Widget, 'prod', 'a', { spec: {} });
  await work(`http://${host}:${port}`, manager, store);
}

describe('the HTTP endpoints', () => {
  it('/metrics gives the series in both formats', async () => {
    await withManager(async (base) => {
      const plain = await fetch(`${base}/metrics`);
      expect(plain.headers.get('content-type')).toMatch(/version=0\.0\.4/);
      const text = await plain.text();
      for (const name of [
        'controller_runtime_reconcile_total{controller="widgets",result="success"}',
        'controller_runtime_reconcile_errors_total{controller="widgets"}',
        'controller_runtime_terminal_reconcile_errors_total',
        'controller_runtime_reconcile_panics_total',
        'controller_runtime_reconcile_timeouts_total',
        'controller_runtime_reconcile_time_seconds_bucket',
        'controller_runtime_max_concurrent_reconciles{controller="widgets"} 1',
        'controller_runtime_active_workers',
        'workqueue_depth{name="widgets",controller="widgets"',
        'workqueue_adds_total{name="widgets",controller="widgets"}',
        'informer_objects{resource="widget"} 1',
        'event_loop_lag_seconds',
      ]) {
        expect(text).toContain(name);
      }
      // Asked before it is told.
      expect(text).toMatch(/^store_size_bytes [1-9]/m);
      const open = await fetch(`${base}/metrics`, { headers: { accept: 'application/openmetrics-text; version=1.0.0' } });
      expect(open.headers.get('content-type')).toMatch(/openmetrics/);
      expect(await open.text()).toMatch(/# EOF\n$/);
    });
  });

  it('/healthz and /readyz answer ok, verbosely on request, single checks at their own path', async () => {
    await withManager(async (base) => {
      const get = async (path: string): Promise<[number, string]> => {
        const response = await fetch(base + path);
        return [response.status, await response.text()];
      };
      expect(await get('/healthz')).toEqual([200, 'ok']);
      expect(await get('/readyz')).toEqual([200, 'ok']);
      expect((await get('/readyz?verbose'))[1]).toMatch(/\[\+\]controller-widgets ok\n[^]*readyz check passed/);
      expect(await get('/readyz/controller-widgets')).toEqual([200, 'ok']);
      expect((await get('/readyz/nothing'))[0]).toBe(404);
      expect((await get('/other'))[0]).toBe(404);
      expect((await fetch(`${base}/healthz`, { method: 'POST' })).status).toBe(405);
    });
  });

  it('answers every target: `//` and other nonsense is not found, and metrics that cannot be told are an error', async () => {
    await withManager(async (base, manager) => {
      for (const target of ['//', '///', '//x:y', '/healthz/..//', '/%'])
        expect([target, await statusOf(base, target)]).toEqual([target, 'HTTP/1.1 404 Not Found']);
      expect(await statusOf(base, 'http://elsewhere/healthz')).toBe('HTTP/1.1 200 OK');
      manager.metrics.onCollect(() => {
        throw new Error('a collector of the user is broken');
      });
      const response = await fetch(`${base}/metrics`);
      expect([response.status, await response.text()]).toEqual([500, 'the answer failed: a collector of the user is broken\n']);
    });
  });

  it('a failing check answers 500 and says which; it can be excluded', async () => {
    await withManager(async (base, _, store) => {
      await store.patch(Widget, 'prod', 'a', { spec: { note: 'hang' } });
      let status = 0;
      let text = '';
      for (let i = 0; i < 100 && status !== 500; i += 1) {
        await new Promise((resolve) => setTimeout(resolve, 10));
        const response = await fetch(`${base}/readyz`);
        [status, text] = [response.status, await response.text()];
      }
      expect(status).toBe(500);
      expect(text).toMatch(/\[-\]controller-widgets failed: past their timeout and not settled: prod\/a/);
      expect((await fetch(`${base}/readyz?exclude=controller-widgets`)).status).toBe(200);
      expect((await fetch(`${base}/healthz`)).status).toBe(200);
    });
  });

  it('/readyz asks the store before it answers', async () => {
    const store = await openStore({ engine: memoryEngine() });
    let broken = false;
    const get = store.get.bind(store);
    store.get = (...args) => (broken ? Promise.reject(new Error('the disk is on fire')) : get(...args));
    const manager = createManager({ store, http: { port: 0 }, logger: silent });
    await manager.start();
    const ready = async (): Promise<[number, string]> => {
      const response = await fetch(`http://127.0.0.1:${manager.address?.port}/readyz/store`);
      return [response.status, await response.text()];
    };
    expect(await ready()).toEqual([200, 'ok']);
    broken = true;
    expect(await ready()).toEqual([500, '[-]store failed: a read failed: the disk is on fire\nreadyz check failed\n']);
    broken = false;
    expect((await ready())[0]).toBe(200);
    await manager.stop();
    await store.close();
  });

  it('answers from the start: probes learn what has not synced while it starts', async () => {
    await using store = await openStore({ engine: memoryEngine(), types: [Widget] });
    let synced: () => void = () => {};
    const slow = { name: 'slow', start: () => new Promise<void>((resolve) => (synced = resolve)) };
    const controller = defineController({ name: 'widgets', for: Widget, sources: [slow], reconcile() {} });
    await using manager = createManager({ store, controllers: [controller], http: { port: 0 }, logger: silent });
    const starting = manager.start();
    while (manager.address === undefined) await new Promise((resolve) => setTimeout(resolve, 5));
    const base = `http://127.0.0.1:${manager.address.port}`;
    expect((await fetch(`${base}/healthz`)).status).toBe(200);
    const response = await fetch(`${base}/readyz`);
    expect(response.status).toBe(500);
    expect(await response.text()).toMatch(/manager failed: it is starting\n[^]*controller-widgets failed: not synced: .*source slow/);
    synced();
    await starting;
    expect((await fetch(`${base}/readyz`)).status).toBe(200);
  });

  it('a port that is taken fails the start', async () => {
    await withManager(async (_, manager) => {
      await using store = await openStore({ engine: memoryEngine() });
      const other = createManager({ store, http: manager.address, logger: silent });
      await expect(other.start()).rejects.toMatchObject({ code: 'EADDRINUSE' });
      expect(other.state).toBe('stopped');
    });
  });
});
