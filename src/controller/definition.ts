/**
 * `defineController`: a controller as frozen plain data, checked whole.
 *
 * Invariants: every fault is told at once, by option; defaults are filled in here and nowhere else.
 */
import type { AnyDefinition } from '../schemas/index.js';
import { controllerDefaults } from './defaults.js';
import { DefinitionCheck as Check } from './definition-check.js';
import type { ControllerDefinition, ControllerInput, OwnInput, OwnSpec, WatchInput, WatchSpec } from './types.js';

const NAME = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const FINALIZER = /^[a-z0-9]([-.a-z0-9]*[a-z0-9])?\/[A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?$/;
const OPTIONS = new Set([
  'name',
  'for',
  'owns',
  'watches',
  'reads',
  'sources',
  'where',
  'concurrency',
  'timeout',
  'rateLimiter',
  'maxRetries',
  'finalizer',
  'echo',
  'priority',
  'transactional',
  'cacheSyncTimeout',
  'resync',
  'namespace',
  'labelSelector',
  'prune',
  'reconcile',
  'finalize',
]);

/**
 * Defines a controller.
 *
 * @throws {InvalidError} that names every wrong option.
 *
 * @example
 * const scaling = defineController({
 *   name: 'scaling',
 *   for: Service,
 *   owns: [Instance],
 *   async reconcile({ object, children, ensure, condition }) {
 *     for (let i = children(Instance).length; i < object.spec.scale; i++) {
 *       await ensure(Instance, { metadata: { name: `${object.metadata.name}-${i}` }, spec: { service: object.metadata.name, image: object.spec.image } });
 *     }
 *     condition('Ready', true, { reason: 'Scaled' });
 *   },
 * });
 */
export function defineController<const D extends AnyDefinition, const W extends readonly AnyDefinition[] = readonly []>(
  input: ControllerInput<D, W>,
): ControllerDefinition<D> {
  const check = new Check();
  for (const option of Object.keys(input))
    if (!OPTIONS.has(option)) check.fail(option, `is no option; known are ${[...OPTIONS].join(', ')}`);
  if (typeof input.name !== 'string' || !NAME.test(input.name)) {
    check.fail('name', 'must be lower case letters, digits and dashes, 63 at most, for example "scaling"');
  }
  check.definition(input.for, 'for');
  check.fn(input.reconcile, 'reconcile', true);
  check.fn(input.finalize, 'finalize', false);
  check.fn(input.where, 'where', false);
  const owns = check.list(input.owns, 'owns').map((own, i) => ownSpec(own, `owns[${i}]`, check));
  const watches = check
    .list(input.watches as readonly WatchInput<AnyDefinition>[] | undefined, 'watches')
    .map((watch, i) => watchSpec(watch, `watches[${i}]`, check));
  const reads = check.list(input.reads, 'reads');
  reads.forEach((read, i) => check.definition(read, `reads[${i}]`));
  const sources = check.list(input.sources, 'sources');
  sources.forEach((source, i) => {
    check.fn(source?.start, `sources[${i}].start`, true);
    if (typeof source?.name !== 'string') check.fail(`sources[${i}].name`, 'must be a text');
  });
  const concurrency = input.concurrency ?? controllerDefaults.concurrency;
  if (!Number.isSafeInteger(concurrency) || concurrency < 1) check.fail('concurrency', 'must be an integer of 1 or more');
  if (input.maxRetries !== undefined && (!Number.isSafeInteger(input.maxRetries) || input.maxRetries < 0)) {
    check.fail('maxRetries', 'must be an integer of 0 or more');
  }
  const priority = input.priority ?? controllerDefaults.priority;
  if (!Number.isSafeInteger(priority)) check.fail('priority', 'must be an integer');
  const echo = input.echo ?? 'own-status';
  if (echo !== 'own-status' && echo !== 'all' && echo !== 'none') check.fail('echo', "must be 'own-status', 'all' or 'none'");
  const finalizer = input.finalizer ?? `${input.name}.rune.dev/finalizer`;
  if (typeof finalizer !== 'string' || !FINALIZER.test(finalizer))
    check.fail('finalizer', 'must look like "scaling.example.com/finalizer"');
  const timeout = check.duration(input.timeout, 'timeout', controllerDefaults.timeout);
  const cacheSyncTimeout = check.duration(input.cacheSyncTimeout, 'cacheSyncTimeout', controllerDefaults.cacheSyncTimeout);
  const resync = check.duration(input.resync, 'resync', undefined);
  check.rateLimiter(input.rateLimiter, 'rateLimiter');
  check.flag(input.transactional, 'transactional');
  check.namespace(input.namespace, 'namespace');
  check.labelSelector(input.labelSelector, 'labelSelector');
  const prune = pruned(input.prune, owns, check);
  check.done(input.name);
  return Object.freeze({
    name: input.name,
    for: input.for,
    owns: Object.freeze(owns),
    watches: Object.freeze(watches),
    reads: Object.freeze([...reads]),
    sources: Object.freeze([...sources]),
    where: input.where,
    concurrency,
    timeout,
    rateLimiter: Object.freeze({ ...input.rateLimiter }),
    maxRetries: input.maxRetries,
    finalizer,
    echo,
    priority,
    transactional: input.transactional === true,
    cacheSyncTimeout,
    resync,
    namespace: input.namespace,
    labelSelector: input.labelSelector,
    prune: Object.freeze(prune),
    reconcile: input.reconcile,
    finalize: input.finalize,
  });
}

function ownSpec(own: AnyDefinition | OwnInput<AnyDefinition>, path: string, check: Check): OwnSpec {
  if (typeof own === 'object' && own !== null && 'resource' in own) {
    check.definition(own.resource, `${path}.resource`);
    check.fn(own.where, `${path}.where`, false);
    check.flag(own.everyOwner, `${path}.everyOwner`);
    return Object.freeze({ resource: own.resource, where: own.where, everyOwner: own.everyOwner === true });
  }
  check.definition(own, path);
  return Object.freeze({ resource: own, where: undefined, everyOwner: false });
}

function watchSpec(watch: WatchInput<AnyDefinition>, path: string, check: Check): WatchSpec {
  check.definition(watch?.resource, `${path}.resource`);
  check.fn(watch?.map, `${path}.map`, true);
  check.fn(watch?.where, `${path}.where`, false);
  check.namespace(watch?.namespace, `${path}.namespace`);
  if (watch?.namespace !== undefined && watch.resource?.scope === 'Cluster')
    check.fail(`${path}.namespace`, `must be left out: a ${watch.resource.kind} has no namespace`);
  check.labelSelector(watch?.labelSelector, `${path}.labelSelector`);
  return Object.freeze({
    resource: watch?.resource,
    map: watch?.map,
    where: watch?.where,
    namespace: watch?.namespace,
    labelSelector: watch?.labelSelector,
  });
}

function pruned(prune: ControllerInput<AnyDefinition>['prune'], owns: readonly OwnSpec[], check: Check): string[] {
  const owned = owns.map((own) => own.resource?.type);
  if (prune === undefined || prune === false) return [];
  if (prune === true) {
    if (owned.length === 0) check.fail('prune', 'needs types in owns');
    return owned;
  }
  const types = check.list(prune, 'prune').map((definition) => definition?.type);
  for (const type of types) if (!owned.includes(type)) check.fail('prune', `names ${type}, which is not in owns`);
  return types;
}
