/**
 * What a store does with its keys while it runs: one rotation at a time, the list of keys, dropping one.
 *
 * Invariants: a rotation that is cut off is taken up again; one runs at a time, over all processes; a key is dropped only after
 * everything was looked at and nothing was found that needs it.
 */
import { AbortedError } from '../../schemas/index.js';
import type { Deps } from '../deps.js';
import type { Engine, Entry, Premise } from '../engine.js';
import { onAbort } from '../timing.js';
import type { KeyStatus, RotateKeysOptions, RotationProgress, RotationReport } from '../types.js';
import { underLease } from '../upkeep-lease.js';
import { closedError } from '../write/not-written.js';
import { runRotation } from './rotation.js';
import type { Secrets } from './secrets.js';

export interface KeeperHost {
  readonly deps: Deps;
  readonly secrets: Secrets;
  engine(): Engine;
  premises(): readonly Premise[];
  /** Takes in what others did to the premises. */
  reload(): Promise<void>;
  sealClear(entry: Entry): Uint8Array | undefined;
}

export class KeyKeeper {
  readonly #host: KeeperHost;
  readonly #listeners = new Set<(progress: RotationProgress) => void>();
  /** The rotation under way, and what ends it. */
  #running: { readonly settled: Promise<void>; readonly abort: AbortController } | undefined;
  #progress: RotationProgress | undefined;
  #closed = false;

  constructor(host: KeeperHost) {
    this.#host = host;
  }

  /** Takes up a rotation that was cut off. */
  start(): void {
    const { secrets, deps } = this.#host;
    secrets.start();
    if (!this.#isCutOff()) return;
    deps.logger.info({ key: secrets.keyring.primary?.id }, 'a rotation of keys that was cut off goes on');
    const abort = new AbortController();
    this.#run(abort, async () => {
      await secrets.reload();
      // Another process may have finished it meanwhile.
      return this.#isCutOff() ? this.#bringAll(abort.signal) : undefined;
    }).catch((error: unknown) => {
      if (!this.#closed)
        deps.logger.error(
          { err: error },
          'the rotation of keys failed; it goes on when rotateKeys() is called or the store is opened again',
        );
    });
  }

  async stop(): Promise<void> {
    this.#closed = true;
    this.#host.secrets.stop();
    this.#running?.abort.abort(closedError());
    await this.#running?.settled;
  }

  async rotate({ keys, signal, onProgress }: RotateKeysOptions = {}): Promise<RotationReport> {
    const { secrets, deps } = this.#host;
    const abort = new AbortController();
    if (signal?.aborted === true) throw new AbortedError('the rotation was aborted before it began', { cause: signal.reason });
    const unlisten = onAbort(signal, (reason) => abort.abort(reason));
    if (onProgress !== undefined) this.#listeners.add(onProgress);
    try {
      const report = await this.#run(abort, async () => {
        await secrets.rotate({ keys, signal: abort.signal });
        return this.#bringAll(abort.signal);
      });
      deps.logger.info({ key: report.key, rewrapped: report.rewrapped, failed: report.failed.length }, 'all secrets are under one key');
      return report;
    } finally {
      unlisten();
      if (onProgress !== undefined) this.#listeners.delete(onProgress);
    }
  }

  async list(): Promise<readonly KeyStatus[]> {
    const { secrets } = this.#host;
    await secrets.reload();
    const { record, keyring } = secrets;
    const { versions, unreadable } = await secrets.count();
    const status = (id: string, provider: string): KeyStatus => ({
      id,
      provider,
      primary: id === record?.primary,
      present: keyring.find(id) !== undefined,
      versions: versions.get(id) ?? 0,
      unreadable: unreadable.count,
    });
    const known = Object.entries(record?.keys ?? {}).map(([id, { provider }]) => status(id, provider));
    // Named by what is sealed and remembered nowhere: a record of the keys that was lost, or content of another store.
    const others = [...versions.keys()].filter((id) => record?.keys[id] === undefined).map((id) => status(id, 'unknown'));
    return [...known, ...others];
  }

  async drop(id: string): Promise<void> {
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

  #isCutOff(): boolean {
    const { record, keyring } = this.#host.secrets;
    return record?.rotating === true && keyring.primary !== undefined;
  }

  /** Runs behind what is under way here, and what other processes have under way. */
  async #run<T>(abort: AbortController, work: () => Promise<T>): Promise<T> {
    const { signal } = abort;
    while (this.#running !== undefined) await untilAborted(this.#running.settled, signal);
    if (this.#closed) throw closedError();
    const done = underLease(this.#host, signal, work);
    const settled = done.then(
      () => {},
      () => {},
    );
    const running = { settled, abort };
    this.#running = running;
    try {
      return await done;
    } finally {
      this.#running = undefined;
    }
  }

  #bringAll(signal: AbortSignal): Promise<RotationReport> {
    const { secrets, ...host } = this.#host;
    return runRotation({
      ...host,
      sealer: secrets.sealer,
      signal,
      primary: () => secrets.primary(),
      finish: (key) => secrets.finish(key),
      progress: (now) => {
        this.#progress = now;
        for (const listener of this.#listeners) listener(now);
      },
    });
  }
}

/** @throws {AbortedError} */
function untilAborted(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const unlisten = onAbort(signal, (reason) =>
      reject(new AbortedError('the rotation was aborted before it began: another one was under way', { cause: reason })),
    );
    promise.then(resolve, reject).finally(unlisten);
  });
}
