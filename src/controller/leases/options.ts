/** How leader election is set up, checked whole. The numbers and their relation are client-go's. */
import { hostname } from 'node:os';
import { invalid, parseDuration } from '../../schemas/index.js';
import type { Cause, Duration } from '../../schemas/index.js';
import type { Ids } from '../../store/index.js';
import { managerDefaults } from '../defaults.js';

/** Who takes part in an election, and how fast. */
export interface LeaderElectionOptions {
  /** Name of the lease: the processes that share it elect one of themselves. */
  readonly name: string;
  /** Default `default`. */
  readonly namespace?: string | undefined;
  /** Unique among the processes. Default `<host>_<uuid>`. */
  readonly identity?: string | undefined;
  /** How long the others wait after the last renewal they saw. Default '15s'. */
  readonly leaseDuration?: Duration | undefined;
  /** How long the leader tries to renew before it gives up. Default '10s'. */
  readonly renewDeadline?: Duration | undefined;
  /** Between two tries. Default '2s'. */
  readonly retryPeriod?: Duration | undefined;
}

/** The same, with defaults filled in; ms. */
export interface Election {
  readonly name: string;
  readonly namespace: string;
  readonly identity: string;
  readonly leaseDuration: number;
  readonly renewDeadline: number;
  readonly retryPeriod: number;
}

/** client-go's JitterFactor: a retry is up to this much later. */
export const RETRY_JITTER = 1.2;

/** @throws {InvalidError} unless leaseDuration > renewDeadline > 1.2 * retryPeriod. */
export function electionOf(options: LeaderElectionOptions, ids: Pick<Ids, 'uuid'>): Election {
  const causes: Cause[] = [];
  const fail = (field: string, message: string): void =>
    void causes.push({ reason: 'FieldValueInvalid', field: `leaderElection.${field}`, message });
  if (typeof options.name !== 'string' || options.name === '') fail('name', 'must be the name of the lease');
  if (options.identity === '') fail('identity', 'must not be empty');
  const leaseDuration = parseDuration(options.leaseDuration ?? managerDefaults.leaseDuration, 'leaderElection.leaseDuration');
  const renewDeadline = parseDuration(options.renewDeadline ?? managerDefaults.renewDeadline, 'leaderElection.renewDeadline');
  const retryPeriod = parseDuration(options.retryPeriod ?? managerDefaults.retryPeriod, 'leaderElection.retryPeriod');
  if (leaseDuration < 1000) fail('leaseDuration', 'must be 1 s or more');
  if (leaseDuration <= renewDeadline) fail('renewDeadline', `must be less than leaseDuration (${renewDeadline} >= ${leaseDuration} ms)`);
  if (renewDeadline <= RETRY_JITTER * retryPeriod)
    fail('retryPeriod', `times ${RETRY_JITTER} must be less than renewDeadline (${retryPeriod} ms against ${renewDeadline} ms)`);
  if (retryPeriod <= 0) fail('retryPeriod', 'must be more than 0');
  if (causes.length > 0) throw invalid('leader election', causes);
  return {
    name: options.name,
    namespace: options.namespace ?? 'default',
    identity: options.identity ?? `${hostname()}_${ids.uuid()}`,
    leaseDuration,
    renewDeadline,
    retryPeriod,
  };
}
