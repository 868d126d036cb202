/**
 * Clients and watchers in a process of their own that is killed again and again, on one directory; and the check that all they
 * were told, over all its lives, is linearizable, and is what the log says.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { bundle } from '../../../scripts/run-script.js';
import { lmdbEngine, openStore } from '../../../src/store/index.js';
import type { Store } from '../../../src/store/index.js';
import { checkHistory } from '../../store/history-checks.js';
import type { Listed, Written } from '../../store/history-checks.js';
import { ABSENT } from '../../store/linearizability.js';
import type { Operation } from '../../store/linearizability.js';
import { changesOf, placeOf } from '../../store/random-transactions.js';
import type { Event, Stream } from '../../store/watch-validators.js';
import { KEYS, WATCHERS, watchAs } from './killed-lines.js';
import type { Line } from './killed-lines.js';

const CHILD = fileURLToPath(new URL('clients.process.ts', import.meta.url));
type Call = Extract<Line, { is: 'call' }>;
interface Asked {
  readonly call: Call;
  readonly called: number;
  plan: Extract<Line, { is: 'plan' }> | undefined;
  answer: Extract<Line, { is: 'answer' }> | undefined;
  returned: number;
}

export interface KilledReport {
  readonly lives: number;
  readonly operations: number;
  /** Writes that were on their way when a kill came, and those of them that had happened. */
  readonly inDoubt: number;
  /** For each watcher: what it was told over all lives, and how often it went on where the one before it was. */
  readonly events: readonly number[];
  readonly resumed: readonly number[];
}

/** Runs `lives` lives, 20 at most, of `lifeMs` each, and checks all of it. */
export async function killedClients(
  path: string,
  options: { readonly seed: number; readonly lives: number; readonly lifeMs: () => number },
): Promise<KilledReport> {
  const asked: Asked[] = [];
  const followed: Followed[] = Object.keys(WATCHERS).map((name) => ({ name, events: [], cuts: [], resume: undefined }));
  let clock = 0;
  const child = await bundle(CHILD, 'reliability-clients');
  for (let life = 1; life <= options.lives; life += 1) {
    const open = new Map<number, Asked>();
    const resumes = Object.fromEntries(followed.map(({ name, resume }) => [name, resume]));
    await live([child, path, String(life), String(options.seed), JSON.stringify(resumes)], options.lifeMs(), (line) => {
      clock += 1;
      if (line.is === 'event') {
        hear(
          followed.find(({ name }) => name === line.watcher)!,
          line.event,
        );
        return;
      }
      if (line.is === 'call') {
        const each: Asked = { call: line, called: clock, plan: undefined, answer: undefined, returned: Infinity };
        open.set(line.id, each);
        asked.push(each);
        return;
      }
      const each = open.get(line.id) ?? assert.fail(`an answer to what was not asked: ${line.id}`);
      if (line.is === 'plan') each.plan = line;
      else {
        each.answer = line;
        each.returned = clock;
        open.delete(line.id);
      }
    });
    clock += 1;
    // What a dead process has not done by now it never will.
    for (const each of open.values()) each.returned = clock;
    followed.forEach(cutOff);
  }
  await using store = await openStore({ engine: lmdbEngine({ path }) });
  const { operations, writes, lists } = recordOf(asked);
  for (const key of KEYS) {
    const [namespace, name] = placeOf(key);
    const found = (await store.list('widget', namespace, { fieldSelector: { 'metadata.name': name } })).items[0];
    clock += 2;
    const read = (found?.['spec'] as { size: number } | undefined)?.size ?? ABSENT;
    operations.push({ id: clock, client: -1, key, called: clock - 1, returned: clock, kind: 'get', outcome: 'ok', read });
  }
  const streams = await Promise.all(followed.map((each) => goOn(store, each)));
  await checkHistory({ operations, writes, lists, streams }, { store, seed: options.seed });
  assert.deepEqual((await store.verify()).problems, []);
  return {
    lives: options.lives,
    operations: operations.length,
    inDoubt: writes.filter(({ outcome }) => outcome === 'unknown').length,
    events: streams.map(({ events }) => events.length),
    resumed: streams.map(({ cuts }) => cuts.length),
  };
}

/** What a watcher was told over all the lives, and the token of the last event that went into it. */
interface Followed {
  readonly name: string;
  readonly events: Event[];
  readonly cuts: number[];
  resume: string | undefined;
}

function hear(followed: Followed, event: Event): void {
  followed.events.push(event);
  if (event.resume !== 'initial') followed.resume = event.resume;
}

/** The watcher is gone. What its last token has not passed is told again: an initial list, the first events of a transaction. */
function cutOff({ events, cuts, resume }: Followed): void {
  while (events.length > 0 && (resume === undefined || Number(events.at(-1)!.resourceVersion) > Number(resume))) events.pop();
  if (resume !== undefined) cuts.push(events.length);
}

/** This process takes over where the watcher was, up to the end of the log. */
async function goOn(store: Store, followed: Followed): Promise<Stream> {
  await using watch = watchAs(store, followed.name, followed.resume);
  // Caught up with the log, it tells that by a bookmark, if by nothing else.
  while (Number(watch.progress) < Number(store.revision)) hear(followed, (await watch.next()).value);
  const { name, events, cuts } = followed;
  const { namespace, labelSelector, initial } = WATCHERS[name]!;
  return { name, namespace, labelSelector, since: initial === true ? undefined : 0, events, cuts };
}

async function live(args: readonly string[], lifeMs: number, hear: (line: Line) => void): Promise<void> {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const exit = once(child, 'exit');
  const lines = createInterface({ input: child.stdout });
  let ready!: () => void;
  const started = new Promise<void>((resolve) => {
    ready = resolve;
  });
  lines.on('line', (text) => {
    // The last line may have been cut off by the kill: then nobody was told.
    if (!text.endsWith(';')) return;
    const line = JSON.parse(text.slice(0, -1)) as Line | 'ready';
    if (line === 'ready') ready();
    else hear(line);
  });
  const closed = once(lines, 'close');
  await Promise.race([started, exit.then(([code]) => assert.fail(`the clients ended by themselves with ${String(code)}`))]);
  await new Promise((resolve) => setTimeout(resolve, lifeMs));
  child.kill('SIGKILL');
  const [, signal] = (await exit) as [number | null, string | null];
  assert.equal(signal, 'SIGKILL', 'the clients were still at work');
  await closed;
}

/** What was said, as the checks take it. */
function recordOf(asked: readonly Asked[]): { operations: Operation[]; writes: Written[]; lists: Listed[] } {
  const operations: Operation[] = [];
  const writes: Written[] = [];
  const lists: Listed[] = [];
  let ids = 0;
  for (const { call, called, plan, answer, returned } of asked) {
    const { client, kind, keys } = call;
    const outcome = answer?.outcome ?? 'unknown';
    const tell = (operation: object): void => {
      // Whether it happened at all is not known: the search takes that for an answer that never comes.
      operations.push({ id: (ids += 1), client, called, returned: outcome === 'unknown' ? Infinity : returned, ...operation } as Operation);
    };
    if (kind === 'get' || kind === 'list') {
      if (answer === undefined) continue;
      for (const [index, key] of keys.entries()) tell({ key, kind: 'get', outcome: 'ok', read: answer.reads![index] });
      if (kind === 'list') {
        const items = keys.map((key, index) => [key, answer.reads![index]!] as const).filter(([, read]) => read !== ABSENT);
        lists.push({ namespace: undefined, resourceVersion: answer.revision!, items });
      }
      continue;
    }
    if (kind === 'transaction') {
      // One that had not come to the end of a run has written nothing; nor has one that lost to others in each.
      const run = outcome === 'conflict' ? undefined : plan?.run;
      writes.push({
        id: call.id,
        called,
        returned,
        outcome: run === undefined ? 'refused' : outcome,
        revision: undefined,
        values: run === undefined ? new Map() : changesOf(run),
        views: run?.views ?? [],
      });
      for (const { key, expected, value } of run?.writes ?? [])
        tell({ key, outcome, value, ...(expected === undefined ? { kind: 'set' } : { kind: 'cas', expected }) });
      continue;
    }
    const [key] = keys;
    const [value] = call.values!;
    writes.push({ id: call.id, called, returned, outcome, revision: answer?.revision, values: new Map([[key!, value!]]) });
    tell({ key, kind, outcome, value, read: answer?.reads?.[0], expected: call.reads?.[0] });
  }
  return { operations, writes, lists };
}
