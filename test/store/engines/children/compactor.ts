/** Writes one key and compacts to the present, over and over, for so many ms, in the store of its argument. */
import { lmdbEngine } from '../../../../src/store/engines/index.js';
import { systemDeps } from '../../../../src/store/system-deps.js';
import { put } from '../../../../src/testing/conformance/engine-kit.js';

const [, , path = '', ms = '0'] = process.argv;
const deps = systemDeps();
const engine = await lmdbEngine({ path }).open({ deps });
for (let round = 0, until = deps.clock.now() + Number(ms); deps.clock.now() < until; round++) {
  await put(engine, 't/a/x', String(round));
  await engine.compact(engine.revision().current, { retain: () => new Set() });
}
await engine.close();
