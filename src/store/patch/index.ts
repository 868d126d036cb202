export { applyManifest, threeWayApply } from './apply.js';
export { decodeLastApplied, encodeLastApplied, LAST_APPLIED_ANNOTATION } from './last-applied.js';
export { applyJsonPatch, MAX_JSON_PATCH_COPY, MAX_JSON_PATCH_OPERATIONS } from './json-patch.js';
export { isRecord } from './record.js';
