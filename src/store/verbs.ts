/**
 * The verbs that a store and a transaction share, written once over the few things in which the two differ.
 *
 * Invariants: input is checked and copied at the call, so changing it while a write is in flight changes nothing; an address
 * is validated before anything is read.
 */
import { BadRequestError, InvalidError, invalid, isAlreadyExists, nameCauses, show, takeJson } from '../schemas/index.js';
import type { Ids } from './deps.js';
import type { Key } from './engine.js';
import { addressOf } from './keys.js';
import type { TypeInfo, TypeRegistry } from './registry.js';
import type { GetOptions, ListOptions, ListResult, StoreVerbs, WriteOptions } from './types.js';
import { NO_OPTIONS, checkOptions } from './verb-options.js';
import type { VerbWithOptions } from './verb-options.js';
import { applyMutation, createMutation, deleteMutation, modifyMutation, patchMutation, updateMutation } from './write/mutations.js';
import type { Mutation } from './write/mutations.js';
import { tellingFor } from './write/rules.js';
import type { Stored } from './write/rules.js';

/** What a store and a transaction do differently. */
export interface Executor {
  readonly registry: TypeRegistry;
  readonly ids: Ids;
  /** Throws when verbs may not be used at this moment. */
  check(): void;
  /** What a caller hands in, with plain values in place of seals. */
  accept<T>(info: TypeInfo, input: T): T;
  read(info: TypeInfo, key: Key, options: GetOptions): Stored | Promise<Stored>;
  readByUid(info: TypeInfo, uid: string): Promise<Stored>;
  list(info: TypeInfo, namespace: string | undefined, options: ListOptions<never>): Promise<ListResult<Stored>>;
  write(info: TypeInfo, key: Key, mutation: Mutation, options: WriteOptions): Promise<Stored>;
}

/** How often a generated name is tried before giving up: with 27 million suffixes a second collision is bad luck. */
const GENERATE_ATTEMPTS = 8;
const SUFFIX_LENGTH = 5;
const NAME_LENGTH = 253;

/** The verbs over an executor. Types are the interface's; inside, everything is a `Stored`. */
export function createVerbs(executor: Executor): StoreVerbs {
  const { registry } = executor;
  const verbs = {
    create(
      type: never,
      namespace: string | undefined,
      name: string | undefined,
      resource: unknown,
      options: WriteOptions = NO_OPTIONS,
    ): Promise<Stored> {
      if (name === undefined) return generate(type, namespace, resource, options);
      return write('create', type, namespace, name, options, (info) => createMutation(takeInput(executor, info, resource)));
    },
    async get(type: never, namespace: string | undefined, name: string, options: GetOptions = NO_OPTIONS): Promise<Stored> {
      executor.check();
      checkOptions('get', options);
      const info = registry.resolve(type);
      return executor.read(info, addressOf(info.type, namespace, name, info.scope), options);
    },
    async getByUid(type: never, uid: string): Promise<Stored> {
      executor.check();
      if (typeof uid !== 'string' || uid === '') throw new BadRequestError(`getByUid takes the uid of an object, not ${show(uid)}`);
      return executor.readByUid(registry.resolve(type), uid);
    },
    async list(type: never, namespace?: string, options: ListOptions<never> = NO_OPTIONS): Promise<ListResult<Stored>> {
      executor.check();
      checkOptions('list', options);
      return executor.list(registry.resolve(type), namespace, options);
    },
    update: (type: never, namespace: string | undefined, name: string, resource: unknown, options: WriteOptions = NO_OPTIONS) =>
      write('update', type, namespace, name, options, (info) => updateMutation(takeInput(executor, info, resource), options)),
    patch: (type: never, namespace: string | undefined, name: string, patch: unknown, options: WriteOptions = NO_OPTIONS) =>
      write('patch', type, namespace, name, options, (info) => patchMutation(takePatch(executor, info, patch), options)),
    apply: (type: never, namespace: string | undefined, name: string, manifest: unknown, options: WriteOptions = NO_OPTIONS) =>
      write('apply', type, namespace, name, options, (info) => applyMutation(takeInput(executor, info, manifest))),
    modify: (
      type: never,
      namespace: string | undefined,
      name: string,
      change: (draft: never) => unknown,
      options: WriteOptions = NO_OPTIONS,
    ) =>
      write('modify', type, namespace, name, options, (info) =>
        modifyMutation(change as (draft: Stored) => unknown, options, (input) => executor.accept(info, input)),
      ),
    delete: (type: never, namespace: string | undefined, name: string, options: WriteOptions = NO_OPTIONS) =>
      write('delete', type, namespace, name, options, () => deleteMutation(options)),
  };
  /** Not an async function: its promise would cost more than the checks. */
  function write(
    verb: VerbWithOptions,
    type: never,
    namespace: string | undefined,
    name: string,
    options: WriteOptions,
    mutation: (info: TypeInfo) => Mutation,
  ): Promise<Stored> {
    try {
      executor.check();
      checkOptions(verb, options);
      const info = registry.writable(type, options);
      const key = addressOf(info.type, namespace, name, info.scope);
      return executor.write(info, key, mutation(info), options);
    } catch (error) {
      return Promise.reject(error);
    }
  }
  async function generate(type: never, namespace: string | undefined, resource: unknown, options: WriteOptions): Promise<Stored> {
    executor.check();
    checkOptions('create', options);
    const info = registry.writable(type, options);
    const input = takeInput(executor, info, resource);
    const prefix = generateNameIn(info, input);
    for (let attempt = 1; ; attempt += 1) {
      const generated = prefix.slice(0, NAME_LENGTH - SUFFIX_LENGTH) + executor.ids.suffix(SUFFIX_LENGTH);
      try {
        return await executor.write(info, addressOf(info.type, namespace, generated, info.scope), createMutation(input), options);
      } catch (error) {
        if (!isAlreadyExists(error) || attempt === GENERATE_ATTEMPTS) throw error;
      }
    }
  }
  return verbs as unknown as StoreVerbs;
}

/** The caller's object, checked to be plain JSON and copied. @throws {InvalidError} */
export function takeInput(executor: Pick<Executor, 'accept'>, info: TypeInfo, resource: unknown): Readonly<Record<string, unknown>> {
  if (typeof resource !== 'object' || resource === null || Array.isArray(resource)) {
    throw new InvalidError(
      `a ${info.type} must be an object, not ${resource === null ? 'null' : Array.isArray(resource) ? 'a list' : typeof resource}`,
      {
        causes: [{ reason: 'FieldValueTypeInvalid', field: '', message: 'must be an object' }],
      },
    );
  }
  const plain = executor.accept(info, resource);
  const { causes, copy } = takeJson(plain, '', tellingFor(info, [plain]));
  if (causes !== undefined) throw invalid(info.type, causes);
  return copy as Readonly<Record<string, unknown>>;
}

function takePatch(executor: Pick<Executor, 'accept'>, info: TypeInfo, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null) {
    throw new InvalidError('a patch must be an object (merge patch) or a list of operations (JSON patch)', {
      details: { kind: info.type },
    });
  }
  const plain = executor.accept(info, patch);
  const { causes, copy } = takeJson(plain, '', tellingFor(info, Array.isArray(plain) ? [] : [plain]));
  if (causes !== undefined) throw invalid(`patch of ${info.type}`, causes);
  return copy;
}

function generateNameIn(info: TypeInfo, input: Readonly<Record<string, unknown>>): string {
  const prefix = (input['metadata'] as { generateName?: unknown } | undefined)?.generateName;
  if (typeof prefix !== 'string' || prefix === '') {
    throw new InvalidError(`a ${info.type} needs a name, or metadata.generateName to make one from`, {
      causes: [{ reason: 'FieldValueRequired', field: 'metadata.name', message: 'name or generateName is required' }],
    });
  }
  // The prefix may end in a dash or a dot; what must be a name is the prefix with its suffix.
  const causes = nameCauses(`${prefix}x`, 'metadata.generateName');
  if (causes.length > 0 && prefix.length < NAME_LENGTH) throw invalid(info.type, causes);
  return prefix;
}
