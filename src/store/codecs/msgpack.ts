/**
 * MessagePack: smaller than JSON on disk, not readable with the eye.
 *
 * Plain maps only: no shared structures, which an aborted transaction can make unreadable for ever, and no records, so any
 * MessagePack reader can decode what is stored.
 */
import { Packr } from 'msgpackr';
import type { Codec } from './json.js';

const packr = new Packr({ useRecords: false, mapsAsObjects: true, variableMapSize: true, int64AsType: 'number' });

/** MessagePack through msgpackr. All processes on one store use the same codec. */
export const msgpackCodec: Codec = Object.freeze({
  name: 'msgpack',
  // Copied: the packer's buffer is used again, and an engine may keep the bytes until they are written.
  encode: (object: object): Uint8Array => Buffer.from(packr.pack(object)),
  decode: (bytes: Uint8Array): object => packr.unpack(bytes) as object,
});
