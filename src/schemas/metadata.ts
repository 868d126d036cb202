/**
 * What every object carries beside its own content. The types follow Kubernetes' `ObjectMeta`, with timestamps as RFC 3339
 * texts, as on the wire.
 */

/** An owner: when the last one is gone, the object goes too. */
export interface OwnerReference {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
  /** The one owner that manages the object; at most one of an object's owners says so. */
  controller?: boolean;
  /** Foreground deletion of the owner waits for this object. */
  blockOwnerDeletion?: boolean;
}

/** Metadata as reads give it. */
export interface ObjectMeta {
  name: string;
  /** Absent on cluster-scoped objects. */
  namespace?: string;
  /** A UUID, given at creation; tells an object from a later one of the same name. */
  uid: string;
  /** The store's revision at the last write: a decimal string, one order over all types. */
  resourceVersion: string;
  /** Grows when anything outside metadata and status changes. */
  generation: number;
  /** RFC 3339. */
  creationTimestamp: string;
  generateName?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  finalizers?: string[];
  ownerReferences?: OwnerReference[];
  /** RFC 3339; set when the object is being deleted and finalizers hold it. */
  deletionTimestamp?: string;
  deletionGracePeriodSeconds?: number;
}

/** Metadata as writes accept it: all optional; what the store sets may be given back as it was read. */
export interface ObjectMetaInput {
  readonly name?: string | undefined;
  readonly namespace?: string | undefined;
  readonly uid?: string | undefined;
  /** On an update: write only if this is still current. */
  readonly resourceVersion?: string | undefined;
  readonly generation?: number | undefined;
  readonly creationTimestamp?: string | undefined;
  /** On create, without a name: the name becomes this and a random suffix. */
  readonly generateName?: string | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
  readonly finalizers?: readonly string[] | undefined;
  readonly ownerReferences?: readonly Readonly<OwnerReference>[] | undefined;
  readonly deletionTimestamp?: string | undefined;
  readonly deletionGracePeriodSeconds?: number | undefined;
}

/** One observation about an object's state, in Kubernetes' shape. */
export interface Condition<Type extends string = string> {
  type: Type;
  status: 'True' | 'False' | 'Unknown';
  /** A word for machines, in CamelCase. */
  reason: string;
  /** A sentence for people; may be empty. */
  message: string;
  /** RFC 3339; when `status` last changed. */
  lastTransitionTime: string;
  /** The generation this was observed at. */
  observedGeneration?: number;
}

/** What all objects have in common. */
export interface KubeObject {
  apiVersion?: string;
  kind?: string;
  metadata: ObjectMeta;
}

/** An object's address within its type. */
export interface ObjectKey {
  /** Absent for cluster scope. */
  readonly namespace?: string | undefined;
  readonly name: string;
}
