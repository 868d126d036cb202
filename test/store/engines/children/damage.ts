/** Opens copies of a store that are damaged in every way it knows, and prints what each gave. A native crash would end it. */
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { lmdbEngine } from '../../../../src/store/engines/index.js';
import { systemDeps } from '../../../../src/store/system-deps.js';

const [, , original = '', work = ''] = process.argv;
const deps = systemDeps();
const whole = await readFile(join(original, 'data.mdb'));
const page = 8192;
const change = (edit: (bytes: Buffer) => void): Buffer => {
  const bytes = Buffer.from(whole);
  edit(bytes);
  return bytes;
};
const damages: Record<string, Buffer | undefined> = {
  'nothing done to it': whole,
  'data file gone': undefined,
  empty: Buffer.alloc(0),
  '1 byte': whole.subarray(0, 1),
  '100 bytes': whole.subarray(0, 100),
  '4096 bytes': whole.subarray(0, 4096),
  '1 page': whole.subarray(0, page),
  '2 pages': whole.subarray(0, 2 * page),
  half: whole.subarray(0, Math.floor(whole.length / 2 / page) * page),
  'half and a bit': whole.subarray(0, Math.floor(whole.length / 2) + 77),
  'last byte cut': whole.subarray(0, whole.length - 1),
  'header zeroed': change((bytes) => bytes.fill(0, 0, page)),
  'both headers zeroed': change((bytes) => bytes.fill(0, 0, 2 * page)),
  'second header zeroed': change((bytes) => bytes.fill(0, page, 2 * page)),
  text: Buffer.from('this is no data file\n'.repeat(10_000)),
  random: Buffer.from(deps.entropy.bytes(whole.length)),
  'meta pages swapped': Buffer.concat([whole.subarray(page, 2 * page), whole.subarray(0, page), whole.subarray(2 * page)]),
  'other version': change((bytes) => bytes.writeUInt32LE(999, 28)),
  'impossible page size': change((bytes) => bytes.writeUInt32LE(12, 48)),
  'last page far away': change((bytes) => bytes.writeBigUInt64LE(2n ** 60n, 144)),
  'tree outside of the file': change((bytes) => [0, page].forEach((at) => bytes.writeBigUInt64LE(2n ** 40n, at + 24 + 72 + 40))),
};
for (const [name, bytes] of Object.entries(damages)) {
  const path = join(work, 'copy');
  await rm(path, { recursive: true, force: true });
  await mkdir(path);
  await cp(join(original, 'store.id'), join(path, 'store.id'));
  if (bytes !== undefined) await writeFile(join(path, 'data.mdb'), bytes);
  let outcome: string;
  try {
    const engine = await lmdbEngine({ path }).open({ deps });
    outcome = `open with ${(await engine.stats()).objects} objects`;
    await engine.close();
  } catch (error) {
    outcome = (error as { reason?: string }).reason ?? String(error);
  }
  process.stdout.write(`${name}: ${outcome}\n`);
}
