/**
 * The durable store beside etcd, in one run: the same objects, etcd on loopback with its data in a directory of its own, and its
 * v3 JSON gateway spoken over kept connections. Medians of the rounds; subjects in turn.
 *
 * `npm run bench -- etcd`; options behind `--`: `rounds=3 count=5000`. Without an `etcd` on the path it says so and ends. Every write of either
 * waits for fdatasync. The gateway costs etcd something (JSON and base64 instead of gRPC's binary form): docs/performance.md says how much.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import { Service } from '../src/schemas/index.js';
import { lmdbEngine, openStore } from '../src/store/index.js';
import type { Store } from '../src/store/index.js';

const options = Object.fromEntries(process.argv.slice(2).map((each) => each.split('=') as [string, string]));
const ROUNDS = Number(options['rounds'] ?? 3);
const COUNT = Number(options['count'] ?? 5000);
const LIST = 10_000;

const spec = {
  image: 'registry.example.com/team/application:1.2.3',
  scale: 3,
  ports: [{ name: 'http', port: 80, protocol: 'TCP' as const }],
  env: Object.fromEntries(Array.from({ length: 16 }, (_, index) => [`VARIABLE_${index}`, `the value of variable number ${index}`])),
  restartPolicy: 'Always' as const,
};
const metadata = {
  labels: { app: 'application', tier: 'backend', team: 'payments' },
  annotations: { note: 'an object of about one kilobyte' },
};

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!;
const percentile = (values: readonly number[], part: number): number =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * part))]!;

/** What is measured, done by either. */
interface Subject {
  create(name: string): Promise<unknown>;
  get(name: string): Promise<unknown>;
  /** How many objects a whole list gave. */
  list(): Promise<number>;
  /** Tells each event's name; resolves once it is watching. `since`: everything after the beginning. */
  watch(told: (name: string) => void, options?: { readonly replay: boolean }): Promise<{ close(): Promise<void> }>;
  close(): Promise<void>;
}

async function openOurs(): Promise<Subject> {
  const path = await mkdtemp(join(tmpdir(), 'rune-bench-'));
  const store: Store = await openStore({ engine: lmdbEngine({ path }) });
  return {
    create: (name) => store.create(Service, 'prod', name, { metadata, spec }),
    get: (name) => store.get(Service, 'prod', name),
    list: async () => (await store.list(Service, 'prod')).items.length,
    watch: (told, { replay = false } = { replay: false }) => {
      const watch = store.watch(Service, 'prod', replay ? { since: '0' } : {});
      void (async () => {
        for await (const event of watch) if (event.type !== 'BOOKMARK') told(event.name);
      })();
      return Promise.resolve(watch);
    },
    close: async () => {
      await store.close();
      await rm(path, { recursive: true, force: true });
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const PREFIX = '/registry/service/prod/';
/** The first key behind the prefix. */
const PREFIX_END = base64('/registry/service/prod0');

async function openEtcd(): Promise<Subject> {
  const path = await mkdtemp(join(tmpdir(), 'etcd-bench-'));
  const port = await freePort();
  const client = `http://127.0.0.1:${port}`;
  const peer = `http://127.0.0.1:${await freePort()}`;
  const server = spawn(
    'etcd',
    [
      '--data-dir',
      path,
      '--listen-client-urls',
      client,
      '--advertise-client-urls',
      client,
      '--listen-peer-urls',
      peer,
      '--initial-advertise-peer-urls',
      peer,
      '--initial-cluster',
      `default=${peer}`,
      '--log-level',
      'error',
      '--logger',
      'zap',
    ],
    {
      stdio: 'ignore',
    },
  );
  // Also when this process fails half way.
  const orphan = (): void => void server.kill('SIGKILL');
  process.once('exit', orphan);
  const agent = new Agent({ keepAlive: true, maxSockets: 512, noDelay: true });
  const call = (
    method: string,
    body: object,
    answered: (answer: IncomingMessage) => void,
    failed: (error: Error) => void,
  ): ClientRequest => {
    const text = JSON.stringify(body);
    const sent = request(
      {
        agent,
        host: '127.0.0.1',
        port,
        method: 'POST',
        path: `/v3/${method}`,
        headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) },
      },
      answered,
    );
    sent.on('error', failed);
    sent.end(text);
    return sent;
  };
  const ask = (method: string, body: object): Promise<Record<string, unknown>> =>
    new Promise((resolve, reject) => {
      call(
        method,
        body,
        (answer) => {
          const parts: Buffer[] = [];
          answer.on('data', (part: Buffer) => parts.push(part));
          answer.on('end', () => {
            const text = Buffer.concat(parts).toString();
            if (answer.statusCode === 200) resolve(JSON.parse(text) as Record<string, unknown>);
            else reject(new Error(`etcd answered ${answer.statusCode}: ${text}`));
          });
        },
        reject,
      );
    });
  for (let attempt = 0; ; attempt += 1) {
    try {
      await ask('kv/range', { key: base64('ready') });
      break;
    } catch (error) {
      if (attempt === 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
  const body = (name: string): string =>
    JSON.stringify({
      apiVersion: 'rune.dev/v1',
      kind: 'Service',
      metadata: {
        name,
        namespace: 'prod',
        uid: '019f0000-0000-7000-8000-000000000000',
        generation: 1,
        creationTimestamp: new Date().toISOString(),
        ...metadata,
      },
      spec,
    });
  const decode = (value: string): object => JSON.parse(Buffer.from(value, 'base64').toString()) as object;
  return {
    create: async (name) => {
      const key = base64(PREFIX + name);
      const { succeeded } = await ask('kv/txn', {
        compare: [{ key, target: 'MOD', result: 'EQUAL', mod_revision: '0' }],
        success: [{ request_put: { key, value: base64(body(name)) } }],
      });
      if (succeeded !== true) throw new Error(`${name} exists`);
    },
    get: async (name) => {
      const { kvs } = (await ask('kv/range', { key: base64(PREFIX + name) })) as { kvs: { value: string }[] };
      return decode(kvs[0]!.value);
    },
    list: async () => {
      const { kvs } = (await ask('kv/range', { key: base64(PREFIX), range_end: PREFIX_END })) as { kvs: { value: string }[] };
      for (const { value } of kvs) decode(value);
      return kvs.length;
    },
    watch: (told, { replay = false } = { replay: false }) =>
      new Promise((resolve, reject) => {
        const sent = call(
          'watch',
          { create_request: { key: base64(PREFIX), range_end: PREFIX_END, ...(replay ? { start_revision: '1' } : {}) } },
          (answer) => {
            const lines = createInterface({ input: answer });
            // The connection is cut when the watch is closed.
            lines.on('error', () => {});
            lines.on('line', (line) => {
              const { result } = JSON.parse(line) as { result: { created?: boolean; events?: { kv: { key: string; value: string } }[] } };
              if (result.created === true)
                resolve({
                  close: () => {
                    sent.destroy();
                    return Promise.resolve();
                  },
                });
              for (const { kv } of result.events ?? []) {
                decode(kv.value);
                told(Buffer.from(kv.key, 'base64').toString().slice(PREFIX.length));
              }
            });
            answer.on('error', () => {});
          },
          reject,
        );
      }),
    close: async () => {
      agent.destroy();
      const ended = new Promise((resolve) => server.once('exit', resolve));
      server.kill('SIGTERM');
      await ended;
      process.off('exit', orphan);
      await rm(path, { recursive: true, force: true });
    },
  };
}

/** `writers` loops over `count` names between them; writes a second. */
async function inParallel(writers: number, count: number, each: (name: string) => Promise<unknown>, prefix = 'object'): Promise<number> {
  const began = performance.now();
  await Promise.all(
    Array.from({ length: writers }, async (_, writer) => {
      for (let index = writer; index < count; index += writers) await each(`${prefix}-${String(index).padStart(7, '0')}`);
    }),
  );
  return count / ((performance.now() - began) / 1000);
}

/** From the call of a create to its event, with `watchers` watching and one writer: p50 in ms over the last watcher to hear of it. */
async function toEvent(subject: Subject, watchers: number, writes: number): Promise<number> {
  const heard = new Map<string, { left: number; done: () => void }>();
  const watches = await Promise.all(
    Array.from({ length: watchers }, () =>
      subject.watch((name) => {
        const waiting = heard.get(name);
        if (waiting === undefined) return;
        waiting.left -= 1;
        if (waiting.left === 0) waiting.done();
      }),
    ),
  );
  const took: number[] = [];
  for (let index = 0; index < writes; index += 1) {
    const name = `event-${watchers}-${index}`;
    const all = new Promise<void>((resolve) => heard.set(name, { left: watchers, done: resolve }));
    const began = performance.now();
    await Promise.all([subject.create(name), all]);
    took.push(performance.now() - began);
  }
  for (const watch of watches) await watch.close();
  return percentile(took, 0.5);
}

/** Events a second from the beginning of the log. */
async function replay(subject: Subject, count: number): Promise<number> {
  let seen = 0;
  let done!: () => void;
  const all = new Promise<void>((resolve) => {
    done = resolve;
  });
  const began = performance.now();
  const watch = await subject.watch(
    () => {
      seen += 1;
      if (seen === count) done();
    },
    { replay: true },
  );
  await all;
  const rate = count / ((performance.now() - began) / 1000);
  await watch.close();
  return rate;
}

interface Row {
  readonly what: string;
  readonly unit: '/s' | 'ms';
  readonly goal: string;
}
const rows: readonly Row[] = [
  { what: 'create, 1 writer', unit: '/s', goal: '>= 2' },
  { what: 'create, 16 writers', unit: '/s', goal: '>= 4' },
  { what: 'create, 256 writers', unit: '/s', goal: '>= 5' },
  { what: 'get, 1 reader', unit: '/s', goal: '> 1' },
  { what: 'get, 16 readers', unit: '/s', goal: '> 1' },
  { what: 'list of 10,000, decoded', unit: 'ms', goal: '> 1' },
  { what: 'put to event, 1 watcher, p50', unit: 'ms', goal: '> 1' },
  { what: 'put to event, 100 watchers, p50', unit: 'ms', goal: '> 1' },
  { what: 'replay of the log', unit: '/s', goal: '> 1' },
];

async function measure(open: () => Promise<Subject>): Promise<number[]> {
  const subject = await open();
  try {
    const one = await inParallel(1, Math.min(COUNT, 1000), subject.create, 'one');
    const sixteen = await inParallel(16, COUNT, subject.create, 'sixteen');
    const many = await inParallel(256, COUNT, subject.create, 'many');
    const known = (name: string): Promise<unknown> => subject.get(name);
    const get = await inParallel(1, Math.min(COUNT, 1000), known, 'one');
    const gets = await inParallel(16, COUNT, known, 'sixteen');
    const there = Math.min(COUNT, 1000) + 2 * COUNT;
    await inParallel(64, Math.max(0, LIST - there), subject.create, 'fill');
    const objects = Math.max(LIST, there);
    const began = performance.now();
    const listed = await subject.list();
    const list = (performance.now() - began) * (LIST / objects);
    if (listed !== objects) throw new Error(`${listed} of ${objects} were listed`);
    const replayed = await replay(subject, objects);
    return [one, sixteen, many, get, gets, list, await toEvent(subject, 1, 300), await toEvent(subject, 100, 100), replayed];
  } finally {
    await subject.close();
  }
}

if (spawnSync('etcd', ['--version']).error !== undefined) {
  process.stdout.write('skipped: there is no etcd on the path; on Debian `apt-get install etcd-server` brings one\n');
} else {
  const version = spawnSync('etcd', ['--version']).stdout.toString().split('\n')[0]!;
  // Compiled code first, as in bench/store.ts: the first thousands of calls of a process are several times slower. etcd comes compiled.
  for (let round = 0; round < 2; round += 1) {
    const warm = await openOurs();
    await inParallel(64, 6000, warm.create);
    await inParallel(1, 6000, (name) => warm.get(name));
    await warm.list();
    await replay(warm, 6000);
    await warm.close();
  }
  const ours: number[][] = [];
  const theirs: number[][] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    ours.push(await measure(openOurs));
    theirs.push(await measure(openEtcd));
  }
  process.stdout.write(`${version}; medians of ${ROUNDS} rounds\n\n| | ours | etcd | ratio | goal |\n| --- | ---: | ---: | ---: | --- |\n`);
  rows.forEach(({ what, unit, goal }, column) => {
    const [mine, other] = [ours, theirs].map((found) => median(found.map((each) => each[column]!))) as [number, number];
    const show = (value: number): string => (unit === 'ms' ? `${value.toFixed(2)} ms` : `${Math.round(value).toLocaleString('en')}/s`);
    // Above 1 is ahead, for rates and for times alike.
    const ratio = unit === 'ms' ? other / mine : mine / other;
    process.stdout.write(`| ${what} | ${show(mine)} | ${show(other)} | ${ratio.toFixed(1)} | ${goal} |\n`);
  });
}
