/** The test kit under node:test, from the built package. Real world: compiles it and runs Node in a process of its own. */
import { expect, it } from 'vitest';
import { linkedProject, node, temporaryFolder, writeFiles } from '../support/built-package.js';
import { smoke } from './smoke.js';

const main = `
import { Service, defineController } from 'rune-runtime';
import { simulateFromHere } from './helper.mjs';

const idle = () => defineController({ name: 'idle', for: Service, reconcile() {} });
const hopeless = { name: 'hopeless', controllers: () => [idle()], objects: { services: [{ name: 'web' }] }, check: () => { throw new Error('never'); } };
await simulateFromHere(hopeless).catch((error) => console.log(error.replay));
`;

it('works with node:test', { timeout: 120_000 }, async () => {
  await using project = await temporaryFolder('runners');
  await linkedProject(project.path);
  const outcome = await smoke(project.path);
  expect(outcome.code, outcome.output).toBe(0);
  expect(outcome.stdout).toContain('# fail 0');
  // Five of its own, and the cases of both conformance suites, which need no more of a runner than describe and it.
  expect(Number(/# pass (\d+)/.exec(outcome.stdout)?.[1])).toBeGreaterThanOrEqual(5 + 100 + 50);
  // Without any runner the command names the program.
  await writeFiles(project.path, { 'main.mjs': main });
  expect((await node(['main.mjs'], { cwd: project.path })).stdout).toContain("RUNE_SIMULATE='hopeless=1:' node main.mjs");
});
