import type { GraphProto, ModelProto, NodeProto, TensorProto } from 'onnx-buf';
import { attribute, tensorAttribute } from '../onnx/attributes.ts';
import { GraphView } from '../onnx/graphView.ts';
import { DataType, dimsOf, elementCount, floatsOf, withFloats } from '../onnx/tensor.ts';

type Model = ModelProto & { graph: GraphProto };

/** A constant tensor that training changes. */
export interface Parameter {
  /** Name of the initializer, or of the Constant node's output. */
  readonly name: string;
  readonly tensor: TensorProto;
  readonly dims: readonly number[];
  /** Where it begins in the vector of all parameters. */
  readonly offset: number;
  readonly length: number;
  /** A matrix or a kernel: what weight decay is for. Biases and normalisation parameters are not. */
  readonly isWeight: boolean;
  /** Axis of a weight that runs over output channels. */
  readonly outAxis: number;
}

/** Inputs of each operator that hold what a network has learned; the first entry of a pair is the input, the second the output-channel axis of a weight, or -1. */
const slots: Readonly<Record<string, readonly (readonly [input: number, outAxis: number])[] | undefined>> = {
  Conv: [[1, 0], [2, -1]], ConvTranspose: [[1, 1], [2, -1]], Gemm: [[0, 0], [1, 1], [2, -1]], MatMul: [[0, 0], [1, 1]],
  BatchNormalization: [[1, -1], [2, -1]], LayerNormalization: [[1, -1], [2, -1]], InstanceNormalization: [[1, -1], [2, -1]], GroupNormalization: [[1, -1], [2, -1]],
  PRelu: [[1, -1]], Add: [[0, -1], [1, -1]], Sub: [[0, -1], [1, -1]], Mul: [[0, -1], [1, -1]],
};
/** What these add or multiply is learned only if it is one number a channel behind a layer with weights: not a mask, not the input's mean. */
const perChannelOnly = new Set(['Add', 'Sub', 'Mul']);
const weighted = new Set(['Conv', 'ConvTranspose', 'Gemm', 'MatMul']);
/** Size from which a number that is added to scores excludes a class: exporters write minus this or more, to minus infinity. */
const excluding = 1e4;

/** Whether numbers say which classes are left out, 0 for the others: nothing that was learned, and so large that steps relative to their size are far too long. */
const isMask = (values: Float32Array): boolean => values.some((value) => value !== 0) && values.every((value) => value === 0 || Math.abs(value) >= excluding);

/** Operators between a constant and its slot that only pass it on. */
const passing = new Set(['Identity', 'Transpose', 'Reshape', 'Squeeze', 'Unsqueeze', 'Flatten']);

/**
 * The trainable parameters of a model, in the order of its initializers: float32 constants of more than one element that stand where an
 * operator keeps what it has learned.
 */
export function parametersOf(model: Model): Parameter[] {
  const view = new GraphView(model.graph);
  const parameters: Parameter[] = [];
  const behindWeights = new Set<string>();
  for (const node of view.nodes) if (weighted.has(node.opType) || node.input.some((value) => behindWeights.has(value))) for (const output of node.output) behindWeights.add(output);
  let offset = 0;
  for (const [name, tensor] of view.constants) {
    const use = tensor.dataType === DataType.FLOAT && !isMask(floatsOf(tensor)) ? learnedUse(view, name, dimsOf(tensor), behindWeights) : undefined;
    const length = elementCount(tensor.dims, name);
    if (!use || length < 2) continue;
    parameters.push({ name, tensor, dims: dimsOf(tensor), offset, length, ...use });
    offset += length;
  }
  return parameters;
}

function learnedUse(view: GraphView, name: string, dims: readonly number[], behindWeights: ReadonlySet<string>): { isWeight: boolean; outAxis: number } | undefined {
  for (const { node, index } of view.usesOf(name)) {
    if (passing.has(node.opType) && index === 0) {
      const use = learnedUse(view, node.output[0]!, dims, behindWeights);
      if (use) return { ...use, outAxis: node.opType === 'Identity' ? use.outAxis : 0 };
      continue;
    }
    const slot = slots[node.opType]?.find(([input]) => input === index);
    if (slot && perChannelOnly.has(node.opType) && !(dims.filter((dim) => dim !== 1).length === 1 && behindWeights.has(node.input[1 - index]!))) continue;
    if (slot && (node.domain === '' || node.domain === 'ai.onnx')) return { isWeight: slot[1] >= 0, outAxis: slot[1] === 1 && transposedB(node) ? 0 : slot[1] };
  }
  return undefined;
}
const transposedB = (node: NodeProto): boolean => node.opType === 'Gemm' && node.attribute.some(({ name, i }) => name === 'transB' && i !== 0n);

/** All parameters in one vector. */
export function packParameters(parameters: readonly Parameter[]): Float32Array {
  const vector = new Float32Array(parameters.reduce((sum, { length }) => sum + length, 0));
  for (const { tensor, offset } of parameters) vector.set(floatsOf(tensor), offset);
  return vector;
}

/** The model with other parameters; everything else is shared. */
export function withParameters(model: Model, parameters: readonly Parameter[], vector: Float32Array): Model {
  const changed = new Map(parameters.map(({ name, tensor, dims, offset, length }) => [name, withFloats(tensor, dims, vector.slice(offset, offset + length))]));
  const { graph } = model;
  return { ...model, graph: {
    ...graph,
    initializer: graph.initializer.map((tensor) => changed.get(tensor.name) ?? tensor),
    node: graph.node.map((node) => {
      const tensor = node.opType === 'Constant' && tensorAttribute(node, 'value') ? changed.get(node.output[0]!) : undefined;
      return tensor ? { ...node, attribute: [attribute('value', tensor)] } : node;
    }),
  } };
}
