/**
 * The store's keyed text, and the engine's own word on what this file is.
 *
 * Invariant: names of the engine begin with NUL, those of the store do not, so neither can reach the other's.
 */
import { BadRequestError, CorruptError } from '../../../schemas/index.js';
import type { EngineMeta, Premise } from '../../engine.js';
import { writeId } from './directory.js';
import type { StoreId } from './directory.js';
import { put, remove } from './session.js';
import type { Session } from './session.js';
import type { Tables } from './tables.js';

export const FORMAT = 2;
const IDENTITY = Buffer.from('\0format');
const LONGEST_NAME = 1000;

interface Identity extends StoreId {
  readonly fingerprint?: string | undefined;
}

export function createMeta(session: Session): EngineMeta {
  const { meta } = session.tables;
  const read = (key: Buffer): string | undefined => meta.getBinary(key)?.toString();
  return {
    async get(name) {
      const key = nameKey(name);
      return session.glance(() => read(key));
    },
    async set(name, text, options) {
      const key = nameKey(name);
      const value = text === undefined ? undefined : Buffer.from(text);
      const expect = options?.expect;
      return session.write(() => {
        if (expect !== undefined && (read(key) ?? null) !== expect) return false;
        session.metaChanges++;
        if (value === undefined) remove(meta, key);
        else put(meta, key, value);
        return true;
      });
    },
  };
}

/** Premises as they are compared: encoded once, outside the transaction. */
export interface PreparedPremises {
  readonly premises: readonly Premise[];
  readonly prepared: readonly { readonly premise: Premise; readonly key: Buffer; readonly value: Buffer | undefined }[];
}

export function preparePremises(premises: readonly Premise[]): PreparedPremises {
  const prepared = premises.map((premise) => ({
    premise,
    key: nameKey(premise.meta),
    value: premise.text === null ? undefined : Buffer.from(premise.text),
  }));
  return { premises, prepared };
}

/** The first that does not hold. Inside a transaction only. */
export function unmetPremise({ meta }: Tables, { prepared }: PreparedPremises): Premise | undefined {
  return prepared.find(({ key, value }) => {
    const found = meta.getBinary(key);
    return found === undefined || value === undefined ? found !== value : !value.equals(found);
  })?.premise;
}

function nameKey(name: string): Buffer {
  const key = Buffer.from(name);
  if (key.length === 0 || key.length > LONGEST_NAME || key.includes(0)) {
    throw new BadRequestError(`meta name ${JSON.stringify(name.slice(0, 100))}: 1 to ${LONGEST_NAME} bytes without NUL are needed`);
  }
  return key;
}

/**
 * Gives a new store its identity, and refuses one that is not what is expected.
 * @throws {CorruptError} when the data file is not the one that `store.id` names
 * @throws {BadRequestError} for a newer format or another fingerprint
 */
export async function claim(session: Session, id: StoreId | undefined, fingerprint: string | undefined): Promise<void> {
  const { meta } = session.tables;
  const read = (): Identity | undefined => {
    const text = meta.getBinary(IDENTITY)?.toString();
    return text === undefined ? undefined : (JSON.parse(text) as Identity);
  };
  let found = session.glance(read);
  if (found === undefined) {
    if (id !== undefined)
      throw new CorruptError(
        `${session.directory} held the store ${id.storeId}, and its data file is another, empty one: restore it from a backup`,
      );
    const own: Identity = { format: FORMAT, storeId: session.deps.ids.uuid(), ...(fingerprint === undefined ? {} : { fingerprint }) };
    // Another process may be doing the same: who comes second takes what the first has written.
    found = await session.write(() => {
      const other = read();
      if (other === undefined) put(meta, IDENTITY, Buffer.from(JSON.stringify(own)));
      return other ?? own;
    });
  }
  if (found.format !== FORMAT)
    throw new BadRequestError(
      `${session.directory} has format ${found.format}, this version reads format ${FORMAT}: use the version that wrote it`,
    );
  if (id !== undefined && id.storeId !== found.storeId) {
    throw new CorruptError(
      `${session.directory} held the store ${id.storeId}, and its data file is of ${found.storeId}: put the right one back, or remove store.id to take over this one`,
    );
  }
  if (fingerprint !== undefined && found.fingerprint !== undefined && fingerprint !== found.fingerprint) {
    throw new BadRequestError(
      `${session.directory} was created with other options (${found.fingerprint}) than it is opened with (${fingerprint})`,
    );
  }
  if (id === undefined) await writeId(session.directory, { format: found.format, storeId: found.storeId });
}
