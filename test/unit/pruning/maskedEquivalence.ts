/** The check of DESIGN.md, written without the surgery: zero the dropped indices of every consumer in the original and compare outputs. */
import type { GraphProto, ModelProto, TensorProto } from 'onnx-buf';
import { GraphView } from '../../../src/engine/onnx/graphView.ts';
import { dimsOf, rawBytes, bytesPerElement, withBytes } from '../../../src/engine/onnx/tensor.ts';
import type { Plan } from '../../../src/engine/pruning/plan.ts';
import { Session, type Tensor } from '../../../src/engine/runtime/session.ts';

type Model = ModelProto & { graph: GraphProto };

function zeroed(tensor: TensorProto, axis: number, kept: readonly number[]): TensorProto {
  const dims = dimsOf(tensor), bytes = new Uint8Array(rawBytes(tensor)), inner = dims.slice(axis + 1).reduce((a, b) => a * b, 1) * bytesPerElement(tensor);
  const stays = new Set(kept), length = dims[axis]!;
  for (let row = 0; row < bytes.length / inner; row++) if (!stays.has(row % length)) bytes.fill(0, row * inner, (row + 1) * inner);
  return withBytes(tensor, dims, bytes);
}

/** The original model with every dropped index of every consumer of the plan set to zero. */
export function maskedModel(model: Model, plan: Plan): Model {
  const tensors = new Map(new GraphView(model.graph).constants);
  for (const group of plan.groups) for (const { initializer, axis, kept } of group.consumers) tensors.set(initializer, zeroed(tensors.get(initializer)!, axis, kept));
  const initializer = model.graph.initializer.map((tensor) => tensors.get(tensor.name) ?? tensor);
  const node = model.graph.node.map((n) => (n.opType === 'Constant' && n.attribute[0]?.t
    ? { ...n, attribute: [{ ...n.attribute[0], t: tensors.get(n.output[0]!)! }] } as typeof n : n));
  return { ...model, graph: { ...model.graph, initializer, node } };
}

/** Largest difference of two models' outputs relative to the largest magnitude of each output of the first; Infinity for other shapes or NaN. */
export async function relativeDifference(expected: Model, actual: Model, feeds: Readonly<Record<string, Tensor>>): Promise<number> {
  const run = async (model: Model): Promise<Record<string, Tensor>> => {
    const session = await Session.create(model, { threads: 2, optimization: 'basic' });
    try { return await session.run(feeds); } finally { await session.release(); }
  };
  const a = await run(expected), b = await run(actual);
  let worst = 0;
  for (const [name, { data: x, dims }] of Object.entries(a)) {
    const { data: y, dims: otherDims } = b[name]!;
    if (dims.join() !== otherDims.join()) return Infinity;
    let scale = 1e-12, difference = 0;
    for (let i = 0; i < x.length; i++) {
      const u = Number(x[i]), v = Number(y[i]);
      if (!Number.isFinite(u) || !Number.isFinite(v)) return Infinity;
      scale = Math.max(scale, Math.abs(u));
      difference = Math.max(difference, Math.abs(u - v));
    }
    worst = Math.max(worst, difference / scale);
  }
  return worst;
}
