/**
 * What a store does with its keys while it runs: one rotation at a time, the list of keys, dropping one.
 *
 * Invariants: a rotation is noted before its key seals anything, so one that is cut off is taken up again; a key is dropped
 * only after everything was looked at and nothing was found that needs it.
 */
import { AbortedError, ConflictError, ForbiddenError } from '../../schemas/index.js';
import type { Deps } from '../deps.js';
import type { Engine, Entry } from '../engine.js';
import { onAbort } from '../timing.js';
import type { KeyStatus, RotateKeysOptions } from '../types.js';
import { beginRotation, countKeys, hasRotation, runRotation } from './rotation.js';
import type { KeyCounts } from './rotation.js';
import type { RotationProgress, RotationReport } from '../types.js';
import type { Secrets } from './secrets.js';

export interface KeeperHost {
  readonly deps: Deps;
  readonly secrets: Secrets;
  engine(): Engine;
  drain(): Promise<void>;
  sealClear(entry: Entry): Uint8Array | undefined;
  isClear(entry: Entry): boolean;
}

export class KeyKeeper {
  readonly #host: KeeperHost;
  readonly #listeners = new Set<(progress: RotationProgress) => void>();
  #abort = new AbortController();
  #running: Promise<RotationReport> | undefined;
  #progress: RotationProgress | undefined;
  #closed = false;

  constructor(host: KeeperHost) {
    this.#host = host;
  }

  /** Takes up a rotation that was cut off. */
  async start(): Promise<void> {
    this.#host.secrets.start();
    if (this.#host.secrets.keyring.primary === undefined || !(await hasRotation(this.#host.engine()))) return;
    this.#host.deps.logger.info({ key: this.#host.secrets.keyring.primary.id }, 'a rotation of keys that was cut off goes on');
    this.#run().catch((error: unknown) => {
      if (!this.#closed)
        this.#host.deps.logger.error(
          { err: error },
          'the rotation of keys failed; it goes on when rotateKeys() is called or the store is opened again',
        );
    });
  }

  async stop(): Promise<void> {
    this.#closed = true;
    this.#abort.abort();
    this.#host.secrets.stop();
    await this.#running?.catch(() => {});
  }

  async rotate(options: RotateKeysOptions = {}): Promise<RotationReport> {
    const { secrets } = this.#host;
    const { signal, onProgress } = options;
    if (signal?.aborted === true) throw new AbortedError('the rotation was aborted before it began', { cause: signal.reason });
    // One that was cut off first comes to its end: two keys in motion would help nobody.
    while (this.#running !== undefined) await this.#running.catch(() => {});
    this.#running = this.#begin(options).finally(() => {
      this.#running = undefined;
    });
    if (onProgress !== undefined) this.#listeners.add(onProgress);
    const unlisten = onAbort(signal, (reason) => this.#abort.abort(reason));
    try {
      const report = await this.#running;
      this.#host.deps.logger.info(
        { key: secrets.keyring.primary?.id, rewrapped: report.rewrapped, failed: report.failed.length },
        'all secrets are under one key',
      );
      return report;
    } finally {
      unlisten();
      if (onProgress !== undefined) this.#listeners.delete(onProgress);
    }
  }

  async list(): Promise<readonly KeyStatus[]> {
    const { secrets } = this.#host;
    const record = await secrets.record();
    await this.#host.drain();
    const { sealed, unreadable } = await this.#count();
    const known = Object.entries(record?.keys ?? {}).map(([id, key]) => ({
      id,
      provider: key.provider,
      primary: id === secrets.keyring.primary?.id,
      present: secrets.keyring.has(id),
      versions: sealed.get(id) ?? 0,
      unreadable: unreadable.count,
    }));
    // Named by what is sealed and remembered nowhere: a record of the keys that was lost, or content of another store.
    const others = [...sealed]
      .filter(([id]) => record?.keys[id] === undefined)
      .map(([id, versions]) => ({
        id,
        provider: 'unknown',
        primary: false,
        present: secrets.keyring.has(id),
        versions,
        unreadable: unreadable.count,
      }));
    return [...known, ...others];
  }

  async drop(id: string): Promise<void> {
    const { record } = await this.#host.secrets.check(id);
    await this.#host.drain();
    const { sealed, unreadable } = await this.#count();
    const refuse = (why: string): ConflictError =>
      new ConflictError(
        `key ${id} cannot be dropped: ${why}: restore them from a backup, or delete those objects and wait until their history is no longer kept`,
        { details: { kind: 'key', name: id } },
      );
    if (unreadable.count > 0)
      throw refuse(`${unreadable.count} kept versions are damaged and may need it (${unreadable.named.slice(0, 5).join(', ')})`);
    const strange = [...sealed.keys()].filter((each) => record.keys[each] === undefined && !this.#host.secrets.keyring.has(each));
    if (strange.length > 0)
      throw refuse(`kept versions name key ${strange.slice(0, 5).join(', ')}, which this store never had, and may need it`);
    const versions = sealed.get(id) ?? 0;
    if (versions > 0)
      throw new ConflictError(`key ${id} still seals ${versions} kept versions, history included: rotateKeys() first`, {
        details: { kind: 'key', name: id },
      });
    await this.#host.secrets.drop(id);
    this.#host.deps.logger.info({ key: id }, 'a key for secrets was dropped');
  }

  stats(): Record<string, number | string> {
    const { primary } = this.#host.secrets.keyring;
    return {
      secretsKey: primary?.id ?? 'none',
      secretsRotating: this.#running === undefined ? 0 : 1,
      secretsRotationScanned: this.#progress?.scanned ?? 0,
      secretsRotationRewrapped: this.#progress?.rewrapped ?? 0,
    };
  }

  #count(): Promise<KeyCounts> {
    return countKeys({
      deps: this.#host.deps,
      sealer: this.#host.secrets.sealer,
      engine: () => this.#host.engine(),
      isClear: (entry) => this.#host.isClear(entry),
    });
  }

  async #begin({ keys }: RotateKeysOptions): Promise<RotationReport> {
    const { secrets } = this.#host;
    if (keys === undefined && secrets.keyring.primary === undefined) {
      throw new ForbiddenError(
        'this store has no key to rotate to: open it with secrets: { keys }, and with every key it was sealed with before',
      );
    }
    const unfinished = await hasRotation(this.#host.engine());
    if (!unfinished) await beginRotation(this.#host.engine(), '');
    if (keys !== undefined) await secrets.load(keys);
    else if (!unfinished) await secrets.renew();
    return this.#pass();
  }

  #run(): Promise<RotationReport> {
    this.#running = this.#pass().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  #pass(): Promise<RotationReport> {
    if (!this.#closed) this.#abort = new AbortController();
    const { deps, secrets } = this.#host;
    return runRotation({
      deps,
      sealer: secrets.sealer,
      signal: this.#abort.signal,
      primary: () => secrets.keyring.primary!.id,
      engine: () => this.#host.engine(),
      drain: () => this.#host.drain(),
      sealClear: (entry) => this.#host.sealClear(entry),
      isClear: (entry) => this.#host.isClear(entry),
      progress: (now) => {
        this.#progress = now;
        for (const listener of this.#listeners) listener(now);
      },
    });
  }
}
