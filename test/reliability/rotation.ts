/**
 * Rotation of keys killed at 20 points under 500 writes a second: `npm run reliability -- rotation`. Each process rotates over
 * and over while it writes, and is killed at a moment that moves through the rotation. In the end everything acknowledged
 * must be there, every kept version must open, and no version may be left on an old key.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { killRotations } from '../store/encryption/rotation-kit.js';

const KILLS = 20;
const directory = await mkdtemp(join(tmpdir(), 'rune-rotation-'));
try {
  const report = await killRotations({ directory, kills: KILLS, rate: 500, delay: (kill) => 10 + kill * 75 });
  console.log(JSON.stringify(report, undefined, 2));
  const isGood = report.lost.length === 0 && report.unreadable.length === 0 && report.leftOnOldKeys === 0 && report.problems.length === 0;
  console.log(
    isGood
      ? `passed: ${report.kills} kills, ${report.cutOff} in the middle of a rotation, ${report.acknowledged} writes acknowledged, 0 lost, ${report.versions} versions readable, 0 on old keys`
      : 'FAILED',
  );
  if (!isGood) process.exitCode = 1;
} finally {
  await rm(directory, { recursive: true, force: true });
}
