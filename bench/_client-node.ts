/**
 * @kubernetes/client-node's informer, run in a process of its own right after ours: bench/peers/client-node, which is installed by
 * hand (`npm install` in that folder) because the project does without it.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

/** What the peer measured: medians of its rounds. */
export interface ClientNode {
  readonly syncMs: number;
  readonly eventsPerSecond: number;
  /** From the server's write of an event to the handler. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly heapBytes: number;
}

/** undefined: it is not installed. */
export async function runClientNode(): Promise<ClientNode | undefined> {
  // The benches run from the project's root; this file is bundled elsewhere.
  const folder = join(process.cwd(), 'bench', 'peers', 'client-node');
  if (!existsSync(join(folder, 'node_modules'))) return undefined;
  const peer = spawn(process.execPath, ['--expose-gc', 'informer.mjs', '--json'], { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] });
  const printed = await text(peer.stdout);
  return JSON.parse(printed.trimEnd().split('\n').at(-1) ?? '') as ClientNode;
}
