/** Where the process of a rig is, and what is to be done when it is not there. */

/** `down`: after a `kill` that has not been followed by a start, or a start that failed. */
export type RigState = 'unstarted' | 'starting' | 'running' | 'down' | 'closed';

/** Why there is no process that could do anything, in words; undefined: there is one, or there was until the rig was closed. */
export function whyDown(state: RigState): string | undefined {
  switch (state) {
    case 'unstarted':
      return 'it was made with start: false, so await rig.start() first';
    case 'starting':
      return 'it is starting, so await rig.settle() first';
    case 'down':
      return 'its process is down, so await rig.settle() until it is started again, or call rig.revive()';
    case 'running':
    case 'closed':
      return undefined;
    default:
      return state satisfies never;
  }
}
