/** Assertions that the compiler makes: a wrong type is a compile error. */

/** True when the two types are the same, to the last `readonly` and `?`. */
export type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
/** Takes `true` only: anything else does not compile. */
export function check<T extends true>(_proof?: T): void {}
/** True when the type is `any`. */
export type IsAny<T> = 0 extends 1 & T ? true : false;
/** True when every A is a B. */
export type Extends<A, B> = [A] extends [B] ? true : false;
