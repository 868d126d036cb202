/**
 * Rotation of keys killed at 20 points under 500 writes a second: `npm run reliability -- rotation`. Each process rotates over
 * and over while it writes, and is killed at a moment that moves through the rotation. In the end everything acknowledged
 * must be there, every kept version must open, also once the old keys are dropped, and no version may be left on an old key.
 * A run that did not do what it says (kills inside a rotation, the rate, keys to drop) has shown nothing, and fails.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { killRotations } from '../store/encryption/rotation-kit.js';

const KILLS = 20;
const RATE = 500;
/** The first and last writes of each process come while it starts and ends. */
const LEAST_RATE = 0.9 * RATE;
const directory = await mkdtemp(join(tmpdir(), 'rune-rotation-'));
try {
  const report = await killRotations({ directory, kills: KILLS, leastCutOff: KILLS / 2, rate: RATE, delay: (kill) => 10 + kill * 75 });
  console.log(JSON.stringify(report, undefined, 2));
  const failures = [
    ...(report.lost.length > 0 ? [`${report.lost.length} acknowledged writes are lost`] : []),
    ...(report.unreadable.length > 0 ? [`${report.unreadable.length} versions cannot be read`] : []),
    ...(report.leftOnOldKeys > 0 ? [`${report.leftOnOldKeys} versions are left on old keys`] : []),
    ...(report.lostWithOldKeys.length > 0 ? [`${report.lostWithOldKeys.length} versions went with the old keys`] : []),
    ...(report.problems.length > 0 ? [`verify() reports ${report.problems.length} problems`] : []),
    ...(report.dropped > 0 ? [] : ['no key was dropped']),
    ...(report.cutOff >= KILLS / 2 ? [] : [`only ${report.cutOff} of ${report.kills} kills struck inside a rotation`]),
    ...(report.rate >= LEAST_RATE ? [] : [`${report.rate.toFixed(0)} writes a second were reached, ${RATE} are meant`]),
  ];
  console.log(
    failures.length === 0
      ? `passed: ${report.kills} kills, ${report.cutOff} in the middle of a rotation, ${report.acknowledged} writes acknowledged (${report.rate.toFixed(0)} a second), ` +
          `0 lost, ${report.versions} versions readable before and after ${report.dropped} keys were dropped, 0 on old keys`
      : `FAILED: ${failures.join('; ')}`,
  );
  if (failures.length > 0) process.exitCode = 1;
} finally {
  await rm(directory, { recursive: true, force: true });
}
