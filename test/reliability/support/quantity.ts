/**
 * How much of what a long run was asked for it has done: one that ends early, because its minutes were over, has not passed.
 */

/** Says so and makes the process exit with 1, unless `done` has reached `asked`; a count that is no number is never reached. */
export function demand(what: string, counts: { readonly done: number; readonly asked: number }): void {
  const { done, asked } = counts;
  if (done >= asked) return;
  process.exitCode = 1;
  process.stdout.write(`NOT COMPLETE: ${done} of ${asked} ${what}; give it more --minutes, or ask for fewer\n`);
}
