/** Adds 1 to a counter, so many times, in the store of its argument; another process does the same. */
import { lmdbEngine } from '../../../../src/store/engines/index.js';
import { systemDeps } from '../../../../src/store/system-deps.js';
import { decode, k, request, write } from '../../../../src/testing/conformance/engine-kit.js';

const [, , path = '', times = '0'] = process.argv;
const engine = await lmdbEngine({ path }).open({ deps: systemDeps() });
const key = k('t/a/counter');
for (let done = 0; done < Number(times);) {
  const entry = await engine.get(key);
  const next = String(Number(decode(entry?.value) ?? '0') + 1);
  const [result] = await engine.commit([
    request(write('t/a/counter', next), { key, revision: entry?.revision ?? 'absent' }),
    request(write('t/b/attempt', next)),
  ]);
  if (result?.ok === true) done++;
}
await engine.close();
