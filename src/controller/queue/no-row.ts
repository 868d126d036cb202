/** Rows are numbers from 0 on. */

/** No row: the end of a list, or what a key has that the table does not know. */
export const NONE = -1;
