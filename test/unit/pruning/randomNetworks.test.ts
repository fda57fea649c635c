import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { analyse } from '../../../src/engine/pruning/analysis.ts';
import { costs } from '../../../src/engine/pruning/costs.ts';
import { planFrom } from '../../../src/engine/pruning/plan.ts';
import { applyPlan } from '../../../src/engine/pruning/surgery.ts';
import { syntheticInput } from '../../../src/engine/runtime/shapes.ts';
import { maskedModel, relativeDifference } from './maskedEquivalence.ts';
import { randomKept } from './network.ts';
import { networkOf, step } from './randomSteps.ts';

describe('pruning of random networks', () => {
  it('equals the masked original for random kept sets, in outputs and in costs', async () => {
    let prunable = 0;
    await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 10 }), fc.nat(1000), async (list, seed) => {
      const model = networkOf(list), analysis = await analyse(model), kept = randomKept(analysis, seed);
      prunable += analysis.groups.length;
      const pruned = applyPlan(model, analysis, kept);
      const difference = await relativeDifference(maskedModel(model, planFrom(analysis, kept, { path: '', sha256: '' })), pruned, { x: syntheticInput(model.graph.input[0]!, [2, 3, 4, 4]) });
      expect(difference).toBeLessThan(1e-3);
      const again = await analyse(pruned);
      expect(costs(analysis, kept)).toEqual({ macs: again.macs, params: again.params });
    }), { numRuns: Number(process.env['PRUNING_RUNS'] ?? 120), seed: Number(process.env['PRUNING_SEED'] ?? 42), interruptAfterTimeLimit: 60_000, markInterruptAsFailure: false });
    expect(prunable).toBeGreaterThan(50);
  });
});
