import type { GraphProto, ModelProto } from 'onnx-buf';
import { valueInfo } from '../onnx/buildModel.ts';
import { declaredDims } from '../runtime/shapes.ts';

type Model = ModelProto & { graph: GraphProto };

/** The same model with the first dimension of every input free, so that it takes any batch its operators can. */
export function anyBatch(model: Model): Model {
  const input = model.graph.input.map((value) => {
    const dims = declaredDims(value), type = value.type?.value;
    return dims.length === 0 || type?.case !== 'tensorType' ? value : valueInfo(value.name, dims.map((dim, i) => (i === 0 ? 'batch' : dim ?? `d${i}`)), type.value.elemType);
  });
  return { ...model, graph: { ...model.graph, input } };
}
