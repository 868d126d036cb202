/**
 * The test kit without vitest, on whatever Node runs it: a file of node:test, as a user of the built package writes it.
 * Real world: it is run in processes of its own.
 */
import { node, run, writeFiles, type Outcome } from '../support/built-package.js';

const program = `
import assert from 'node:assert/strict';
import { describe, it, mock, test } from 'node:test';
import { defineController, defineResource, memoryEngine, openStore, Service, systemDeps } from 'rune-runtime';
import { checkContract, createMockStore, defineScenario, engineConformance, simulate, storeConformance, testRig, TestStore } from 'rune-runtime/testing';
import { simulateFromHere } from './helper.mjs';

const Widget = defineResource({
  kind: 'Widget',
  spec: { type: 'object', default: {}, properties: { size: { type: 'integer', default: 1 } } },
  status: { type: 'object', properties: { seen: { type: 'integer' } } },
});
const seeing = () => defineController({ name: 'seeing', for: Widget, reconcile: ({ object, status }) => status({ seen: object.spec.size }) });
const scenario = defineScenario({
  name: 'see',
  controllers: () => [seeing()],
  objects: [[Widget, { name: 'a' }]],
  check: async (rig) => assert.equal((await rig.repo(Widget).get({ namespace: 'default', name: 'a' })).status?.seen, 1),
});

test('TestStore', async () => {
  await using store = new TestStore();
  await store.createService({ name: 'web' });
  assert.equal((await store.getService('web')).spec.scale, 1);
});
test('testRig, with a crash', async () => {
  await using rig = await testRig({ controllers: () => [seeing()], objects: [[Widget, { name: 'a', spec: { size: 3 } }]] });
  await rig.settle();
  await rig.crash({ downtime: '1m' });
  await rig.settle();
  assert.equal((await rig.repo(Widget).get({ namespace: 'default', name: 'a' })).status?.seen, 3);
  await rig.expectNoLeaks();
});
test('simulate and checkContract', async () => {
  assert.equal((await simulate(scenario, { seeds: 5 })).seeds, 5);
  assert.equal((await checkContract(seeing, { ...scenario, controllers: undefined })).ok, true);
});
test('the command that replays a failure names this file, whichever helper calls', async () => {
  const hopeless = { ...scenario, check: () => assert.fail('never') };
  await assert.rejects(simulateFromHere(hopeless), (error) => error.replay.endsWith(' --test smoke.test.mjs'));
});
test('a mock store with the spies of node:test', async () => {
  const store = createMockStore({ fn: (implementation) => mock.fn(implementation) });
  store.stubList(Service, []);
  await store.list(Service);
  assert.equal(store.list.mock.callCount(), 1);
});
describe('an engine', () => engineConformance({ describe, it, open: () => ({ source: memoryEngine(), deps: systemDeps() }), skipped: assert.fail }));
describe('a store', () => storeConformance({ describe, it, open: async () => ({ store: await openStore({ engine: memoryEngine() }), dispose: async () => {} }) }));
`;

const helper = `
import { simulate } from 'rune-runtime/testing';

export const simulateFromHere = async (scenario) => await simulate(scenario, { seeds: 2 });
`;

/** What Node 20 does not parse: `await using` as a statement. */
const plain = program
  .replaceAll(/await using (\w+) = (.*);\n/g, 'const $1 = $2;\n  t.after(() => $1[Symbol.asyncDispose]());\n')
  .replaceAll('async () => {\n', 'async (t) => {\n');

/** Runs the smoke test in a project that has the package; `version` takes another Node from the npm registry. */
export async function smoke(folder: string, version?: string): Promise<Outcome> {
  await writeFiles(folder, { 'smoke.test.mjs': plain, 'helper.mjs': helper });
  const args = ['--test', '--test-reporter=tap', 'smoke.test.mjs'];
  if (version === undefined) return node(args, { cwd: folder });
  return run('npx', ['-y', '-p', `node@${version}`, 'node', ...args], { cwd: folder, timeoutMs: 300_000 });
}
