/**
 * Everything that writes, over one way to submit operations: the store's own, or one behind a fence.
 */
import type { Deps } from './deps.js';
import { addressOf } from './keys.js';
import type { ObjectCodec } from './object-codec.js';
import type { Reader } from './read/reader.js';
import type { TypeRegistry } from './registry.js';
import { withSource } from './source.js';
import { Transactions } from './transactions.js';
import type { Inside } from './transactions.js';
import type { Store, StoreVerbs, WriteOptions } from './types.js';
import { NO_OPTIONS, checkOptions } from './verb-options.js';
import { createVerbs } from './verbs.js';
import type { CommitQueue } from './write/commit-queue.js';
import type { FenceHost } from './write/fence.js';
import type { Operation } from './write/operation.js';
import { rollbackMutation } from './write/mutations.js';
import type { Stored } from './write/rules.js';
import type { TransactionHost } from './write/transaction.js';

export interface WriteSideHost extends TransactionHost, FenceHost {
  readonly deps: Deps;
  readonly registry: TypeRegistry;
  readonly codec: ObjectCodec;
  readonly reader: Reader;
  readonly queue: Pick<CommitQueue, 'submit'>;
  readonly inside: Inside;
  /** Throws when the store takes no calls. */
  check(): void;
}

export interface WriteSide {
  readonly verbs: StoreVerbs;
  readonly rollback: Store['rollback'];
  readonly transactions: Transactions;
}

export function createWriteSide(host: WriteSideHost): WriteSide {
  const { registry, codec, reader, queue, writer } = host;
  /** Types that were registered since are remembered before anything of them is written. */
  const before = async (): Promise<void> => {
    if (registry.unsaved) await registry.save();
  };
  const submit = (operation: Operation<Stored>, { signal, dryRun }: WriteOptions): Promise<Stored> =>
    registry.unsaved && dryRun !== true ? before().then(() => queue.submit(operation, signal)) : queue.submit(operation, signal);
  const accept = <T>(info: Parameters<ObjectCodec['accept']>[0], input: T): T => codec.accept(info, input);
  return {
    verbs: createVerbs({
      registry,
      ids: host.deps.ids,
      check: () => host.check(),
      accept,
      read: (info, key, options) => reader.get(info, key, options),
      readByUid: (info, uid) => reader.getByUid(info, uid),
      list: (info, namespace, list) => reader.list(info, namespace, list),
      write: (info, key, mutation, options) => submit(writer.operation(info, key, mutation, withSource(options)), options),
    }),
    rollback: async (type, namespace, name, version, options = NO_OPTIONS) => {
      host.check();
      checkOptions('rollback', options);
      const info = registry.writable(type, options);
      const key = addressOf(info.type, namespace, name, info.scope);
      withSource(options);
      const old = await reader.version(info, key, version);
      return (await submit(writer.operation(info, key, rollbackMutation(old, options), options), options)) as never;
    },
    transactions: new Transactions({ ...host, ids: host.deps.ids, accept, before }),
  };
}
