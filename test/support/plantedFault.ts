/** A reader with a fault behind three bytes in a row that luck does not find. Prints after how many inputs it was found, with guidance and with as many unguided ones. */
import { BranchCoverage, guidedFuzz } from './guidedFuzz.ts';

function reads(bytes: Uint8Array): boolean {
  if (bytes[0] !== 0x4f) return true;
  if (bytes[1] !== 0xe2) return true;
  if (bytes[2] !== 0x17) return true;
  return false;
}

const most = 100_000;
/** @returns after how many inputs the fault was found */
async function find(coverage: BranchCoverage | undefined, limit: number): Promise<number | undefined> {
  let found = false;
  const { executions } = await guidedFuzz([new Uint8Array(3)], coverage, (bytes, { executions: tried }) => { found = !reads(bytes); return Promise.resolve(!found && tried < limit); });
  return found ? executions : undefined;
}
const guided = await find(new BranchCoverage(), most); // first: V8 sees the branches of what had not been called before
console.log(JSON.stringify({ guided, unguided: await find(undefined, guided ?? most) }));
