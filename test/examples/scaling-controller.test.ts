import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openStore } from '../../src/store/index.js';
import { temporaryFolder } from '../support/built-package.js';
import { compileExample, summaryOf } from './program.js';
import type { Program } from './program.js';

// Real processes throughout: this is what a user types, and what a power cut leaves.
describe('the scaling example', () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let program: Program;
  beforeAll(async () => {
    folder = await temporaryFolder('example');
    program = await compileExample(folder.path);
  }, 120_000);
  afterAll(() => folder[Symbol.asyncDispose]());

  const end = {
    services: [
      { namespace: 'default', name: 'api', desired: 4, ready: 4 },
      { namespace: 'default', name: 'web', desired: 5, ready: 5 },
      { namespace: 'default', name: 'worker', desired: 3, ready: 3 },
    ],
    operations: [
      { namespace: 'default', name: 'grow-api', phase: 'completed' },
      { namespace: 'default', name: 'grow-web', phase: 'completed' },
    ],
  };

  it('ends in the table and exits 0', async () => {
    const run = await program.run([]);
    expect(run.stderr).toBe('');
    expect(run.code).toBe(0);
    expect(run.stdout).toMatch(/service web: 1\/1 ready[^]*service web: 5\/5 ready|service web: 2\/[23] ready[^]*service web: 5\/5 ready/);
    expect(run.stdout).toMatch(/NAMESPACE +SERVICE +DESIRED +READY +IMAGE\ndefault +api +4 +4[^]*default +grow-web +web +5 +completed\n$/);
  }, 60_000);

  it('ends in the summary with --json, and a second start on the same data writes nothing', async () => {
    const data = join(folder.path, 'twice');
    const first = summaryOf(await program.run(['--json', '--data', data]));
    expect(first).toMatchObject({ converged: true, ...end });
    const again = await program.run(['--json', '--data', data]);
    expect(again.code).toBe(0);
    expect(summaryOf(again)).toMatchObject({ converged: true, ...end, revision: first.revision });
  }, 60_000);

  it('converges to the same end wherever it was killed', async () => {
    const services = `apiVersion: rune.dev/v1
kind: Service
metadata: { name: web }
spec: { image: nginx, scale: 1, startupTime: 60ms, stopTime: 30ms }
---
apiVersion: rune.dev/v1
kind: ScalingOperation
metadata: { name: grow }
spec: { service: web, target: 4, mode: gradual, interval: 150ms }
`;
    const manifest = join(folder.path, 'short.yaml');
    await writeFile(manifest, services);
    let killed = 0;
    const one = async (index: number): Promise<void> => {
      const data = join(folder.path, `killed-${index}`);
      // From before the first write to about the end of an undisturbed run.
      const first = await program.run(['--json', '--data', data, manifest], { killAfterMs: 150 + index * 120 + Math.random() * 100 });
      if (first.code === null) killed += 1;
      const run = await program.run(['--json', '--data', data, manifest]);
      expect(run.code, `${run.stderr}\n${run.stdout}`).toBe(0);
      const summary = summaryOf(run);
      expect(summary).toMatchObject({
        converged: true,
        services: [{ name: 'web', desired: 4, ready: 4 }],
        operations: [{ name: 'grow', phase: 'completed' }],
      });
      await using store = await openStore({ path: data });
      expect((await store.verify()).problems).toEqual([]);
      expect((await store.list('instance')).items.map(({ metadata }) => metadata.name)).toEqual(['web-0', 'web-1', 'web-2', 'web-3']);
    };
    for (let index = 0; index < 10; index += 2) await Promise.all([one(index), one(index + 1)]);
    expect(killed).toBeGreaterThan(4);
  }, 120_000);

  const broken: readonly (readonly [what: string, text: string, fault: RegExp])[] = [
    ['an unknown field', 'kind: Service\nmetadata: { name: a }\nspec: { image: x, replicas: 3 }', /document 1, spec\.replicas/],
    ['a wrong type', 'kind: Service\nmetadata: { name: a }\nspec: { image: x, scale: many }', /document 1, spec\.scale/],
    ['a bad name', 'kind: Service\nmetadata: { name: Not_A_Name }\nspec: { image: x }', /document 1, metadata\.name/],
    ['an unknown kind', 'kind: Servise\nmetadata: { name: a }\nspec: { image: x }', /document 1, kind: Servise is not known/],
    [
      'two documents with one name',
      'kind: Service\nmetadata: { name: a }\nspec: { image: x }\n---\nkind: Service\nmetadata: { name: a }\nspec: { image: y }',
      /document 2, metadata\.name: .*said twice/,
    ],
    ['what is not YAML', 'kind: [Service', /document 1: is not valid YAML/],
    ['an alias that points nowhere', 'kind: Service\nmetadata: { name: a }\nspec: { image: *nope }', /document 1: is not valid YAML/],
    ['no name', 'kind: Service\nmetadata: {}\nspec: { image: x }', /document 1, metadata\.name: is required/],
    [
      'a hostile key',
      'kind: Service\nmetadata: { name: a }\nspec: { image: x, env: { __proto__: { polluted: "yes" } } }',
      /document 1, spec\.env\.__proto__/,
    ],
  ];
  it('refuses broken manifests with exit code 2, each fault with file, document and field, and writes nothing', async () => {
    const data = join(folder.path, 'broken');
    const good = join(folder.path, 'good.yaml');
    await writeFile(good, 'kind: Service\nmetadata: { name: fine }\nspec: { image: x }\n');
    const files: string[] = [];
    for (const [index, [, text]] of broken.entries()) {
      const file = join(folder.path, `broken-${index}.yaml`);
      await writeFile(file, text);
      files.push(file);
    }
    for (const [index, [what, , fault]] of broken.entries()) {
      const run = await program.run(['--data', data, good, files[index]!]);
      expect(run.code, what).toBe(2);
      expect(run.stderr, what).toContain(`broken-${index}.yaml`);
      expect(run.stderr, what).toMatch(fault);
    }
    const all = await program.run(['--data', data, good, ...files]);
    for (const [index, [what, , fault]] of broken.entries())
      expect(
        all.stderr.split('\n').some((line) => line.startsWith(`broken-${index}.yaml`) && fault.test(line)),
        what,
      ).toBe(true);
    await using store = await openStore({ path: data });
    expect(store.revision).toBe('0');
  }, 60_000);

  it('refuses arguments it does not know with exit code 2', async () => {
    expect((await program.run(['--fast'])).code).toBe(2);
    expect((await program.run(['--timeout', 'soon'])).code).toBe(2);
    expect((await program.run(['missing.yaml'])).code).toBe(2);
  }, 30_000);
});
