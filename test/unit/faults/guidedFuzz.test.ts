import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { bundle } from '../../support/bundle.ts';

it('guided fuzzing finds a fault that as many unguided inputs do not', async () => {
  const { program, remove } = await bundle('test/support/plantedFault.ts');
  const { guided, unguided } = JSON.parse(execFileSync(process.execPath, [program], { encoding: 'utf8' })) as { guided?: number; unguided?: number };
  await remove();
  expect(guided).toBeGreaterThan(1);
  expect(unguided).toBeUndefined();
});
