/**
 * What `openStore` takes, compiled once into the strict form that the rest of the store sees.
 */
import { InvalidError, parseDuration } from '../schemas/index.js';
import type { AnyDefinition } from '../schemas/index.js';
import { jsonCodec } from './codecs/json.js';
import type { Codec } from './codecs/json.js';
import { windowDefaults } from './compactor.js';
import type { WindowLimits } from './compactor.js';
import type { Deps } from './deps.js';
import type { EngineSource } from './engine.js';
import { defaultKeys } from './encryption/default-keys.js';
import { compileSecrets } from './encryption/secrets.js';
import type { CompiledSecrets, SecretsOptions } from './encryption/secrets.js';
import { lmdbEngine } from './engines/index.js';
import { systemDeps } from './system-deps.js';
import type { FeedLimits } from './watch/feed.js';

export interface OpenStoreOptions {
  /** Directory of the embedded LMDB store; made when missing. Either this or `engine`. */
  readonly path?: string | undefined;
  /** Where the data lives: `memoryEngine()`, `lmdbEngine({ path })`, ... */
  readonly engine?: EngineSource | undefined;
  /** Definitions to register. */
  readonly types?: readonly AnyDefinition[] | undefined;
  /** Refuses types that nobody defined. Default: true when `types` are given. */
  readonly strictTypes?: boolean | undefined;
  /** Refuses creates in namespaces that do not exist. Default false. */
  readonly strictNamespaces?: boolean | undefined;
  /** How objects are written down. Default `jsonCodec`. All processes on one store use the same. */
  readonly codec?: Codec | undefined;
  /** How far back get, list, watch and pages reach: ms or '5m', and bytes. Default 5 minutes, 256 MiB. */
  readonly window?: { readonly time?: number | string | undefined; readonly bytes?: number | undefined } | undefined;
  /** Bounds of the ring of decoded events that watchers share. Default 8,192 events, 32 MiB. */
  readonly ring?: { readonly events?: number | undefined; readonly bytes?: number | undefined } | undefined;
  /** Time, randomness, ids, logs. Default: the machine's. */
  readonly deps?: Deps | undefined;
  /** Master keys for what definitions mark `sensitive`. Default: generated once and kept with the data; see docs/secrets.md. */
  readonly secrets?: SecretsOptions | undefined;
}

export interface CompiledOptions {
  readonly source: EngineSource;
  readonly types: readonly AnyDefinition[];
  readonly strictTypes: boolean;
  readonly strictNamespaces: boolean;
  readonly codec: Codec;
  readonly window: WindowLimits;
  readonly ring: FeedLimits;
  readonly deps: Deps;
  readonly secrets: CompiledSecrets;
}

export const ringDefaults: FeedLimits = Object.freeze({ events: 8192, bytes: 32 * 1024 * 1024 });

/** @throws {InvalidError} that names the option and the value */
export function compileOptions(options: OpenStoreOptions): CompiledOptions {
  const { path, engine, types = [], codec = jsonCodec } = options;
  if ((path === undefined) === (engine === undefined)) {
    throw bad('path', 'openStore needs either path (a directory for the embedded store) or engine (such as memoryEngine()), and not both');
  }
  if (path !== undefined && (typeof path !== 'string' || path === '')) throw bad('path', 'path must be the name of a directory');
  if (typeof codec.encode !== 'function' || typeof codec.decode !== 'function' || typeof codec.name !== 'string') {
    throw bad('codec', 'codec must have a name, encode and decode');
  }
  const source = engine ?? lmdbEngine({ path: path! });
  return {
    source,
    types,
    strictTypes: options.strictTypes ?? types.length > 0,
    strictNamespaces: options.strictNamespaces ?? false,
    codec,
    window: {
      timeMs: options.window?.time === undefined ? windowDefaults.timeMs : parseDuration(options.window.time, 'window.time'),
      bytes: count(options.window?.bytes, windowDefaults.bytes, 'window.bytes'),
    },
    ring: {
      events: count(options.ring?.events, ringDefaults.events, 'ring.events'),
      bytes: count(options.ring?.bytes, ringDefaults.bytes, 'ring.bytes'),
    },
    deps: options.deps ?? systemDeps(),
    secrets: compileSecrets(options.secrets, defaultKeys(source.keptWith)),
  };
}

function count(value: number | undefined, otherwise: number, name: string): number {
  if (value === undefined) return otherwise;
  if (!Number.isInteger(value) || value < 1) throw bad(name, `${name} must be a whole number of at least 1, not ${String(value)}`);
  return value;
}

function bad(field: string, message: string): InvalidError {
  return new InvalidError(message, { causes: [{ reason: 'FieldValueInvalid', field, message }] });
}
