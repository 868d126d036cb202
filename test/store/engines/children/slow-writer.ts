/** Commits once for each line it is sent, and says when (ms since the epoch) each commit had become durable. Real world: it tells another process the time. */
import { createInterface } from 'node:readline';
import { lmdbEngine } from '../../../../src/store/engines/index.js';
import { systemDeps } from '../../../../src/store/system-deps.js';
import { put } from '../../../../src/testing/conformance/engine-kit.js';

const engine = await lmdbEngine({ path: process.argv[2] ?? '' }).open({ deps: systemDeps() });
process.stdout.write('ready\n');
for await (const line of createInterface({ input: process.stdin })) {
  const revision = await put(engine, 't/a/x', line);
  process.stdout.write(`${revision} ${Date.now()}\n`);
}
await engine.close();
