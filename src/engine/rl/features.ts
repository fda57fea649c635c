import type { Analysis, Layer, PruningGroup } from '../pruning/types.ts';
import { intsAttribute } from '../onnx/attributes.ts';
import type { GroupFeatures } from './environment.ts';

/** What the agent sees of each group: the first layer that makes its channels. Shapes are those of the analysis' run. */
export function groupFeatures(analysis: Analysis, groups: readonly { readonly group: PruningGroup }[]): GroupFeatures[] {
  const byWeight = new Map(analysis.layers.map((layer) => [layer.weight, layer]));
  return groups.map(({ group }) => {
    const layer = group.producers.map(({ initializer }) => byWeight.get(initializer)).find((each) => each !== undefined);
    return layer ? { ...layerFeatures(analysis, layer), outChannels: group.channels } : { outChannels: group.channels, inChannels: 1, height: 1, width: 1, stride: 1, kernel: 1 };
  });
}

/** What the agent sees of a layer: positions lie behind the channels of a convolution, and between the batch and the channels of other layers, where a vector has none and tokens are a height. */
export function layerFeatures({ structure: { facts: { axes } } }: Analysis, layer: Layer): GroupFeatures {
  const output = axes.shapeOf(layer.output) ?? [], weight = axes.shapeOf(layer.weight) ?? [], convolution = layer.opType === 'Conv' || layer.opType === 'ConvTranspose';
  const [height = 1, width = 1] = convolution ? output.slice(2) : output.slice(1, -1), [kernel = 1] = convolution ? weight.slice(2) : [];
  return { outChannels: weight[layer.outAxis] ?? 1, inChannels: (weight[layer.inAxis] ?? 1) * layer.groups, height, width, stride: intsAttribute(layer.node, 'strides')?.[0] ?? 1, kernel };
}
