/** Real world: processes on one LMDB directory, with real signals and real time. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { lmdbEngine, openStore } from '../../src/store/index.js';
import { Widget } from './world.js';

interface Line {
  readonly did: string;
  readonly identity: string;
  readonly at: number;
  readonly name?: string;
  readonly code?: number;
  readonly message?: string;
}
const script = fileURLToPath(new URL('children/contender.ts', import.meta.url));
const WAIT = 60_000;

let path: string;
let children: ChildProcess[];
let lines: Line[];
let errors: string;

beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'rune-contest-'));
  children = [];
  lines = [];
  errors = '';
  const store = await openStore({ engine: lmdbEngine({ path }), types: [Widget] });
  for (const name of ['a', 'b', 'c']) await store.create(Widget, 'prod', name, { spec: {} });
  await store.close();
});
afterEach(async () => {
  for (const child of children) child.kill('SIGKILL');
  const alive = children.filter((child) => child.exitCode === null && child.signalCode === null);
  await Promise.all(alive.map((child) => new Promise((resolve) => child.once('exit', resolve))));
  await rm(path, { recursive: true, force: true });
});

function contender(identity: string): ChildProcess {
  const child = spawn(process.execPath, ['--import', 'tsx', script, path, identity], { stdio: ['ignore', 'pipe', 'pipe'] });
  children.push(child);
  let rest = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const parts = (rest + text).split('\n');
    rest = parts.pop() as string;
    for (const part of parts) if (part.startsWith('{"')) lines.push(JSON.parse(part) as Line);
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
  return child;
}

async function told(what: (line: Line) => boolean, wanted: string): Promise<Line> {
  const until = Date.now() + WAIT;
  for (;;) {
    const line = lines.find(what);
    if (line !== undefined) return line;
    if (Date.now() > until) throw new Error(`nobody told ${wanted}; told was ${JSON.stringify(lines.slice(-10))}\n${errors.slice(-2000)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
const by = (identity: string, did: string) => (line: Line) => line.identity === identity && line.did === did;

/** Runs of one key that overlap: [begin, end] of one process and of the other. */
function overlaps(): string[] {
  const spans: { identity: string; name: string; from: number; to: number }[] = [];
  for (const line of lines) {
    if (line.did === 'begin') spans.push({ identity: line.identity, name: line.name as string, from: line.at, to: Infinity });
    if (line.did !== 'end' && line.did !== 'refused') continue;
    const open = spans.findLast((span) => span.identity === line.identity && span.name === line.name);
    if (open !== undefined) open.to = line.at;
  }
  const clashes: string[] = [];
  for (const [i, one] of spans.entries()) {
    for (const other of spans.slice(i + 1)) {
      if (one.identity !== other.identity && one.name === other.name && one.from < other.to && other.from < one.to)
        clashes.push(`${one.name}: ${one.identity} and ${other.identity}`);
    }
  }
  return clashes;
}

describe('two processes', () => {
  it(
    'one leads; killed, the other leads within lease + retry, and no key is reconciled by both at once',
    async () => {
      const one = contender('one');
      await told(by('one', 'end'), 'that one reconciles');
      contender('two');
      await told(by('two', 'standby'), 'that two stands by');
      await new Promise((resolve) => setTimeout(resolve, 1500));
      expect(lines.filter(by('two', 'begin'))).toEqual([]);
      const killedAt = Date.now();
      one.kill('SIGKILL');
      await new Promise((resolve) => one.once('exit', resolve));
      // What a killed process had begun ended with it.
      for (const name of ['a', 'b', 'c']) lines.push({ did: 'end', identity: 'one', name, at: Date.now() });
      const leads = await told(by('two', 'running'), 'that two leads');
      // Lease, retry with its jitter, and what a busy machine adds.
      expect(leads.at - killedAt).toBeLessThan(2000 + 400 * 2.2 + 3000);
      await told(by('two', 'end'), 'that two reconciles');
      expect(overlaps()).toEqual([]);
    },
    2 * WAIT,
  );

  it(
    'a leader that was frozen past its lease and wakes has its writes refused, and stops',
    async () => {
      const one = contender('one');
      await told(by('one', 'end'), 'that one reconciles');
      contender('two');
      await told(by('two', 'standby'), 'that two stands by');
      one.kill('SIGUSR2');
      await told(by('one', 'freeze'), 'that one freezes in the middle of a reconcile');
      await told(by('two', 'end'), 'that two reconciles');
      const wokenAt = Date.now();
      one.kill('SIGCONT');
      await told((line) => line.at >= wokenAt && by('one', 'failed')(line), 'that one gave up');
      await told((line) => line.at >= wokenAt && by('one', 'stopped')(line), 'that one stopped');
      // The answer to the write may come a moment after the manager has left the run behind.
      await told((line) => line.at >= wokenAt && by('one', 'refused')(line), 'that a write of one was refused');
      const after = lines.filter((line) => line.identity === 'one' && line.at >= wokenAt);
      expect(after.filter((line) => line.did === 'end')).toEqual([]);
      for (const refused of after.filter((line) => line.did === 'refused')) expect(refused.code).toBe(403);
      expect(lines.find(by('one', 'failed'))?.message).toMatch(/leadership lost/);
    },
    3 * WAIT,
  );
});
