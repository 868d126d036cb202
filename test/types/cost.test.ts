/** What the types cost: thirty definitions the size of a Deployment, checked by the compiler itself. */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
let folder = '';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rune-types-'));
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** A definition of about forty properties, nested three deep, and three uses of its types. */
function definitionSource(i: number): string {
  const scalars = Array.from(
    { length: 20 },
    (_, n) =>
      `p${n}: { type: '${['string', 'integer', 'boolean', 'number'][n % 4]}'${n % 5 === 0 ? `, default: ${['"x"', '1', 'true', '1.5'][n % 4]}` : ''} }`,
  );
  return `
export const Thing${i} = defineResource({
  kind: 'Thing${i}',
  spec: { type: 'object', required: ['p1', 'template', 'strategy'], properties: {
    ${scalars.join(',\n    ')},
    strategy: { type: 'string', enum: ['Recreate', 'RollingUpdate', 'Canary${i}'] },
    labels: { type: 'object', additionalProperties: { type: 'string' } },
    template: { type: 'object', required: ['containers'], properties: {
      containers: { type: 'array', items: { type: 'object', required: ['name', 'image'], properties: {
        name: { type: 'string' }, image: { type: 'string' }, pull: { enum: ['Always', 'Never'] },
        ports: { type: 'array', items: { type: 'object', properties: { port: { type: 'integer' }, protocol: { enum: ['TCP', 'UDP'], default: 'TCP' } } } },
        env: { type: 'array', items: { type: 'object', properties: { name: { type: 'string' }, value: { type: 'string', sensitive: true } } } },
        probe: { oneOf: [{ type: 'object', properties: { path: { type: 'string' } } }, { type: 'object', properties: { port: { type: 'integer' } } }] } } } },
      restart: { enum: ['Always', 'OnFailure', 'Never'] }, node: { type: 'string', nullable: true }, grace: { type: 'integer', default: 30 } } } } },
  status: { type: 'object', properties: { replicas: { type: 'integer' }, ready: { type: 'integer' }, phase: { enum: ['A', 'B', 'C'] } } },
  conditions: ['Ready', 'Progressing'],
  indexes: { byNode: (thing) => thing.spec.template.node ?? undefined },
  validate: (next, previous) => (next.spec.p5 === previous?.spec.p5 ? [] : [{ field: 'spec.p5', message: 'fixed' }]),
});
export type Thing${i} = ResourceOf<typeof Thing${i}>;
export const read${i} = (thing: Thing${i}): 'Recreate' | 'RollingUpdate' | 'Canary${i}' => thing.spec.strategy;
export const write${i}: InputOf<typeof Thing${i}> = { spec: { p1: 1, strategy: 'Recreate', template: { containers: [{ name: 'a', image: 'b' }] } } };
export const cached${i} = (thing: CachedOf<typeof Thing${i}>): string | undefined => thing.spec.template.containers[0]?.env?.[0]?.value?.reveal();
`;
}

interface Cost {
  readonly seconds: number;
  readonly instantiations: number;
}

async function compile(name: string, definitions: number): Promise<Cost> {
  const project = join(folder, name);
  await mkdir(project);
  const schemas = join(root, 'src/schemas/index.js');
  const head = `import { defineResource, type CachedOf, type InputOf, type ResourceOf } from ${JSON.stringify(schemas)};\nvoid defineResource;\nexport type { CachedOf, InputOf, ResourceOf };\n`;
  await writeFile(join(project, 'package.json'), '{"type":"module"}');
  await writeFile(join(project, 'things.ts'), head + Array.from({ length: definitions }, (_, i) => definitionSource(i)).join(''));
  await writeFile(
    join(project, 'tsconfig.json'),
    JSON.stringify({
      extends: join(root, 'tsconfig.json'),
      compilerOptions: { typeRoots: [join(root, 'node_modules/@types')] },
      include: ['things.ts'],
    }),
  );
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  const { stdout } = await promisify(execFile)(process.execPath, [tsc, '-p', project, '--extendedDiagnostics', '--singleThreaded']).catch(
    (error: unknown) => {
      throw new Error(`the compiler refused the definitions:\n${(error as { stdout?: string }).stdout}`);
    },
  );
  const figure = (label: string): number => Number(new RegExp(`^${label}:\\s+([\\d.]+)`, 'm').exec(stdout)?.[1] ?? Number.NaN);
  return { seconds: figure('Check time'), instantiations: figure('Instantiations') };
}

describe('the types of thirty definitions', () => {
  it('are checked in under a second, over what the library itself takes', async () => {
    const none = await compile('none', 0);
    // A busy machine stretches both alike: there the bound is four times what the library itself takes.
    const limit = Math.max(1, 4 * none.seconds);
    const runs: Cost[] = [];
    while (runs.length < 3 && !runs.some((run) => run.seconds - none.seconds < limit))
      runs.push(await compile(`thirty-${runs.length}`, 30));
    expect(Math.min(...runs.map((run) => run.seconds)) - none.seconds).toBeLessThan(limit);
    for (const run of runs) {
      expect(run.instantiations - none.instantiations).toBeGreaterThan(10_000);
      expect(run.instantiations - none.instantiations).toBeLessThan(150_000);
    }
  }, 60_000);
});
