/** The door of `schemas`: what a resource is. */
export { cloneJson, equalJson, freezeJson } from './json.js';
export type { DeepReadonly, Json, Jsonify } from './json.js';
export { checkJson, findForbiddenKey, isWellFormedText, MAX_DEPTH, takeJson } from './json-check.js';
export { diffPaths, getPath, joinPath, parsePath, setPath } from './json-path.js';
export { mergePatch } from './merge-patch.js';
export { openly, tellingOf } from './telling.js';
export type { Discretion, Telling } from './telling.js';
export { alternatives, printable, show } from './text.js';
export * from './errors.js';
export type { Condition, KubeObject, ObjectKey, ObjectMeta, ObjectMetaInput, OwnerReference } from './metadata.js';
export * from './names.js';
export { isTimestamp, isUid, metadataCauses, ownerReferencesCauses } from './metadata-check.js';
export type { MetadataCheck } from './metadata-check.js';
export { durationMs, parseDuration } from './duration.js';
export type { Duration } from './duration.js';
export { Sealed, SEALED_TEXT } from './sealed.js';
export type { SealedOptions } from './sealed.js';
export { sealedCauses, visitSensitive } from './sensitive.js';
export type { SensitiveVisitor } from './sensitive.js';
export type { JsonSchema, JsonType, SchemaInput, StandardJsonSchema } from './schema.js';
export type { Infer, InferMode } from './infer.js';
export type {
  AnyDefinition,
  CachedOf,
  Column,
  ConditionTypeOf,
  DefinedTypes,
  HistoryPolicy,
  IndexFunction,
  IndexNameOf,
  InputOf,
  ObjectShape,
  ResourceDefinition,
  ResourceLimits,
  ResourceOf,
  ResourceRule,
  ResourceTypes,
  RuleCause,
  Scope,
  ScopeOf,
  Subresources,
  UnknownResource,
} from './definition.js';
export { defineResource } from './define.js';
export type { ResourceOptions } from './define.js';
export { touchesSensitive } from './schema-close.js';
export { validatorOf } from './validator.js';
export type { ResourceValidator } from './validator.js';
export { createSelector, parseLabelSelector } from './label-selector.js';
export type { LabelSelectorObject, Requirement, Selector, SelectorOperator } from './label-selector.js';
export { fieldText, parseFieldSelector } from './field-selector.js';
export type { FieldRequirement, FieldSelector } from './field-selector.js';
export { formatRef, parseRef } from './refs.js';
export type { ParseRefOptions, Ref, RefInput } from './refs.js';
export * from './builtin/index.js';
