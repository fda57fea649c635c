import { join } from 'node:path';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../../support/files.ts';
import { hostileTargets, tryHostile } from '../../support/hostileInput.ts';

/** bench/faults.ts is the long form. */
const inputsATarget = 60;

const folder = await temporaryFolder();
const targets = await hostileTargets(join(folder, 'good'));

it.each(targets)('a damaged file ends in a clear error or a result: $name', async (target) => {
  const outcomes = { read: 0, refused: 0 };
  for (let seed = 0; seed < inputsATarget; seed++) {
    const outcome = await tryHostile(target, seed, join(folder, 'try'));
    if (typeof outcome === 'object') expect.fail(`seed ${seed}: ${JSON.stringify(outcome)}`);
    outcomes[outcome]++;
  }
  expect(outcomes.read + outcomes.refused).toBe(inputsATarget);
  if (!target.recovers) expect(outcomes.refused).toBeGreaterThan(0);
});
