import type { GraphProto, ModelProto } from 'onnx-buf';
import { GraphView } from '../onnx/graphView.ts';
import { dimsOf, floatsOf, isFloatTensor } from '../onnx/tensor.ts';
import type { Analysis, AxisUse, PruningGroup } from './types.ts';

type Model = ModelProto & { graph: GraphProto };

/** How units are ranked: by the weights that read them (He, Zhang, Sun 2017, summed |W|), or by those that make them (L1 or L2 norm, Li et al. 2017). */
export type ImportanceCriterion = 'consumer-l1' | 'producer-l1' | 'producer-l2';

/** Sum of f(w) over the positions of each unit along one axis of a tensor; f is |w| or w^2. */
function accumulate(scores: Float64Array, values: Float32Array, dims: readonly number[], use: AxisUse, squared: boolean): void {
  const length = dims[use.axis]!, inner = dims.slice(use.axis + 1).reduce((a, b) => a * b, 1), outer = values.length / (length * inner);
  for (let block = 0; block < outer; block++) {
    for (let position = 0; position < length; position++) {
      const unit = use.unitOf[position]!;
      if (unit < 0) continue;
      const from = (block * length + position) * inner;
      let sum = 0;
      for (let i = from; i < from + inner; i++) { const w = values[i]!; sum += squared ? w * w : Math.abs(w); }
      scores[unit]! += sum;
    }
  }
}

/** Importance of each unit of a group; higher is worth more. Falls back on producers where nothing constant consumes the group. */
function scoresOf(view: GraphView, group: PruningGroup, criterion: ImportanceCriterion): Float64Array {
  const scores = new Float64Array(group.channels), matrices = (uses: readonly AxisUse[]): readonly AxisUse[] => uses.filter(({ initializer }) => {
    const tensor = view.constants.get(initializer);
    return tensor !== undefined && isFloatTensor(tensor) && dimsOf(tensor).length >= 2;
  });
  const wanted = criterion === 'consumer-l1' ? matrices(group.consumers) : [];
  for (const use of wanted.length > 0 ? wanted : matrices(group.producers)) {
    const tensor = view.constants.get(use.initializer)!;
    accumulate(scores, floatsOf(tensor), dimsOf(tensor), use, criterion === 'producer-l2');
  }
  return scores;
}

/** Units of every group, most important first; equal ones in their own order. */
export function channelOrders(model: Model, analysis: Analysis, criterion: ImportanceCriterion = 'consumer-l1'): ReadonlyMap<string, readonly number[]> {
  const view = new GraphView(model.graph);
  return new Map(analysis.groups.map((group) => {
    const scores = scoresOf(view, group, criterion);
    return [group.id, Array.from(scores.keys()).sort((a, b) => scores[b]! - scores[a]! || a - b)];
  }));
}
