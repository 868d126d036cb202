/** Real world: processes that are killed and waited for. */
import { execFile, spawn } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { lmdbEngine } from '../../../src/store/engines/index.js';
import { systemDeps } from '../../../src/store/system-deps.js';
import { decode, k, put, readChanges, show } from '../../../src/testing/conformance/engine-kit.js';

const deps = systemDeps();
const run = promisify(execFile);
const child = (name: string): string => join(import.meta.dirname, 'children', `${name}.ts`);
const node = (name: string, ...args: string[]): string[] => ['--import', 'tsx', child(name), ...args];

let path: string;
const children: ChildProcessByStdio<Writable, Readable, null>[] = [];

function start(name: string, ...args: string[]): ChildProcessByStdio<Writable, Readable, null> {
  const process_ = spawn(process.execPath, node(name, ...args), { stdio: ['pipe', 'pipe', 'inherit'] });
  children.push(process_);
  return process_;
}

beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'rune-engine-'));
});

afterEach(async () => {
  for (const each of children.splice(0)) each.kill('SIGKILL');
  await rm(path, { recursive: true, force: true });
});

describe('lmdbEngine and other processes', () => {
  it('keeps every acknowledged request, whole, when a writer is killed at random moments', { timeout: 60_000 }, async () => {
    const acknowledged = new Map<string, { revision: number; text: string }>();
    let last = 0;
    for (let kill = 0; kill < 3; kill++) {
      const writer = start('writer', path, String(kill));
      const lines = createInterface({ input: writer.stdout });
      let seen = 0;
      for await (const line of lines) {
        const [revision = '', key = '', text = ''] = line.split(' ');
        expect(Number(revision)).toBe(last + 1);
        last = Number(revision);
        acknowledged.set(key, { revision: last, text });
        if (++seen === 60 + kill * 91) writer.kill('SIGKILL');
      }
      const engine = await lmdbEngine({ path }).open({ deps });
      expect(engine.revision().current).toBeGreaterThanOrEqual(last);
      for (const [key, { revision, text }] of acknowledged) {
        const parts = await Promise.all(['a', 'b', 'c'].map((part) => engine.get(k(`t/${part}/${key}`))));
        expect(new Set(parts.map((entry) => `${entry?.revision} ${decode(entry?.value)}`)).size).toBe(1);
        if (parts[0]?.revision === revision) expect(decode(parts[0].value)).toBe(text);
        else expect(parts[0]?.revision).toBeGreaterThan(revision);
      }
      const report = await engine.verify();
      expect(report.problems).toEqual([]);
      expect(report.checked).toBeGreaterThan(60);
      // What is behind the last acknowledgement was in doubt, and is whole.
      const doubtful = await readChanges(engine, Math.max(last, engine.revision().compacted));
      for (const { changes } of doubtful) expect(changes).toHaveLength(3);
      last = engine.revision().current;
      await engine.compact(last, { retain: () => new Set() });
      expect((await engine.verify()).problems).toEqual([]);
      await engine.close();
    }
  });

  it('finds what is there while it commits, also when another process compacts beyond what it shows', { timeout: 60_000 }, async () => {
    const engine = await lmdbEngine({ path }).open({ deps });
    await put(engine, 't/a/x', '0');
    const other = start('compactor', path, '2000');
    let running = true;
    const ended = once(other, 'exit').then(() => (running = false));
    let reads = 0;
    let missed = 0;
    while (running) {
      let committing = true;
      const commit = put(engine, 't/b/own', 'v').then(() => (committing = false));
      for (; committing; reads++) {
        const [entry, page] = await Promise.all([engine.get(k('t/a/x')), engine.range({ type: 't', namespace: 'a' })]);
        if (entry === undefined || page.entries.length === 0) missed++;
        await deps.scheduler.turn();
      }
      await commit;
    }
    await ended;
    expect(reads).toBeGreaterThan(100);
    expect(missed).toBe(0);
    await engine.close();
  });

  it('counts right when two processes increment one counter', { timeout: 60_000 }, async () => {
    const both = ['80', '80'].map((times) => start('increment', path, times));
    const codes = await Promise.all(both.map(async (each) => (await once(each, 'exit'))[0] as number));
    expect(codes).toEqual([0, 0]);
    const engine = await lmdbEngine({ path }).open({ deps });
    expect(decode((await engine.get(k('t/a/counter')))?.value)).toBe('160');
    const batches = await readChanges(engine, 0);
    expect(batches.map((batch) => batch.revision)).toEqual(batches.map((_, index) => index + 1));
    const counts = batches.flatMap((batch) =>
      batch.changes.filter((change) => change.entry.key.name === 'counter').map((change) => Number(decode(change.entry.value))),
    );
    expect(counts).toEqual(Array.from({ length: 160 }, (_, index) => index + 1));
    expect((await engine.verify()).problems).toEqual([]);
    await engine.close();
  });

  it("hears of another process's commit within 50 ms, and checks preconditions against it", { timeout: 30_000 }, async () => {
    const engine = await lmdbEngine({ path }).open({ deps });
    const heard = new Map<number, number>();
    let told = (_revision: number): void => undefined;
    const stop = engine.onForeignCommit((revision) => {
      heard.set(revision, Date.now());
      told(revision);
    });
    const other = start('slow-writer', path);
    const lines = createInterface({ input: other.stdout })[Symbol.asyncIterator]();
    await lines.next();
    const delays: number[] = [];
    for (let round = 0; round < 9; round++) {
      const listener = new Promise<number>((resolve) => (told = resolve));
      other.stdin.write(`text ${round}\n`);
      const [revision = 0, durable = 0] = String((await lines.next()).value)
        .split(' ')
        .map(Number);
      expect(await listener).toBe(revision);
      delays.push((heard.get(revision) as number) - durable);
      expect(engine.revision().current).toBe(revision);
      expect(show((await engine.range({})).entries)).toEqual([`t/a/x=text ${round}@${revision}`]);
      await deps.scheduler.turn();
    }
    // The median: a busy machine may hold back one of them.
    expect(delays.toSorted((a, b) => a - b)[4]).toBeLessThan(50);
    const [stale, fresh] = await engine.commit([
      {
        id: 'stale',
        writes: [{ key: k('t/a/y'), value: Buffer.of(1), meta: { verb: 'create', uid: 'u', generation: 1, time: 0 } }],
        expect: [{ prefix: { type: 't', namespace: 'a' }, unchangedSince: 8 }],
      },
      {
        id: 'fresh',
        writes: [{ key: k('t/a/y'), value: Buffer.of(1), meta: { verb: 'create', uid: 'u', generation: 1, time: 0 } }],
        expect: [{ prefix: { type: 't', namespace: 'a' }, unchangedSince: 9 }],
      },
    ]);
    expect([stale?.ok, fresh]).toEqual([false, { ok: true, revision: 10 }]);
    expect(heard.has(10)).toBe(false);
    stop();
    stop();
    other.stdin.end();
    await once(other, 'exit');
    await engine.close();
  });

  it('refuses every damaged file with a clear error, and never becomes a new store', { timeout: 30_000 }, async () => {
    const original = join(path, 'original');
    const engine = await lmdbEngine({ path: original }).open({ deps });
    for (let index = 0; index < 40; index++)
      await put(engine, `t/a/o${index}`, 'x'.repeat(index * 300), { add: [{ index: 'i', value: String(index) }] });
    await engine.close();
    const { stdout } = await run(process.execPath, node('damage', original, path), { maxBuffer: 1e7 });
    const [sound, ...damaged] = stdout.trim().split('\n');
    expect(sound).toBe('nothing done to it: open with 40 objects');
    expect(damaged).toHaveLength(20);
    for (const line of damaged) expect(line).toMatch(/: Corrupt$/);
  });

  it(
    'stops after a commit that found the disk full, keeps what was acknowledged, and goes on once there is room',
    { timeout: 30_000 },
    async () => {
      const command = `ulimit -S -f 1024; exec "$@"`;
      const { stdout } = await run('bash', ['-c', command, 'bash', process.execPath, ...node('full', path)], { maxBuffer: 1e7 });
      expect(stdout.trim().split('\n')).toEqual([
        'refused: InsufficientStorage',
        'stopped: ServiceUnavailable',
        'stopped: ServiceUnavailable',
        'stopped: ServiceUnavailable',
        'kept: true',
        'next revision: 1',
        'verified: true',
      ]);
    },
  );

  it('says what is wrong with a directory that it may not write to', { timeout: 30_000 }, async () => {
    const closed = join(path, 'closed');
    const open = join(path, 'open');
    await mkdir(closed);
    await mkdir(open);
    await chmod(path, 0o755);
    await chmod(open, 0o777);
    await chmod(closed, 0o555);
    const program = `
      import { lmdbEngine } from ${JSON.stringify(join(import.meta.dirname, '../../../src/store/engines/index.ts'))};
      import { systemDeps } from ${JSON.stringify(join(import.meta.dirname, '../../../src/store/system-deps.ts'))};
      for (const path of ${JSON.stringify([closed, join(closed, 'new')])}) {
        await lmdbEngine({ path }).open({ deps: systemDeps() }).then(() => console.log('opened'), (error) => console.log(error.message));
      }`;
    // Root may write everywhere: then it is somebody else who tries.
    const user = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
    const { stdout } = await run(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', program], {
      ...user,
      env: { ...process.env, HOME: open, TMPDIR: open },
    });
    for (const line of stdout.trim().split('\n')) expect(line).toMatch(/cannot use .*closed.* may not write there/s);
    expect(await readdir(closed)).toEqual([]);
  });
});
