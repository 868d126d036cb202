/**
 * What the log remembers of a version beside its place: enough to tell it from every other version of its key. A sealed
 * version opens under its own uid and counter alone, so one whose mark is the log's is the one that was written there.
 */
import { crc32 } from 'node:zlib';

/** The mark of a version: of one object each counter has another one. */
export function versionMark(uid: string, version: number): number {
  return crc32(uid, version);
}
