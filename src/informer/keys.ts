/** Keys of cached objects: `namespace/name`, or `name` for cluster scope. Neither part contains a slash. */
import { invalid, namespaceCauses, type ObjectKey } from '../schemas/index.js';

/** The text form of a key. */
export function keyText(namespace: string | undefined, name: string): string {
  return namespace === undefined || namespace === '' ? name : `${namespace}/${name}`;
}

/** The namespace part of a key in either form; `''` for cluster scope. */
export function keyNamespace(key: ObjectKey | string): string {
  if (typeof key !== 'string') return key.namespace ?? '';
  const slash = key.indexOf('/');
  return slash < 0 ? '' : key.slice(0, slash);
}

/** The name part of a key in either form. */
export function keyName(key: ObjectKey | string): string {
  return typeof key === 'string' ? key.slice(key.indexOf('/') + 1) : key.name;
}

/** The one namespace meant, or undefined for every namespace. */
export function oneNamespace(namespace: string | undefined): string | undefined {
  return namespace === undefined || namespace === '' || namespace === '*' || namespace === 'all' ? undefined : namespace;
}

/** The same for what somebody asks to watch. @throws {InvalidError} for what no namespace can be called. */
export function watchedNamespace(namespace: string | undefined): string | undefined {
  const one = oneNamespace(namespace);
  const causes = one === undefined ? [] : namespaceCauses(one, 'namespace');
  if (causes.length > 0) throw invalid('the namespace of an informer', causes);
  return one;
}
