/** A record as somebody makes it who writes past the store: any header, and a checksum that fits. */
import { versionOfRecord, withValue } from '../../../src/store/engines/lmdb/record.js';
import { writeRevision } from '../../../src/store/engines/lmdb/keys.js';

/** The record as if another revision had written it, or as another version. */
export function restamped(object: Uint8Array, record: Uint8Array, revision: number, version = versionOfRecord(record)): Buffer {
  const copy = Buffer.from(record);
  writeRevision(copy, revision, 8);
  copy.writeUInt32BE(version, 24);
  return withValue(object, copy, copy.subarray(copy.readUInt16BE(2)));
}
