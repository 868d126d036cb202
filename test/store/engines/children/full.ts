/**
 * Runs with a limit on the size of files, as on a full disk: fills the store until a commit is refused, lifts the limit,
 * opens again, and goes on. Prints what happened, one fact a line. No handler for unhandled rejections is set: one would
 * end the process.
 */
import { execFileSync } from 'node:child_process';
import { lmdbEngine } from '../../../../src/store/engines/index.js';
import { systemDeps } from '../../../../src/store/system-deps.js';
import { k, put, write, request } from '../../../../src/testing/conformance/engine-kit.js';

const deps = systemDeps();
const path = process.argv[2] ?? '';
const say = (text: string): void => void process.stdout.write(`${text}\n`);
const reason = (error: unknown): string => (error as { reason?: string }).reason ?? String(error);

const engine = await lmdbEngine({ path }).open({ deps });
let acknowledged = 0;
try {
  for (;;) acknowledged = await put(engine, `t/a/o${acknowledged}`, 'x'.repeat(4000));
} catch (error) {
  say(`refused: ${reason(error)}`);
}
for (const call of [() => engine.get(k('t/a/o0')), () => engine.commit([request(write('t/a/y', 'y'))]), () => engine.meta.set('m', 'x')]) {
  await call().then(
    () => say('went on'),
    (error: unknown) => say(`stopped: ${reason(error)}`),
  );
}
await engine.close();
await engine.close();
execFileSync('prlimit', ['--pid', String(process.pid), '--fsize=unlimited']);
const again = await lmdbEngine({ path }).open({ deps });
const { entries } = await again.range({});
say(`kept: ${entries.length === acknowledged && acknowledged > 5}`);
say(`next revision: ${(await put(again, 't/a/next', 'n')) - acknowledged}`);
say(`verified: ${(await again.verify()).ok}`);
await again.close();
