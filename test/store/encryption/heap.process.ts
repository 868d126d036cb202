/**
 * A process whose heap is looked through: does with secrets all that a store does with them, lets go of everything but the
 * store, its watch and its informer, and tells which canaries a heap snapshot still shows.
 *
 *     heap.process.ts DIRECTORY      with --expose-gc
 *
 * Real world: a heap, and its collector. Canaries are kept as bytes, which a snapshot shows the place of and not the content;
 * every text made of one is dropped at once. A snapshot cuts texts after 1,024 characters, so values are short.
 *
 * One line on stdout: JSON, `{ hits, control, canaries, held }`; `control` is what is found of the `held` ones.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { getHeapSnapshot } from 'node:v8';
import { createInformers } from '../../../src/informer/index.js';
import { Secret } from '../../../src/schemas/index.js';
import { createSecretRepo, openStore, systemDeps } from '../../../src/store/index.js';
import type { Logger } from '../../../src/store/index.js';
import { Account, formsOf } from './support.js';

const [path = ''] = process.argv.slice(2);
const quiet: Logger = { trace() {}, debug() {}, info() {}, warn() {}, error() {}, child: () => quiet };
const canaries: Buffer[] = [];
const controls: Buffer[] = [];
/** A new canary as text; what remembers it are bytes. */
const text = (kept = canaries): string => {
  kept.push(randomBytes(16));
  return kept.at(-1)!.toString('hex');
};
const base64 = (): string => Buffer.from(text()).toString('base64');

const store = await openStore({ path, types: [Account], deps: systemDeps({ logger: quiet }) });
const informers = createInformers({ store, logger: quiet });
const informer = informers.for(Secret);
informer.addHandler({ onAdd: () => {}, onUpdate: () => {} });
informers.start();
await informers.whenSynced();
// Falls behind on purpose: what it has not read waits in the ring.
const watch = store.watch('*');

async function use(): Promise<void> {
  const repo = createSecretRepo(store);
  for (let round = 0; round < 20; round += 1) {
    const name = `s${round % 5}`;
    await store.apply(Secret, 'prod', name, { data: { a: text(), b: text() }, binaryData: { raw: base64() } });
    await store.patch(Secret, 'prod', name, { data: { c: text() } });
    await store.patch(Secret, 'prod', name, [{ op: 'add', path: '/data/d', value: text() }]);
    await repo.setValues({ namespace: 'prod', name }, { e: text() });
    await store.modify(Secret, 'prod', name, (draft) => void (draft.data!['f'] = text()));
    await store.apply(Account, 'prod', name, {
      spec: { password: text(), keys: [{ name: 'k', pem: text() }], limits: { [text()]: text() }, tokens: { t: text() } },
    });
    await store.update(Account, 'prod', name, { spec: {}, status: { session: text() } }, { subresource: 'status' });
    await store.transaction(async (tx) => {
      await tx.patch(Secret, 'prod', name, { data: { g: text() } });
      await tx.list(Secret, 'prod');
    });
    await store.get(Secret, 'prod', name);
    for (const { resource } of await store.getHistory(Secret, 'prod', name)) resource.data!['a']?.reveal();
    for (const secret of informer.list()) secret.data!['a']?.equals(secret.data!['b']);
    await store.create(Secret, 'prod', name, { data: { a: text() } }).catch(() => {});
    await store.patch(Secret, 'prod', name, [{ op: 'copy', from: '/data/a', path: '/immutable' }]).catch(() => {});
    await store.list(Secret, 'prod');
  }
  await store.rotateKeys();
}

/** Which of some canaries a snapshot of the heap shows, as text, hex or base64. */
async function shown(kept: readonly Buffer[]): Promise<string[]> {
  const chunks: Buffer[] = [];
  for await (const chunk of getHeapSnapshot()) chunks.push(Buffer.from(chunk as Uint8Array));
  const snapshot = Buffer.concat(chunks);
  const hits: string[] = [];
  for (const [index, canary] of kept.entries())
    for (const form of formsOf(canary.toString('hex'))) if (snapshot.includes(form)) hits.push(`canary ${index} as ${form.length} bytes`);
  return hits;
}

await use();
// The engine of regular expressions holds on to the last text that it has looked at.
/importance/.exec('nothing of importance');
for (let turn = 0; turn < 20; turn += 1) {
  globalThis.gc!();
  await sleep(20);
}
const hits = await shown(canaries);
// The search itself works: what somebody holds is found.
const held = [text(controls), await store.create(Secret, 'prod', 'held', { data: { a: text(controls) } })];
const control = await shown(controls);
process.stdout.write(`${JSON.stringify({ hits, control, canaries: canaries.length, held: held.length })}\n`);
await watch.close();
await informers.stop();
await store.close();
