/**
 * A process that is killed: writes secrets at a given rate, reports each that is durable, and rotates keys meanwhile.
 *
 *     rotation.process.ts DIRECTORY RATE MODE      MODE: write | rotate | resume
 *
 * Real world: a process to be killed, on the real clock.
 *
 * Lines on stdout: `ready`, `ack NAME VALUE REVISION` (after the promise), `progress SCANNED`, `rotated`.
 */
import { Secret } from '../../../src/schemas/index.js';
import { openStore, systemDeps } from '../../../src/store/index.js';
import type { Logger } from '../../../src/store/index.js';

const [directory = '', rate = '500', mode = 'rotate'] = process.argv.slice(2);
const quiet: Logger = { trace() {}, debug() {}, info() {}, warn() {}, error() {}, child: () => quiet };
const say = (line: string): void => void process.stdout.write(`${line}\n`);

const store = await openStore({ path: directory, deps: systemDeps({ logger: quiet }) });
say('ready');

let written = 0;
let inFlight = 0;
let last = Date.now();
let due = 0;
const write = async (): Promise<void> => {
  const name = `s${written % 200}`;
  const value = `${process.pid}-${(written += 1)}`;
  inFlight += 1;
  const { metadata } = await store.apply(Secret, 'prod', name, { data: { value, same: 'for all' } });
  inFlight -= 1;
  say(`ack ${name} ${value} ${metadata.resourceVersion}`);
};
const tick = setInterval(() => {
  const now = Date.now();
  due += ((now - last) * Number(rate)) / 1000;
  last = now;
  // A machine that cannot keep up writes less, instead of piling writes up.
  for (; due >= 1; due -= 1) if (inFlight < 256) void write();
}, 10);

if (mode === 'rotate') {
  for (;;) {
    await store.rotateKeys({ onProgress: ({ scanned }) => say(`progress ${scanned}`) });
    say('rotated');
  }
}
if (mode === 'resume') {
  // The rotation that was cut off goes on by itself; this one comes after it.
  await store.rotateKeys();
  clearInterval(tick);
  await store.rotateKeys();
  say('rotated');
  await store.close();
}
