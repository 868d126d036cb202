/**
 * Kills a process that rotates keys under load, again and again, and looks at what is left.
 *
 * Real world: processes that are killed at moments of the real clock.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Secret } from '../../../src/schemas/index.js';
import { open } from './support.js';

const script = fileURLToPath(new URL('rotation.process.ts', import.meta.url));

export interface KillReport {
  readonly kills: number;
  readonly acknowledged: number;
  /** Rotations that were under way when the process was killed. */
  readonly cutOff: number;
  readonly lost: readonly string[];
  readonly unreadable: readonly string[];
  readonly versions: number;
  readonly leftOnOldKeys: number;
  readonly dropped: number;
  readonly problems: readonly string[];
}

/** Runs `kills` times until the process says it rotates, waits up to `longest` ms, kills it; then looks at everything. */
export async function killRotations(options: {
  readonly directory: string;
  readonly kills: number;
  readonly rate: number;
  readonly delay: (kill: number) => number;
}): Promise<KillReport> {
  const { directory, kills, rate, delay } = options;
  /** The newest value acknowledged for each name, and everything issued after it. */
  const acknowledged = new Map<string, string>();
  let count = 0;
  let cutOff = 0;
  for (let kill = 0; kill < kills; kill += 1) {
    const child = spawn(process.execPath, ['--import', 'tsx', script, directory, String(rate), 'rotate'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exit = once(child, 'exit');
    let timer: NodeJS.Timeout | undefined;
    let isRotating = false;
    for await (const line of createInterface({ input: child.stdout })) {
      const [what, name = '', value = ''] = line.split(' ');
      if (what === 'ack') {
        acknowledged.set(name, value);
        count += 1;
      } else {
        isRotating = what === 'progress';
      }
      // The first round lets enough be written for a rotation to take a while.
      if (timer === undefined && (what === 'progress' || what === 'rotated') && count > 50)
        timer = setTimeout(() => child.kill('SIGKILL'), delay(kill));
    }
    clearTimeout(timer);
    const [code, signal] = (await exit) as [number | null, string | null];
    if (signal !== 'SIGKILL') throw new Error(`the process ended by itself: ${String(code)} ${String(signal)}`);
    if (isRotating) cutOff += 1;
  }
  const last = spawn(process.execPath, ['--import', 'tsx', script, directory, String(rate), 'resume'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const end = once(last, 'exit');
  for await (const line of createInterface({ input: last.stdout })) {
    const [what, name = '', value = ''] = line.split(' ');
    if (what !== 'ack') continue;
    acknowledged.set(name, value);
    count += 1;
  }
  const [code] = (await end) as [number | null];
  if (code !== 0) throw new Error(`the last process ended with ${String(code)}`);

  await using store = await open({ path: directory });
  const lost: string[] = [];
  const unreadable: string[] = [];
  const { items, failed } = await store.list(Secret);
  for (const { name, error } of failed) unreadable.push(`${name}: ${error.message}`);
  const there = new Map(items.map((item) => [item.metadata.name, item]));
  let versions = 0;
  for (const [name, value] of acknowledged) {
    const found = there.get(name)?.data?.['value'];
    // What was written and not acknowledged may be there or not; what was acknowledged cannot be older.
    const [pid, number] = value.split('-').map(Number);
    const [itsPid, itsNumber] = (found ?? '').split('-').map(Number);
    if (found === undefined || (itsPid === pid && itsNumber! < number!)) lost.push(`${name}: ${value}, there is ${String(found)}`);
    for (const version of await store.getHistory(Secret, 'prod', name)) {
      versions += 1;
      try {
        if (version.resource.data?.['same']?.reveal() !== 'for all') unreadable.push(`${name} at ${version.version}`);
      } catch (error) {
        unreadable.push(`${name} at ${version.version}: ${String(error)}`);
      }
    }
  }
  const keys = await store.keys();
  const leftOnOldKeys = keys.filter(({ primary }) => !primary).reduce((sum, key) => sum + key.versions, 0);
  const old = keys.filter(({ primary }) => !primary);
  for (const { id } of old) await store.dropKey(id);
  const { problems } = await store.verify();
  return { kills, acknowledged: count, cutOff, lost, unreadable, versions, leftOnOldKeys, dropped: old.length, problems };
}
