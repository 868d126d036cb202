/** Writes to the store in its argument until it is killed; tells of each request once it is durable: `revision key text`. Real world: it runs until it is killed. */
import type { CommitRequest } from '../../../../src/store/engine.js';
import { lmdbEngine } from '../../../../src/store/engines/index.js';
import { systemDeps } from '../../../../src/store/system-deps.js';
import { request, write } from '../../../../src/testing/conformance/engine-kit.js';

const [, , path = '', run = ''] = process.argv;
const engine = await lmdbEngine({ path }).open({ deps: systemDeps() });
const compact = async (): Promise<void> => {
  for (;;) {
    await engine.compact(Math.max(0, engine.revision().current - 100), { retain: () => new Set() });
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
};
void compact();
for (let round = 0; ; round++) {
  const batch: CommitRequest[] = Array.from({ length: 8 }, (_, index) => {
    const text = `${run}.${round}.${index}`;
    // Three keys at once: all of them, or none.
    return request(['a', 'b', 'c'].map((part) => write(`t/${part}/k${(round * 3 + index) % 20}`, text)));
  });
  const results = await engine.commit(batch);
  const lines = results.map((result, index) =>
    result.ok ? `${result.revision} k${(round * 3 + index) % 20} ${run}.${round}.${index}` : 'refused',
  );
  process.stdout.write(`${lines.join('\n')}\n`);
}
