/** What a reconciler may record about an object; who writes it down, and how often, is in events/. */
import type { AnyDefinition, DeepReadonly, UnknownResource } from '../schemas/index.js';

/** An event as the reconciler gave it. */
export interface CollectedEvent {
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly note: string;
}

/** Takes events and never makes anyone wait. */
export interface EventRecorder {
  /** Records an event about `regarding`. */
  record(
    regarding: { readonly definition: AnyDefinition; readonly object: DeepReadonly<UnknownResource> },
    event: CollectedEvent & { readonly controller: string },
  ): void;
}
