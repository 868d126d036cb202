/** docs/controller.md and docs/manager.md say what the code does: their tables are written from it (`RUNE_WRITE_DOCS=1` writes them anew). */
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ConflictError } from '../../src/schemas/index.js';
import { controllerDefaults, decide, managerDefaults, TerminalError, type RunEnd } from '../../src/controller/index.js';
import { eventDefaults } from '../../src/controller/events/index.js';
import { collectorDefaults } from '../../src/controller/gc/defaults.js';

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
const defaults = <T extends Readonly<Record<string, number>>>(values: T, meanings: Record<keyof T & string, string>): string =>
  table(
    ['Default', 'Value', 'What it is'],
    (Object.keys(meanings) as (keyof T & string)[]).map((name) => [`\`${name}\``, `${values[name]}`, meanings[name]]),
  );

const past = { conflicts: 0, failures: 0, maxRetries: 3 };
const cases: readonly (readonly [string, RunEnd, typeof past])[] = [
  ['returned nothing', { ended: 'returned', result: undefined }, past],
  ["returned `{ requeueAfter: '5s' }`", { ended: 'returned', result: { requeueAfter: '5s' } }, past],
  ['threw', { ended: 'threw', error: new Error('x') }, past],
  ['threw, retries used up (`maxRetries`)', { ended: 'threw', error: new Error('x') }, { ...past, failures: 3 }],
  ['threw a `TerminalError`', { ended: 'threw', error: new TerminalError('x') }, past],
  ['threw a `ConflictError`, up to the fifth in a row', { ended: 'threw', error: new ConflictError('x') }, past],
  ['the sixth conflict in a row and on', { ended: 'threw', error: new ConflictError('x') }, { ...past, conflicts: 5 }],
  ['settled past its timeout', { ended: 'timedOut', error: new Error('x') }, past],
];
const nexts = {
  change: 'waits for a change',
  after: 'runs again after that long',
  backoff: 'backs off',
  caughtUp: 'runs again when the cache shows what it lost to',
};

const generated: Record<string, Record<string, string>> = {
  'controller.md': {
    outcomes: table(
      ['The reconciler', 'Then the key', 'Backoff', 'Metric `result`', 'Log level'],
      cases.map(([what, end, before]) => {
        const outcome = decide(end, before);
        return [
          what,
          nexts[outcome.next],
          outcome.forget ? 'reset' : 'kept',
          `\`${outcome.result}\``,
          outcome.kind === 'timeout' ? '`error`, at the timeout' : `\`${outcome.level}\``,
        ];
      }),
    ),
    controller: defaults(controllerDefaults, {
      concurrency: 'keys at once',
      timeout: 'ms a run may take; `false`: none',
      cacheSyncTimeout: 'ms the sources may take to sync',
      priority: 'priority of a key that a change woke',
      initialPriority: 'added to it for what was there at the start, and for resyncs',
      conflictsAtOnce: 'conflicts in a row that are retried at once',
      writeTries: "tries of the framework's own writes when others keep writing",
      mapTries: 'tries of a `map` that throws',
      mapRetryDelay: 'ms before the second of them; doubles',
      hotLoopRuns: 'runs in a row that a key may cause itself',
      hotLoopBaseDelay: 'ms a hot key waits first; doubles',
      hotLoopMaxDelay: 'ms it waits at most',
      journalRuns: 'newest runs kept for `explain`, for each controller',
      journalRunsOfKey: 'last runs of a key that `explain` tells, also when they are not among the newest',
      journalOlderRuns: 'runs kept for that, at most; the keys that ran longest ago are forgotten first',
      journalOlderRunsPerSecond: 'of them, new ones in a second, at most',
    }),
    events: defaults(eventDefaults, {
      cacheSize: 'events remembered, to count what happens again',
      maxSimilar: 'different notes with one reason that are told apart',
      similarWithin: 'ms within which they count as alike',
      burst: 'events about one object at once',
      refill: 'ms for one more after that',
      queueSize: 'events that wait to be written; more are dropped',
      tries: 'tries of a write',
      retryAfter: 'ms between two of them',
      ttl: 'ms an event is kept after it happened last',
      sweepEvery: 'ms between two looks for old ones',
      noteLength: 'characters of a note',
    }),
  },
  'manager.md': {
    manager: defaults(managerDefaults, {
      gracePeriod: 'ms a stop waits for running reconciles',
      wedgedAfter: 'ms without a finished run, with work waiting; ms that a watch may stand still, or a write of a run may take',
      terminatingAfter: 'ms an object is being deleted before `terminating()` tells it',
      storeTimeout: 'ms in which the store must answer a read',
      loopLagInterval: 'ms between two measurements of the event loop',
      loopLagLimit: 'ms late at which liveness fails',
      leaseDuration: 'ms the others wait after the last renewal they saw',
      renewDeadline: 'ms the leader tries to renew',
      retryPeriod: 'ms between two tries',
    }),
    collector: defaults(collectorDefaults, {
      concurrency: 'objects worked on at once',
      startDelay: 'ms it leaves the start to the controllers',
      restartDelay: 'ms before a failed watch is started again; doubles',
      restartMaxDelay: 'ms of that at most',
      refusedDelay: 'ms before an object is looked at again that this process may not write',
    }),
  },
};

for (const [file, parts] of Object.entries(generated)) {
  const path = new URL(`../../docs/${file}`, import.meta.url);
  describe(`docs/${file}`, () => {
    for (const [name, text] of Object.entries(parts)) {
      it(`has the table of ${name} that the code gives`, () => {
        const wanted = `<!-- generated: ${name} -->\n${text}\n<!-- end -->`;
        const written = readFileSync(path, 'utf8');
        const found = new RegExp(`<!-- generated: ${name} -->[^]*?<!-- end -->`).exec(written)?.[0];
        if (process.env['RUNE_WRITE_DOCS'] === '1' && found !== undefined)
          writeFileSync(
            path,
            written.replace(found, () => wanted),
          );
        else expect(found).toBe(wanted);
      });
    }
  });
}

describe('the default tables', () => {
  it('leave out no default', () => {
    const tables = Object.values(generated)
      .flatMap((parts) => Object.values(parts))
      .join('\n');
    for (const values of [controllerDefaults, managerDefaults, eventDefaults, collectorDefaults]) {
      for (const name of Object.keys(values)) expect(tables).toContain(`\`${name}\``);
    }
  });
});
