/**
 * What a conformance suite needs of a test runner, so that vitest, node:test and mocha can all run it.
 */

/** The two functions every runner has. */
export interface Runner {
  describe(name: string, body: () => void): void;
  it(name: string, body: () => Promise<void> | void): void;
}
