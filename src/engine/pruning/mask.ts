import type { GraphProto, ModelProto, TensorProto } from 'onnx-buf';
import { GraphView } from '../onnx/graphView.ts';
import { bytesPerElement, dimsOf, rawBytes, withBytes } from '../onnx/tensor.ts';
import type { Analysis, AxisUse, KeptUnits } from './types.ts';

type Model = ModelProto & { graph: GraphProto };

/** The original network with every consumer deaf to the units that are not kept: its shape and its values' names stay, and it answers as the pruned one. */
export function maskConsumers(model: Model, analysis: Analysis, kept: KeptUnits): Model {
  const tensors = new Map(new GraphView(model.graph).constants);
  for (const { id, consumers } of analysis.groups) {
    const units = kept.get(id);
    if (!units) continue;
    const stays = new Set(units);
    for (const use of consumers) tensors.set(use.initializer, zeroed(tensors.get(use.initializer)!, use, stays));
  }
  const node = model.graph.node.map((each) => {
    const [value] = each.output, attribute = each.attribute[0];
    return each.opType === 'Constant' && attribute?.t && value !== undefined ? { ...each, attribute: [{ ...attribute, t: tensors.get(value) ?? attribute.t }] } : each;
  });
  return { ...model, graph: { ...model.graph, node, initializer: model.graph.initializer.map((tensor) => tensors.get(tensor.name) ?? tensor) } };
}

function zeroed(tensor: TensorProto, { axis, unitOf }: AxisUse, stays: ReadonlySet<number>): TensorProto {
  const dims = dimsOf(tensor), bytes = new Uint8Array(rawBytes(tensor)), inner = dims.slice(axis + 1).reduce((a, b) => a * b, 1) * bytesPerElement(tensor), length = dims[axis]!;
  for (let row = 0; row < bytes.length / inner; row++) {
    const unit = unitOf[row % length]!;
    if (unit >= 0 && !stays.has(unit)) bytes.fill(0, row * inner, (row + 1) * inner);
  }
  return withBytes(tensor, dims, bytes);
}
