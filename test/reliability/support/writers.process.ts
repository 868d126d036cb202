/**
 * The process that is killed: 8 writers of single writes, compare-and-swap and transactions of 5 objects, a watcher, and
 * compactions; it prints what it was told, after it was told. Arguments: the directory, the cycle, where the watcher goes on.
 */
import { writeSync } from 'node:fs';
import { isAborted, isConflict, isStoreClosed } from '../../../src/schemas/index.js';
import { lmdbEngine, openStore, sleep } from '../../../src/store/index.js';

/** So many revisions at once: few, so that much of the process's life is spent inside a compaction. */
const COMPACTED_AT_ONCE = 8;

const [, , path, cycle, resume] = process.argv as [string, string, string, string, string];
const store = await openStore({ engine: lmdbEngine({ path }), window: { time: '24h', bytes: 8 * 1024 ** 3 } });

/** One line, handed to the pipe before anything else happens; the semicolon tells a whole line from a cut one. */
const say = (line: string): void => {
  let bytes = Buffer.from(`${line};\n`);
  while (bytes.length > 0) {
    try {
      bytes = bytes.subarray(writeSync(1, bytes));
    } catch (error) {
      // The pipe is full: the parent will have read some of it in a moment.
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
    }
  }
};

async function single(writer: number, number: number): Promise<void> {
  const id = `${cycle}.s${writer}.${number}`;
  const name = `s${writer}-${number % 7}`;
  const { metadata } = await store.apply('plain', 'prod', name, { n: number + 1, by: id }, { source: id });
  say(`a${JSON.stringify({ id, revision: Number(metadata.resourceVersion), values: { [name]: number + 1 } })}`);
}

async function compareAndSwap(writer: number, number: number): Promise<void> {
  const id = `${cycle}.c${writer}.${number}`;
  const current =
    (await store.list('plain', 'prod', { fieldSelector: 'metadata.name=shared' })).items[0] ??
    (await store.apply('plain', 'prod', 'shared', { n: 1 }, { source: `${id}.first` }));
  const n = (current['n'] as number) + 1;
  try {
    const { metadata } = await store.update(
      'plain',
      'prod',
      'shared',
      { metadata: { resourceVersion: current.metadata.resourceVersion }, n, by: id },
      { source: id },
    );
    say(`a${JSON.stringify({ id, revision: Number(metadata.resourceVersion), values: { shared: n } })}`);
  } catch (error) {
    if (!isConflict(error)) throw error;
  }
}

async function transaction(writer: number, number: number): Promise<void> {
  const id = `${cycle}.t${writer}.${number}`;
  const names = Array.from({ length: 5 }, (_, index) => `t${writer}-${index}`);
  await store.transaction(
    async (tx) => {
      for (const name of names) await tx.apply('plain', 'prod', name, { n: number + 1, by: id });
    },
    { source: id },
  );
  // A transaction has no result to tell its revision; its objects do, and this writer alone writes them.
  const { metadata } = await store.get('plain', 'prod', names[0]!);
  say(
    `a${JSON.stringify({ id, revision: Number(metadata.resourceVersion), values: Object.fromEntries(names.map((name) => [name, number + 1])) })}`,
  );
}

const opened = Number(store.revision);
let watched = Number(resume);

/** Compacts what earlier lives wrote, bit by bit; what nobody has been told of yet, and what this life writes, is left to be read. */
async function compactions(): Promise<void> {
  let compacted = Number((await store.stats()).compactRevision);
  while (compacted < opened) {
    await sleep(store.deps, 5);
    const target = Math.min(compacted + COMPACTED_AT_ONCE, opened, watched);
    if (target === compacted) continue;
    await store.compact(String(target));
    compacted = target;
  }
}

const watch = store.watch('plain', undefined, { since: resume });
const watching = (async () => {
  for await (const event of watch) {
    if (event.type === 'BOOKMARK') continue;
    say(`w${JSON.stringify({ id: event.source, key: event.name, revision: Number(event.resourceVersion), resume: event.resume })}`);
    watched = Number(event.resume);
  }
})();

process.once('SIGTERM', () => {
  void store.close().then(() => process.exit(0));
});

say('r');
const kinds = [single, single, single, compareAndSwap, compareAndSwap, transaction, transaction, transaction];
await Promise.all([
  watching,
  compactions(),
  ...kinds.map(async (write, writer) => {
    for (let number = 0; ; number += 1) await write(writer, number);
  }),
]).catch((error: unknown) => {
  if (!isStoreClosed(error) && !isAborted(error)) throw error;
});
