import { expect, it } from 'vitest';
import { layerReports, removedBranches, whyBaseline } from '../../../src/engine/flow/report.ts';
import { loadModel } from '../../../src/engine/onnx/modelFile.ts';
import { analyse } from '../../../src/engine/pruning/analysis.ts';
import { applyPlan } from '../../../src/engine/pruning/surgery.ts';

it('layers of a branch that went as a whole keep nothing, and the notes name it', async () => {
  const { proto } = await loadModel('examples/resnet20.onnx'), analysis = await analyse(proto), [first, second] = analysis.groups.filter(({ removable }) => removable);
  const kept = new Map([[first!.id, []], [second!.id, [0, 1, 2, 3]]]), layers = layerReports(analysis, kept, await analyse(applyPlan(proto, analysis, kept)));
  const named = (weights: readonly { readonly initializer: string }[]): string[] => analysis.layers.filter(({ weight }) => weights.some(({ initializer }) => initializer === weight)).map(({ name }) => name);
  const gone = [...named(first!.producers), ...named(first!.consumers)], [narrow] = named(second!.producers);
  expect(gone).toHaveLength(2);
  expect(layers.filter(({ preserveRatio }) => preserveRatio === 0).map(({ name, channelsAfter, macsAfter }) => ({ name, channelsAfter, macsAfter }))).toEqual(gone.map((name) => ({ name, channelsAfter: 0, macsAfter: 0 })));
  expect(layers.find(({ name }) => name === narrow)).toMatchObject({ channelsBefore: second!.channels, channelsAfter: 4 });
  expect(removedBranches(analysis, kept)).toEqual([expect.stringContaining(`1 of 9 branches beside shortcuts were removed as a whole, since narrower ones would have saved little time: ${first!.name}.`)]);
  expect(removedBranches(analysis, new Map())).toEqual([]);
});

it('a baseline\'s model is written for what was compared alike', () => {
  const standing = (accuracy: number) => ({ counts: [1], accuracy }), standings = (own: number) => new Map([['agent', standing(0.9)], ['uniform', standing(own)]]);
  expect(whyBaseline('uniform', standings(0.92), { metric: 'macs', value: 0.5 })).toBe('The uniform baseline was better than the agent (92.00% against 90.00%, repaired alike), so its model was written.');
  expect(whyBaseline('uniform', standings(0.89), { metric: 'macs', value: 0.5 })).toBe('The uniform baseline was better than the agent once both were repaired thoroughly, so its model was written.');
  expect(whyBaseline('uniform', standings(0.89), { metric: 'accuracy-drop', value: 1 })).toBe('The uniform baseline was smaller than the agent while keeping the accuracy, so its model was written.');
});
