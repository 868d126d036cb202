/**
 * Opens a store: finds or makes its identity, checks that this process fits the others, starts it.
 */
import { StoreFailedError } from '../schemas/index.js';
import type { Engine } from './engine.js';
import { EmbeddedStore } from './embedded-store.js';
import { openSecrets } from './encryption/secrets.js';
import { compileOptions } from './options.js';
import type { CompiledOptions, OpenStoreOptions } from './options.js';
import { tokenKey } from './read/continue-token.js';
import type { Store } from './types.js';

/** What every process on one store must agree on. */
interface Fingerprint {
  readonly format: 1;
  readonly id: string;
  readonly codec: string;
}

const FINGERPRINT = 'fingerprint';

/**
 * Opens a store, making it when there is none.
 *
 * @throws {InvalidError} for wrong options @throws {StoreFailedError} when the data belongs to a store with other options
 * @throws {CorruptError} when what is there is damaged @throws {DecryptionError} when a key is wrong or missing that its secrets are sealed with
 * @example await using store = await openStore({ path: './data', types: [Widget] });
 */
export async function openStore(options: OpenStoreOptions): Promise<Store> {
  const compiled = compileOptions(options);
  const engine = await compiled.source.open({ deps: compiled.deps });
  try {
    const { id } = await identify(engine, compiled);
    const secrets = await openSecrets({ storeId: id, engine, deps: compiled.deps }, compiled.secrets);
    const tokens = await tokenKey(engine.meta, compiled.deps.entropy);
    const store = new EmbeddedStore({ id, engine, secrets, options: compiled, tokenKey: tokens, writer: compiled.deps.ids.suffix(8) });
    await store.start();
    return store;
  } catch (error) {
    await engine.close();
    throw error;
  }
}

async function identify(engine: Engine, options: CompiledOptions): Promise<Fingerprint> {
  for (;;) {
    const text = await engine.meta.get(FINGERPRINT);
    if (text === undefined) {
      const made: Fingerprint = { format: 1, id: options.deps.ids.uuid(), codec: options.codec.name };
      if (await engine.meta.set(FINGERPRINT, JSON.stringify(made), { expect: null })) return made;
      continue;
    }
    const found = JSON.parse(text) as Fingerprint;
    if (found.format !== 1)
      throw new StoreFailedError(
        `the store has format ${String(found.format)}, this version knows format 1: use the version that wrote it`,
        { inDoubt: false },
      );
    if (found.codec !== options.codec.name) {
      throw new StoreFailedError(
        `the store was written with the codec "${found.codec}" and cannot be opened with "${options.codec.name}": pass the same codec`,
        { inDoubt: false },
      );
    }
    return found;
  }
}
