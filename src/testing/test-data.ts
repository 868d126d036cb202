/**
 * Shorthands for the built-in types on any store: create with a partial input, get, list, and load many at once.
 *
 * Invariant: they do nothing that the store's own verbs do not do, and faults on those verbs strike here too.
 */
import { Config, DeletionOperation, Instance, Lease, Namespace, RuneEvent, ScalingOperation, Secret, Service } from '../schemas/index.js';
import type { AnyDefinition, ResourceOf } from '../schemas/index.js';
import type { Store, StoreVerbs } from '../store/index.js';
import { StoreFace } from './store-face.js';
import { ObjectMaker, TEST_NAMESPACE, type PreparedObject, type TestInput, type TestObject } from './test-objects.js';

type Inputs<D extends AnyDefinition> = readonly TestInput<D>[] | undefined;

/** What `setupTestData` loads, type by type in this order. */
export interface TestData {
  readonly namespaces?: Inputs<typeof Namespace>;
  readonly configs?: Inputs<typeof Config>;
  readonly secrets?: Inputs<typeof Secret>;
  readonly services?: Inputs<typeof Service>;
  readonly instances?: Inputs<typeof Instance>;
  readonly scalingOperations?: Inputs<typeof ScalingOperation>;
  readonly deletionOperations?: Inputs<typeof DeletionOperation>;
  readonly leases?: Inputs<typeof Lease>;
  readonly events?: Inputs<typeof RuneEvent>;
  /** Objects of other types: `[Definition, input]`, or manifests with their kind. */
  readonly objects?: readonly TestObject[] | undefined;
}

/** What `setupTestData` made, in the order it was given. */
export interface LoadedTestData {
  readonly namespaces: ResourceOf<typeof Namespace>[];
  readonly configs: ResourceOf<typeof Config>[];
  readonly secrets: ResourceOf<typeof Secret>[];
  readonly services: ResourceOf<typeof Service>[];
  readonly instances: ResourceOf<typeof Instance>[];
  readonly scalingOperations: ResourceOf<typeof ScalingOperation>[];
  readonly deletionOperations: ResourceOf<typeof DeletionOperation>[];
  readonly leases: ResourceOf<typeof Lease>[];
  readonly events: ResourceOf<typeof RuneEvent>[];
  readonly objects: ResourceOf<AnyDefinition>[];
}

/** Creates a prepared object; a status that came with it is written too, as one revision with the rest. */
export async function createPrepared(
  store: Store,
  { definition, namespace, name, resource }: PreparedObject,
): Promise<ResourceOf<AnyDefinition>> {
  const { status, ...rest } = resource as { status?: unknown };
  const create = (verbs: StoreVerbs): Promise<ResourceOf<AnyDefinition>> => verbs.create<AnyDefinition>(definition, namespace, name, rest);
  if (status === undefined || !definition.subresources.status) return create(store);
  return store.transaction(async (tx) => {
    const created = await create(tx);
    return tx.update<AnyDefinition>(definition, namespace, created.metadata.name, { ...created, status }, { subresource: 'status' });
  });
}

/** A store with shorthands for the built-in types. */
export class TestDataStore extends StoreFace {
  protected readonly maker: ObjectMaker;

  constructor(host: ConstructorParameters<typeof StoreFace>[0], types: readonly AnyDefinition[]) {
    super(host);
    this.maker = new ObjectMaker(types);
  }

  /** Creates an object of any type from a part of it. */
  async createObject<D extends AnyDefinition>(definition: D, input: TestInput<D> = {} as TestInput<D>): Promise<ResourceOf<D>> {
    return await createPrepared(this, this.maker.prepare(definition, input));
  }

  async #list<D extends AnyDefinition>(definition: D, namespace: string | undefined): Promise<ResourceOf<D>[]> {
    return (await this.list(definition, namespace)).items;
  }

  createNamespace(input?: TestInput<typeof Namespace>): Promise<ResourceOf<typeof Namespace>> {
    return this.createObject(Namespace, input);
  }
  createService(input?: TestInput<typeof Service>): Promise<ResourceOf<typeof Service>> {
    return this.createObject(Service, input);
  }
  createInstance(input?: TestInput<typeof Instance>): Promise<ResourceOf<typeof Instance>> {
    return this.createObject(Instance, input);
  }
  createScalingOperation(input?: TestInput<typeof ScalingOperation>): Promise<ResourceOf<typeof ScalingOperation>> {
    return this.createObject(ScalingOperation, input);
  }
  createDeletionOperation(input?: TestInput<typeof DeletionOperation>): Promise<ResourceOf<typeof DeletionOperation>> {
    return this.createObject(DeletionOperation, input);
  }
  createSecret(input?: TestInput<typeof Secret>): Promise<ResourceOf<typeof Secret>> {
    return this.createObject(Secret, input);
  }
  createConfig(input?: TestInput<typeof Config>): Promise<ResourceOf<typeof Config>> {
    return this.createObject(Config, input);
  }
  createLease(input?: TestInput<typeof Lease>): Promise<ResourceOf<typeof Lease>> {
    return this.createObject(Lease, input);
  }
  createEvent(input?: TestInput<typeof RuneEvent>): Promise<ResourceOf<typeof RuneEvent>> {
    return this.createObject(RuneEvent, input);
  }

  /** @throws {NotFoundError} */
  getNamespace(name: string): Promise<ResourceOf<typeof Namespace>> {
    return this.get(Namespace, undefined, name);
  }
  /** @throws {NotFoundError} */
  getService(name: string, namespace = TEST_NAMESPACE): Promise<ResourceOf<typeof Service>> {
    return this.get(Service, namespace, name);
  }
  /** @throws {NotFoundError} */
  getInstance(name: string, namespace = TEST_NAMESPACE): Promise<ResourceOf<typeof Instance>> {
    return this.get(Instance, namespace, name);
  }
  /** @throws {NotFoundError} */
  getScalingOperation(name: string, namespace = TEST_NAMESPACE): Promise<ResourceOf<typeof ScalingOperation>> {
    return this.get(ScalingOperation, namespace, name);
  }
  /** @throws {NotFoundError} */
  getDeletionOperation(name: string, namespace = TEST_NAMESPACE): Promise<ResourceOf<typeof DeletionOperation>> {
    return this.get(DeletionOperation, namespace, name);
  }
  /** @throws {NotFoundError} */
  getSecret(name: string, namespace = TEST_NAMESPACE): Promise<ResourceOf<typeof Secret>> {
    return this.get(Secret, namespace, name);
  }
  /** @throws {NotFoundError} */
  getConfig(name: string, namespace = TEST_NAMESPACE): Promise<ResourceOf<typeof Config>> {
    return this.get(Config, namespace, name);
  }
  /** @throws {NotFoundError} */
  getLease(name: string, namespace = TEST_NAMESPACE): Promise<ResourceOf<typeof Lease>> {
    return this.get(Lease, namespace, name);
  }
  /** @throws {NotFoundError} */
  getEvent(name: string, namespace = TEST_NAMESPACE): Promise<ResourceOf<typeof RuneEvent>> {
    return this.get(RuneEvent, namespace, name);
  }

  /** All of them; in every namespace unless one is given, and so for the others. */
  listNamespaces(): Promise<ResourceOf<typeof Namespace>[]> {
    return this.#list(Namespace, undefined);
  }
  listServices(namespace?: string): Promise<ResourceOf<typeof Service>[]> {
    return this.#list(Service, namespace);
  }
  listInstances(namespace?: string): Promise<ResourceOf<typeof Instance>[]> {
    return this.#list(Instance, namespace);
  }
  listScalingOperations(namespace?: string): Promise<ResourceOf<typeof ScalingOperation>[]> {
    return this.#list(ScalingOperation, namespace);
  }
  listDeletionOperations(namespace?: string): Promise<ResourceOf<typeof DeletionOperation>[]> {
    return this.#list(DeletionOperation, namespace);
  }
  listSecrets(namespace?: string): Promise<ResourceOf<typeof Secret>[]> {
    return this.#list(Secret, namespace);
  }
  listConfigs(namespace?: string): Promise<ResourceOf<typeof Config>[]> {
    return this.#list(Config, namespace);
  }
  listLeases(namespace?: string): Promise<ResourceOf<typeof Lease>[]> {
    return this.#list(Lease, namespace);
  }
  listEvents(namespace?: string): Promise<ResourceOf<typeof RuneEvent>[]> {
    return this.#list(RuneEvent, namespace);
  }

  /** Loads many objects, type by type, and gives them as they are now. */
  async setupTestData(data: TestData): Promise<LoadedTestData> {
    const load = <D extends AnyDefinition>(definition: D, inputs: Inputs<D>): Promise<ResourceOf<D>[]> =>
      Promise.all((inputs ?? []).map((input) => this.createObject(definition, input)));
    return {
      namespaces: await load(Namespace, data.namespaces),
      configs: await load(Config, data.configs),
      secrets: await load(Secret, data.secrets),
      services: await load(Service, data.services),
      instances: await load(Instance, data.instances),
      scalingOperations: await load(ScalingOperation, data.scalingOperations),
      deletionOperations: await load(DeletionOperation, data.deletionOperations),
      leases: await load(Lease, data.leases),
      events: await load(RuneEvent, data.events),
      objects: await Promise.all((data.objects ?? []).map((object) => createPrepared(this, this.maker.prepareAny(object)))),
    };
  }
}
