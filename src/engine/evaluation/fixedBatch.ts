import type { GraphProto, ModelProto } from 'onnx-buf';
import { GraphView } from '../onnx/graphView.ts';
import { declaredDims } from '../runtime/shapes.ts';

type Model = ModelProto & { graph: GraphProto };

/** The batch that a model fixes by the declared shape of its inputs; undefined where it takes any. */
export function fixedBatch({ graph }: Model): number | undefined {
  const { inputs } = new GraphView(graph);
  return graph.input.filter(({ name }) => inputs.includes(name)).map((input) => declaredDims(input)[0]).find((batch) => batch !== undefined);
}
