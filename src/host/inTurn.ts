/** One thing after another. Pure: no VS Code. */
import { CancelledError } from '../engine/errors.ts';

/** Does the work for each item. What goes wrong with one is told, and the next has its turn; what is cancelled ends them all. @throws {CancelledError} */
export async function inTurn<T>(items: readonly T[], work: (item: T) => Promise<void>, tell: (error: unknown) => void): Promise<void> {
  for (const item of items) {
    try { await work(item); } catch (error) {
      if (error instanceof CancelledError) throw error;
      tell(error);
    }
  }
}
