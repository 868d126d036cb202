/**
 * Keys under a key management service, whose calls may be slow and remote. A seed is made here and wrapped by the service
 * once; the wrapped seed lies beside the data, and everything else happens in this process.
 *
 * Invariants: the service is called when a store opens and when its keys are rotated, never when an object is read or
 * written; a seed is wrapped, and seen to unwrap again, before anything is sealed with it.
 */
import { DecryptionError, InvalidError, parseDuration } from '../../schemas/index.js';
import { sleep, throwIfAborted, withTimeout } from '../timing.js';
import type { KeyProvider, KeyRequest, ProvidedKey } from './key-provider.js';
import { KEY_BYTES, masterKeyId } from './keyring.js';

/** What a call to the service comes with. */
export interface KmsCall {
  /** Identity of the store: pass it as encryption context, so that the service binds the seed to it. */
  readonly storeId: string;
  /** Aborts when the call takes too long, or nobody waits for it any more. */
  readonly signal: AbortSignal;
}

export interface KmsKeysOptions {
  /**
   * For messages: the name of the service, or of the key in it. May change at any time; two services in one store are asked
   * for fewer seeds that are not theirs when they have two. Default `kms`.
   */
  readonly name?: string | undefined;
  /** Encrypts 32 bytes under the service's key. */
  wrap(seed: Uint8Array, call: KmsCall): Promise<Uint8Array>;
  /** Decrypts what `wrap` gave, also under earlier keys of the service. */
  unwrap(wrapped: Uint8Array, call: KmsCall): Promise<Uint8Array>;
  /** For one call; ms or '10s'. Default 10 s. */
  readonly timeout?: number | string | undefined;
  /** Calls before giving up. Default 5, with 200 ms, 400 ms, ... between them. */
  readonly attempts?: number | undefined;
}

const FIRST_PAUSE = 200;

/**
 * Keys under your key management service.
 * @throws {InvalidError} for wrong options
 * @example kmsKeys({ wrap: async (seed, { storeId }) => kms.encrypt(seed, { storeId }), unwrap: async (wrapped, { storeId }) => kms.decrypt(wrapped, { storeId }) })
 */
export function kmsKeys(options: KmsKeysOptions): KeyProvider {
  const { name = 'kms', timeout = '10s', attempts = 5 } = options;
  if (typeof options.wrap !== 'function' || typeof options.unwrap !== 'function')
    throw new InvalidError('kmsKeys needs wrap and unwrap, two functions');
  if (!Number.isInteger(attempts) || attempts < 1)
    throw new InvalidError(`kmsKeys: attempts must be a whole number of at least 1, not ${String(attempts)}`);
  parseDuration(timeout, 'timeout');

  const call = async (request: KeyRequest, what: string, run: (call: KmsCall) => Promise<Uint8Array>): Promise<Uint8Array> => {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await withTimeout(request.deps, (signal) => run({ storeId: request.storeId, signal }), {
          timeout,
          signal: request.signal,
          what: `${name}: ${what}`,
        });
      } catch (error) {
        throwIfAborted(request.signal, `${name}: ${what}`);
        if (attempt === attempts)
          throw new DecryptionError(
            `${name} could not ${what} after ${attempts} attempts: the store's secrets cannot be opened without it`,
            { cause: error },
          );
        request.deps.logger.warn({ err: error, attempt }, `${name} could not ${what}; it is asked again`);
        await sleep(request.deps, FIRST_PAUSE * 2 ** (attempt - 1), { signal: request.signal });
      }
    }
  };

  const create = async (request: KeyRequest): Promise<ProvidedKey> => {
    const bytes = request.deps.entropy.bytes(KEY_BYTES);
    // A copy: what a client does to its input must not reach the seed.
    const wrapped = await call(request, 'wrap a new seed', (context) => options.wrap(Uint8Array.from(bytes), context));
    if (!(wrapped instanceof Uint8Array) || wrapped.length === 0) throw new DecryptionError(`${name}: wrap gave no bytes`);
    const again = await call(request, 'unwrap the new seed', (context) => options.unwrap(Uint8Array.from(wrapped), context));
    if (Buffer.compare(again, bytes) !== 0)
      throw new DecryptionError(`${name}: what was wrapped does not unwrap to the same bytes; nothing was sealed with it`);
    return { bytes, wrapped: Uint8Array.from(wrapped) };
  };

  const open = async (request: KeyRequest, id: string, wrapped: Uint8Array): Promise<ProvidedKey> => {
    const bytes = await call(request, `unwrap the seed of key ${id}`, (context) => options.unwrap(Uint8Array.from(wrapped), context));
    if (!(bytes instanceof Uint8Array) || masterKeyId(bytes) !== id)
      throw new DecryptionError(`${name}: what it unwrapped is not the seed of key ${id}`);
    return { bytes, wrapped };
  };

  return {
    name,
    async load(request) {
      const failures: unknown[] = [];
      const tryOpen = async (id: string, wrapped: Uint8Array): Promise<ProvidedKey | undefined> => {
        try {
          return await open(request, id, wrapped);
        } catch (error) {
          throwIfAborted(request.signal, `${name}: loading keys`);
          failures.push(error);
          return undefined;
        }
      };
      // A key without a wrapped seed came from another provider: it is that one's to give.
      const offered = request.known.filter(({ wrapped }) => wrapped !== undefined);
      const opened = await Promise.all(offered.map(({ id, wrapped }) => tryOpen(id, wrapped!)));
      const keys = opened.filter((key) => key !== undefined);
      // An older key does not take the place of one that cannot be had at the moment.
      const sealing = offered.findIndex(({ id }) => id === request.primary);
      const primary = sealing < 0 ? keys.at(-1) : opened[sealing];
      return { primary, previous: keys.filter((key) => key !== primary), failures };
    },
    create,
  };
}
