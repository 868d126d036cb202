/** The formats a schema may name; `ajv.ts` knows how to check each. */
export const FORMATS: readonly string[] = Object.freeze([
  'date-time',
  'date',
  'time',
  'duration',
  'uri',
  'uri-reference',
  'email',
  'hostname',
  'ipv4',
  'ipv6',
  'uuid',
  'json-pointer',
  'byte',
  'int32',
  'int64',
  'float',
  'double',
  // Ours: a duration as people write it, `30s` or `1h30m`.
  'rune-duration',
  // Ours: a DNS-1123 subdomain and label, as objects and namespaces are called.
  'dns-name',
  'dns-label',
]);
