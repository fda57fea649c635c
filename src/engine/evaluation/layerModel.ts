import type { GraphProto, ModelProto, NodeProto } from 'onnx-buf';
import { intAttribute } from '../onnx/attributes.ts';
import { buildModel, valueInfo } from '../onnx/buildModel.ts';
import { dimsOf, floatTensor } from '../onnx/tensor.ts';
import type { Analysis, Layer } from '../pruning/types.ts';

type Model = ModelProto & { graph: GraphProto };

/** A layer on its own: its node with the real shapes of its input, at any widths of its weight. */
export interface LoneLayer {
  /** Layers with the same key are timed once. */
  readonly key: string;
  /** Sizes of the whole weight along its input channels (per convolution group) and its output channels. */
  readonly ins: number;
  readonly outs: number;
  /** Whether input and output channels are the same ones, one a convolution group. */
  readonly depthwise: boolean;
  build(ins: number, outs: number): Model;
}

/** The axis of a layer's input that its weight is contracted with; undefined where that is not one plain axis. */
function channelAxis({ node, input, opType, groups, inAxis }: Layer, rank: number): number | undefined {
  const at = node.input.indexOf(input), transposed = (name: string): boolean => intAttribute(node, name, 0) !== 0;
  if (opType === 'Conv') return at === 0 ? 1 : undefined;
  if (opType === 'ConvTranspose') return at === 0 && groups === 1 && inAxis === 0 ? 1 : undefined;
  if (opType === 'MatMul') return at === 0 ? rank - 1 : rank - 2;
  if (opType === 'Gemm') return at === 0 ? Number(!transposed('transA')) : Number(transposed('transB'));
  return undefined;
}

/** @returns undefined for a layer that can't stand alone: an Einsum, a weight that is computed in the graph, several convolution groups of several channels */
export function loneLayer(model: Model, { structure: { facts: { axes, view } } }: Analysis, layer: Layer): LoneLayer | undefined {
  const input = axes.shapeOf(layer.input), weight = view.constants.get(layer.weight), { node } = layer;
  const channels = input && channelAxis(layer, input.length);
  if (!input || !weight || channels === undefined || !node.input.includes(layer.input)) return undefined;
  const dims = dimsOf(weight), ins = dims[layer.inAxis]!, outs = dims[layer.outAxis]!, depthwise = layer.groups > 1 && ins === 1 && layer.groups === outs;
  if (layer.groups > 1 && !depthwise) return undefined;
  const bias = node.input[2] !== undefined && node.input[2] !== '' && view.constants.has(layer.bias) ? layer.bias : undefined, slot = node.input[0] === layer.input ? 1 : 0;
  const attributes = JSON.stringify(node.attribute.map(({ name, i, ints, f, s }) => [name, Number(i), ints.map(Number), f, Buffer.from(s).toString('latin1')]));
  return {
    key: `${layer.opType} ${attributes} input ${input.map((dim, axis) => (axis === channels ? 'c' : dim)).join('x')} weight ${dims.join('x')}${bias === undefined ? '' : ' bias'}`, ins, outs, depthwise,
    build: (keptIns, keptOuts) => {
      const values = (size: number): Float32Array => Float32Array.from({ length: size }, (_, i) => ((i * 7919) % 101) / 101 - 0.5);
      const size = dims.map((dim, axis) => (axis === layer.inAxis ? keptIns : axis === layer.outAxis ? keptOuts : dim)), count = size.reduce((a, b) => a * b, 1);
      const own: NodeProto = { ...node, input: [slot === 1 ? layer.input : layer.weight, slot === 1 ? layer.weight : layer.input, ...(bias === undefined ? [] : [bias])], output: ['y'] };
      if (depthwise) own.attribute = node.attribute.map((attribute) => (attribute.name === 'group' ? { ...attribute, i: BigInt(keptOuts) } : attribute));
      return buildModel({
        nodes: [own], inputs: [valueInfo(layer.input, input.map((dim, axis) => (axis === channels ? (depthwise ? keptOuts : keptIns) : dim)))], outputs: [valueInfo('y')],
        initializers: [floatTensor(layer.weight, size, values(count)), ...(bias === undefined ? [] : [floatTensor(bias, [keptOuts], values(keptOuts))])], opsetImport: model.opsetImport,
      });
    },
  };
}
