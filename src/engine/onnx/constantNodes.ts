import { clone } from '@bufbuild/protobuf';
import { type GraphProto, type ModelProto, type NodeProto, NodeProtoSchema, type TensorProto } from 'onnx-buf';
import { attribute } from './attributes.ts';
import { copyOf } from './copyOf.ts';
import { floatTensor, int64Tensor } from './tensor.ts';

/** The tensor that a Constant node states in another form than `value` (ONNX 12); undefined for strings and sparse tensors. */
function statedTensor({ attribute: [stated] }: NodeProto): TensorProto | undefined {
  switch (stated?.name) {
    case 'value_int': return int64Tensor('', [], [Number(stated.i)]);
    case 'value_ints': return int64Tensor('', [stated.ints.length], stated.ints.map(Number));
    case 'value_float': return floatTensor('', [], Float32Array.of(stated.f));
    case 'value_floats': return floatTensor('', [stated.floats.length], Float32Array.from(stated.floats));
    default: return undefined;
  }
}

/**
 * The model with the numbers of its Constant nodes as tensors, the one form that readers of constants know.
 * @returns the given model where they are already
 */
export function tensorConstants(model: ModelProto & { graph: GraphProto }): ModelProto & { graph: GraphProto } {
  const node = model.graph.node.map((own) => {
    const tensor = own.opType === 'Constant' ? statedTensor(own) : undefined;
    if (!tensor) return own;
    const changed = clone(NodeProtoSchema, own);
    changed.attribute = [attribute('value', tensor)];
    return changed;
  });
  return node.every((own, i) => own === model.graph.node[i]) ? model : copyOf(model, { graph: copyOf(model.graph, { node }) });
}
