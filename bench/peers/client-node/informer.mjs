/**
 * @kubernetes/client-node's informer over 50,000 objects of about 1.1 kB, through HTTP: first sync, events to a handler,
 * from the server's write of an event to the handler, heap per object. Medians of five. `npm install` in this folder; then `npm run bench -- informer` runs it beside ours, and `npm start` alone.
 */
import { fork } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { KubeConfig, makeInformer } from '@kubernetes/client-node';

const OBJECTS = 50_000;
const UPDATES = 20_000;
const PACED = 3_000;
const ROUNDS = 5;
const quantile = (values, q) => values.toSorted((a, b) => a - b)[Math.floor(values.length * q)];
const median = (values) => quantile(values, 0.5);
const ranMs = () => {
  try {
    return Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8').split(' ')[0]) / 1e6;
  } catch {
    return Number.NaN;
  }
};

const server = fork(fileURLToPath(new URL('api-server.mjs', import.meta.url)), [String(OBJECTS)]);
const told = (name) =>
  new Promise((resolve) => {
    const listener = (message) => {
      if (message[name] === undefined) return;
      server.off('message', listener);
      resolve(message[name]);
    };
    server.on('message', listener);
  });

const base = `http://127.0.0.1:${await told('port')}`;
const config = new KubeConfig();
config.loadFromOptions({
  // Plain HTTP is allowed only together with this.
  clusters: [{ name: 'bench', server: base, skipTLSVerify: true }],
  users: [{ name: 'bench' }],
  contexts: [{ name: 'bench', cluster: 'bench', user: 'bench' }],
  currentContext: 'bench',
});
const path = '/apis/rune.dev/v1/apps';
const listRaw = async () => (await fetch(`${base}${path}`)).json();

const syncs = [];
const syncsRan = [];
const rates = [];
const ratesRan = [];
const p50 = [];
const p99 = [];
let heap;
for (let round = 0; round <= ROUNDS; round++) {
  globalThis.gc?.();
  globalThis.gc?.();
  const before = process.memoryUsage().heapUsed;
  const informer = makeInformer(config, path, listRaw);
  let adds = 0;
  let updates = 0;
  let done = () => {};
  informer.on('add', () => {
    adds += 1;
  });
  let wanted = UPDATES;
  const took = [];
  informer.on('update', (object) => {
    updates += 1;
    const sent = object.metadata.annotations['example.dev/sent'];
    // Both processes read the same clock.
    if (sent !== undefined) took.push(Number(process.hrtime.bigint() - BigInt(sent)) / 1e6);
    if (updates === wanted) done();
  });
  // Without this, a list that fails is silence.
  let stopping = false;
  informer.on('error', (error) => {
    if (!stopping) throw error;
  });
  const watching = told('watching');
  let ran = ranMs();
  let began = performance.now();
  await informer.start();
  const synced = performance.now() - began;
  const syncRan = ranMs() - ran;
  if (adds !== OBJECTS) throw new Error(`told ${adds} of ${OBJECTS}`);
  await watching;
  globalThis.gc?.();
  globalThis.gc?.();
  // Of the first round: later ones begin with what the round before left behind.
  heap ??= (process.memoryUsage().heapUsed - before) / OBJECTS;
  const ready = told('ready');
  server.send({ updates: UPDATES });
  await ready;
  const finished = new Promise((resolve) => {
    done = resolve;
  });
  ran = ranMs();
  began = performance.now();
  server.send({ go: true });
  await finished;
  if (round > 0) {
    syncs.push(synced);
    syncsRan.push(syncRan);
    rates.push((UPDATES / (performance.now() - began)) * 1_000);
    ratesRan.push((UPDATES / (ranMs() - ran)) * 1_000);
  }
  updates = 0;
  wanted = PACED;
  const paced = new Promise((resolve) => {
    done = resolve;
  });
  server.send({ paced: PACED });
  await paced;
  if (round > 0) {
    p50.push(quantile(took.slice(500), 0.5));
    p99.push(quantile(took.slice(500), 0.99));
  }
  // Stopping is told as an error.
  stopping = true;
  await informer.stop();
}
const whole = (value) => Math.round(value).toLocaleString('en-US');
console.log(`@kubernetes/client-node 1.4.0 over HTTP, raw objects, ${whole(OBJECTS)} of them; medians of ${ROUNDS}`);
console.log(`first sync: ${whole(median(syncs))} ms (by time our thread ran ${whole(median(syncsRan))})`);
console.log(`events to a handler: ${whole(median(rates))} /s (by time our thread ran ${whole(median(ratesRan))})`);
console.log(`event, from the server's write to the handler: p50 ${median(p50).toFixed(3)} ms, p99 ${median(p99).toFixed(3)} ms`);
console.log(`heap per cached object: ${globalThis.gc === undefined ? 'run with --expose-gc' : `${whole(heap)} B`}`);
if (process.argv.includes('--json')) {
  const found = { syncMs: median(syncs), eventsPerSecond: median(rates), p50Ms: median(p50), p99Ms: median(p99), heapBytes: heap };
  console.log(JSON.stringify(found));
}
server.kill();
