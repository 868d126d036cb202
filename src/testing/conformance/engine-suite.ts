/**
 * The conformance suite for engines: what `Engine` promises, case by case, for any runner that has `describe` and `it`.
 *
 * @example engineConformance({ describe, it, open: () => ({ source: memoryEngine(), deps: systemDeps() }) });
 */
import type { Engine } from '../../store/index.js';
import { commitCases } from './engine-commit-cases.js';
import { compactionCases } from './engine-compaction-cases.js';
import type { Case, EngineConformanceOptions } from './engine-kit.js';
import { readCases } from './engine-read-cases.js';
import { versionCases } from './engine-version-cases.js';

/** Thrown inside a case that does not apply to the engine; ends it without failing. */
class NotApplicable extends Error {}

/** Registers every case with the runner. */
export function engineConformance(options: EngineConformanceOptions): void {
  const groups: [string, Record<string, Case>][] = [
    ['commit', commitCases],
    ['reads', readCases],
    ['compaction', compactionCases],
    ['versions', versionCases],
  ];
  for (const [group, cases] of groups) {
    options.describe(`engine conformance: ${group}`, () => {
      for (const [name, body] of Object.entries(cases)) options.it(name, () => run(options, name, body));
    });
  }
}

async function run(options: EngineConformanceOptions, name: string, body: Case): Promise<void> {
  const { source, deps, dispose } = await options.open();
  const opened: Engine[] = [await source.open({ deps })];
  const engine = opened[0] as Engine;
  try {
    await body({
      engine,
      deps,
      async reopen() {
        await opened.at(-1)?.close();
        const next = await source.open({ deps });
        opened.push(next);
        return next;
      },
      need(holds, why) {
        if (!holds) throw new NotApplicable(why);
      },
    });
  } catch (error) {
    if (!(error instanceof NotApplicable)) throw error;
    options.skipped?.(name, error.message);
  } finally {
    for (const each of opened) await each.close();
    await dispose?.();
  }
}
