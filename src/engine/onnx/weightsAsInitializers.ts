import { type GraphProto, type ModelProto, type NodeProto, type TensorProto } from 'onnx-buf';
import { tensorAttribute } from './attributes.ts';
import { dimsOf, isFloatTensor, rawBytes, withBytes } from './tensor.ts';

/** The tensor of a Constant node (ONNX Constant 1) that may be a layer's weights: real numbers, not a lone one. */
function weightsOf(node: NodeProto): TensorProto | undefined {
  const tensor = node.opType === 'Constant' && node.domain === '' ? tensorAttribute(node, 'value') : undefined;
  return tensor && isFloatTensor(tensor) && tensor.dims.length > 0 ? tensor : undefined;
}

/** The same tensor with its elements in raw_data, where they stand in a typed field (ONNX TensorProto). */
const inBytes = (tensor: TensorProto): TensorProto => (isFloatTensor(tensor) && tensor.rawData.length === 0 ? withBytes(tensor, dimsOf(tensor), rawBytes(tensor)) : tensor);

/**
 * Weights in the one form that pruning, repair and training know, in place: initializers with raw data. ONNX has three more, and exporters that write them: Constant nodes, typed fields such
 * as float_data, and initializers that are graph inputs as well. IR version 3 demands that of all of them, and newer files from exporters that keep the habit list every one too; where only
 * some are listed they are defaults that a caller may replace, and stay.
 */
export function weightsAsInitializers(model: ModelProto & { graph: GraphProto }): void {
  const { graph } = model, given = new Set(graph.input.map(({ name }) => name)), outputs = new Set(graph.output.map(({ name }) => name));
  if (model.irVersion < 4n || graph.initializer.every(({ name }) => given.has(name))) {
    const weights = new Set(graph.initializer.map(({ name }) => name));
    graph.input = graph.input.filter(({ name }) => !weights.has(name));
    if (model.irVersion < 4n) model.irVersion = 4n;
  }
  const written: TensorProto[] = [];
  graph.node = graph.node.filter((node) => {
    const tensor = weightsOf(node), [name = ''] = node.output;
    if (!tensor || name === '' || outputs.has(name)) return true;
    tensor.name = name;
    written.push(tensor);
    return false;
  });
  graph.initializer = [...graph.initializer, ...written].map(inBytes);
}
