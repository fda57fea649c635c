import type { TensorProto } from 'onnx-buf';
import { floatAttribute } from '../onnx/attributes.ts';
import type { GraphView } from '../onnx/graphView.ts';
import { floatsOf } from '../onnx/tensor.ts';
import type { Layer } from '../pruning/types.ts';
import type { OutputTransform } from './leastSquares.ts';

/** Where a layer's output goes before the next non-linear step: the value to reproduce there, and how the output gets there. */
export interface OutputSink {
  /** The last value before the activation; the same name in the original and in the pruned network. */
  readonly target: string;
  /** The other operand of the Add on the way (a shortcut), if there is one. */
  readonly residual?: string;
  readonly transform: OutputTransform;
}

/**
 * Follows a layer's output through a bias, a BatchNormalization (in inference form), one Add with a shortcut, and to a Relu or Clip,
 * as long as nothing else reads the values on the way.
 * @param outs output channels of the layer in this graph
 * @param mayAdd whether a shortcut's value may be relied on when the layer is refitted
 */
export function outputSink(view: GraphView, initializers: ReadonlyMap<string, TensorProto>, layer: Layer, outs: number, mayAdd: (shortcut: string) => boolean): OutputSink {
  const scale = new Float32Array(outs).fill(1), shift = new Float32Array(outs);
  const constant = (name: string | undefined): Float32Array | undefined => {
    const tensor = name ? (initializers.get(name) ?? view.constants.get(name)) : undefined;
    return tensor && floatsOf(tensor);
  };
  let value = layer.output, residual: string | undefined, low = -Infinity, high = Infinity;
  for (;;) {
    const [use, another] = view.usesOf(value);
    if (!use || another || view.isOutput(value) || view.capturedBySubgraphs.has(value)) break;
    const { node } = use;
    if (node.opType === 'Identity') { value = node.output[0]!; continue; }
    if (node.opType === 'Relu') { low = 0; break; }
    if (node.opType === 'Clip') {
      const least = node.input[1] ? constant(node.input[1])?.[0] : floatAttribute(node, 'min', -Infinity);
      const most = node.input[2] ? constant(node.input[2])?.[0] : floatAttribute(node, 'max', Infinity);
      if (least !== undefined && most !== undefined) { low = least; high = most; }
      break;
    }
    if (node.opType === 'BatchNormalization' && (layer.opType === 'Conv' || layer.opType === 'ConvTranspose')) {
      const [gamma, beta, mean, variance] = [1, 2, 3, 4].map((i) => constant(node.input[i]));
      if (!gamma || !beta || !mean || !variance || gamma.length !== outs || residual !== undefined) break;
      const epsilon = floatAttribute(node, 'epsilon', 1e-5);
      const factors = gamma.map((g, c) => g / Math.sqrt(variance[c]! + epsilon));
      if (factors.some((factor) => Math.abs(factor) < 1e-6)) break;
      for (let c = 0; c < outs; c++) { shift[c] = factors[c]! * (shift[c]! - mean[c]!) + beta[c]!; scale[c]! *= factors[c]!; }
      value = node.output[0]!;
      continue;
    }
    if (node.opType === 'Add') {
      const other = node.input[1 - use.index]!;
      if (other === layer.bias) { value = node.output[0]!; continue; }
      if (residual !== undefined || other === value || view.constants.has(other) || initializers.has(other) || !mayAdd(other)) break;
      residual = other;
      value = node.output[0]!;
      continue;
    }
    break;
  }
  return { target: value, ...(residual === undefined ? {} : { residual }), transform: { scale, shift, low, high } };
}
