import type { Analysis, PruningGroup } from '../pruning/types.ts';
import { intsAttribute } from '../onnx/attributes.ts';
import type { GroupFeatures } from './environment.ts';

/** What the agent sees of each group: the first layer that makes its channels. Shapes are those of the analysis' run. */
export function groupFeatures(analysis: Analysis, groups: readonly { readonly group: PruningGroup }[]): GroupFeatures[] {
  const { axes } = analysis.structure.facts;
  const byWeight = new Map(analysis.layers.map((layer) => [layer.weight, layer]));
  return groups.map(({ group }) => {
    const layer = group.producers.map(({ initializer }) => byWeight.get(initializer)).find((each) => each !== undefined);
    const output = layer ? (axes.shapeOf(layer.output) ?? []) : [], weight = layer ? (axes.shapeOf(layer.weight) ?? []) : [];
    return {
      outChannels: group.channels, inChannels: layer ? (weight[layer.inAxis] ?? 1) * layer.groups : 1,
      height: output[2] ?? output[1] ?? 1, width: output[3] ?? 1,
      stride: (layer && intsAttribute(layer.node, 'strides')?.[0]) ?? 1, kernel: weight[2] ?? 1,
    };
  });
}
