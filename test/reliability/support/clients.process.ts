/**
 * The process that is killed while its clients put, get, delete, compare-and-swap, list and run transactions on a few keys. A
 * line on the pipe for each call, before it is made, and for each answer, after it came. Arguments: the directory, the life,
 * the seed, and from where each watcher goes on.
 */
import { writeSync } from 'node:fs';
import { isAlreadyExists, isConflict, isNotFound } from '../../../src/schemas/index.js';
import { lmdbEngine, openStore } from '../../../src/store/index.js';
import type { StoreVerbs } from '../../../src/store/index.js';
import { Widget } from '../../../src/testing/conformance/store-widget.js';
import { seededRandom } from '../../../src/testing/index.js';
import type { SeededRandom } from '../../../src/testing/index.js';
import { ABSENT } from '../../store/linearizability.js';
import { holding, placeOf, planTransaction, runTransaction } from '../../store/random-transactions.js';
import { CLIENTS, KEYS, WATCHERS, watchAs } from './killed-lines.js';
import type { Line } from './killed-lines.js';

const [, , path, life, seed, resume] = process.argv as [string, string, string, string, string, string];
const resumes = JSON.parse(resume) as Readonly<Record<string, string | undefined>>;
const store = await openStore({ engine: lmdbEngine({ path }), window: { time: '24h', bytes: 8 * 1024 ** 3 } });

/** Handed to the pipe before anything else happens; the semicolon tells a whole line from a cut one. */
function say(line: Line | 'ready'): void {
  let bytes = Buffer.from(`${JSON.stringify(line)};\n`);
  while (bytes.length > 0) {
    try {
      bytes = bytes.subarray(writeSync(1, bytes));
    } catch (error) {
      // The pipe is full: the parent will have read some of it in a moment.
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
    }
  }
}

let ids = 0;
let values = 0;
const newId = (): number => Number(life) * 1_000_000 + (ids += 1);
/** How the log names a write. */
const sourceOf = (id: number): string => `w${id}`;
/** No value is written twice, by any life; a widget is no larger than a million. */
const newValue = (): number => Number(life) * 40_000 + (values += 1);

async function readOf(verbs: StoreVerbs, key: string): Promise<Widget | undefined> {
  try {
    return await verbs.get(Widget, ...placeOf(key));
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

/** Says what was called, calls it, and says what came of it. */
async function told<R>(
  call: Extract<Line, { is: 'call' }>,
  run: () => Promise<R>,
  answer: (result: R) => Partial<Extract<Line, { is: 'answer' }>>,
): Promise<R | undefined> {
  say(call);
  try {
    const result = await run();
    say({ is: 'answer', id: call.id, outcome: 'ok', ...answer(result) });
    return result;
  } catch (error) {
    const outcome = isAlreadyExists(error) ? 'exists' : isNotFound(error) ? 'missing' : isConflict(error) ? 'conflict' : undefined;
    if (outcome === undefined) throw error;
    say({ is: 'answer', id: call.id, outcome });
    return undefined;
  }
}

const revisionOf = ({ metadata }: Widget): { revision: number } => ({ revision: Number(metadata.resourceVersion) });

async function one(client: number, random: SeededRandom): Promise<void> {
  const key = KEYS[random.below(KEYS.length)]!;
  const id = newId();
  const call = { is: 'call', id, client } as const;
  const options = { source: sourceOf(id) };
  const dice = random.below(100);
  if (dice < 20)
    await told(
      { ...call, kind: 'get', keys: [key] },
      () => readOf(store, key),
      (found) => ({ reads: [found?.spec.size ?? ABSENT] }),
    );
  else if (dice < 35) {
    const value = newValue();
    await told(
      { ...call, kind: 'create', keys: [key], values: [value] },
      () => store.create(Widget, ...placeOf(key), holding(value), options),
      revisionOf,
    );
  } else if (dice < 55) {
    const value = newValue();
    await told(
      { ...call, kind: 'put', keys: [key], values: [value] },
      () => store.update(Widget, ...placeOf(key), holding(value), options),
      revisionOf,
    );
  } else if (dice < 63) {
    await told(
      { ...call, kind: 'delete', keys: [key], values: [ABSENT] },
      () => store.delete(Widget, ...placeOf(key), options),
      // The last state carries the revision of its own write, not of the removal.
      (last) => ({ reads: [last.spec.size] }),
    );
  } else if (dice < 78) {
    const found = await told(
      { ...call, kind: 'get', keys: [key] },
      () => readOf(store, key),
      (widget) => ({ reads: [widget?.spec.size ?? ABSENT] }),
    );
    if (found === undefined) return;
    const value = newValue();
    const { resourceVersion } = found.metadata;
    const body = holding(value);
    const swap = newId();
    await told(
      { is: 'call', id: swap, client, kind: 'cas', keys: [key], values: [value], reads: [found.spec.size] },
      () => store.update(Widget, ...placeOf(key), { ...body, metadata: { ...body.metadata, resourceVersion } }, { source: sourceOf(swap) }),
      revisionOf,
    );
  } else if (dice < 94) await transact(call, random);
  else {
    await told(
      { ...call, kind: 'list', keys: KEYS },
      () => store.list(Widget),
      ({ items, resourceVersion }) => ({
        revision: Number(resourceVersion),
        reads: KEYS.map((each) => items.find(({ metadata }) => `${metadata.namespace}/${metadata.name}` === each)?.spec.size ?? ABSENT),
      }),
    );
  }
}

/** What a run has seen and is about to write is said before it can be committed. */
async function transact(call: { is: 'call'; id: number; client: number }, random: SeededRandom): Promise<void> {
  const plan = planTransaction(random, KEYS, newValue);
  // Between looks the others have a turn: states of different moments are there to be mixed.
  const pause = random.below(3) === 0 ? (): Promise<void> => store.deps.scheduler.turn() : undefined;
  await told(
    { ...call, kind: 'transaction', keys: [] },
    () =>
      store.transaction(async (tx) => say({ is: 'plan', id: call.id, run: await runTransaction(tx, plan, pause) }), {
        source: sourceOf(call.id),
        retries: 20,
      }),
    () => ({}),
  );
}

/** Says every event once it was handed out. */
async function follow(watcher: string): Promise<void> {
  for await (const event of watchAs(store, watcher, resumes[watcher])) say({ is: 'event', watcher, event });
}

say('ready');
await Promise.all([
  ...Object.keys(WATCHERS).map(follow),
  ...Array.from({ length: CLIENTS }, async (_, client) => {
    const random = seededRandom(Number(seed) * 1000 + Number(life), `client ${client}`);
    for (;;) await one(client, random);
  }),
]);
