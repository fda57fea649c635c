import type { GraphProto, ModelProto, NodeProto } from 'onnx-buf';
import { InputError, UnsupportedModelError } from '../errors.ts';
import { GraphBuilder } from '../onnx/graphBuilder.ts';
import { GraphView, capturedValues, nodeLabel } from '../onnx/graphView.ts';
import { floatsOf, intsOf, isFloatTensor } from '../onnx/tensor.ts';
import { type ValueShapes, findShapes, runShapes } from '../runtime/shapes.ts';
import { ruleFor } from './registry.ts';
import { numbersOf, product } from './rule.ts';

type Model = ModelProto & { graph: GraphProto };

export interface DifferentiateOptions {
  /** The value to differentiate: one element. */
  readonly loss: string;
  /** Values to differentiate by: initializers, graph inputs or anything between them and the loss. */
  readonly wrt: readonly string[];
  /** Shape of every graph input that the gradients are for; found by trying the usual ones when left out. */
  readonly inputShapes?: Readonly<Record<string, readonly number[]>>;
  /** Channels of a block of onnxruntime's blocked layout, where the gradients may use it (blockedLayout.ts); 0 [default] for ONNX's own operators only. */
  readonly block?: number;
}

/** Name of the output that holds the gradient of the loss by a value. */
export const gradientName = (value: string): string => `gradient of ${value}`;

/**
 * The model with the gradients of one of its values as further outputs (reverse-mode differentiation).
 * @returns the same graph with one output `gradientName(value)` more for each value of `wrt`; for the given input shapes only
 * @throws {UnsupportedModelError} names the first node on the way whose operator has no gradient rule
 */
export async function differentiate(model: Model, { loss, wrt, inputShapes, block = 0 }: DifferentiateOptions): Promise<Model> {
  const build = new GraphBuilder(model);
  const view = new GraphView(model.graph);
  const shapes = inputShapes ? await runShapes(model, view, inputShapes) : await findShapes(model, view);
  const gradients = appendGradients(build, { loss, wrt, shapes, block });
  wrt.forEach((value, i) => { build.output(gradients[i]!, gradientName(value), shapes.shapes.get(value)!); });
  return build.model();
}

/** Shapes of all values of a graph under construction, by running it. Its inputs must have fixed dimensions. */
export async function shapesOf(build: GraphBuilder): Promise<ValueShapes> {
  const model = build.model();
  const dims = (input: (typeof build.inputs)[number]): number[] => {
    const shape = input.type?.value.case === 'tensorType' ? input.type.value.value.shape : undefined;
    return (shape?.dim ?? []).map(({ value }) => (value.case === 'dimValue' ? Number(value.value) : 1));
  };
  return runShapes(model, new GraphView(model.graph), Object.fromEntries(build.inputs.map((input) => [input.name, dims(input)])));
}

/**
 * Appends the nodes that compute the gradients of `loss` to a graph under construction.
 * @returns the name of the gradient by each value of `wrt`; zeros where the loss does not depend on it
 */
export function appendGradients(build: GraphBuilder, { loss, wrt, shapes: { shapes, small }, block = 0 }: Pick<DifferentiateOptions, 'loss' | 'wrt' | 'block'> & { readonly shapes: ValueShapes }): string[] {
  const view = new GraphView(build.model().graph);
  const shape = (value: string): readonly number[] => {
    const dims = shapes.get(value);
    if (!dims) throw new UnsupportedModelError(`Can't differentiate through "${value}": it is not a tensor of known shape.`);
    return dims;
  };
  for (const name of [loss, ...wrt]) if (!shapes.has(name)) throw new InputError(`The model has no value "${name}" to differentiate.`);
  if (product(shape(loss)) !== 1) throw new InputError(`The loss "${loss}" must be one number, but its shape is [${shape(loss).join(', ')}].`);

  // Forward: which values depend on wrt. Backward: nodes in reverse order, each handing its outputs' gradients to its inputs.
  const active = new Set(wrt), readsActive = (node: NodeProto): boolean => [...node.input, ...capturedValues(node)].some((value) => active.has(value));
  for (const node of view.nodes) if (ruleFor(node) !== 'constant' && readsActive(node)) for (const value of node.output) active.add(value);
  const contributions = new Map<string, string[]>();
  const total = (value: string): string | undefined => {
    const parts = contributions.get(value);
    if (!parts || parts.length === 0) return undefined;
    const sum = parts.reduce((a, b) => build.add(a, b));
    contributions.set(value, [sum]);
    return sum;
  };
  if (active.has(loss)) contributions.set(loss, [build.op('Expand', [build.scalar(1), build.ints(shape(loss))])]);

  for (const node of [...view.nodes].reverse()) {
    const rule = ruleFor(node);
    if (rule === 'constant' || !readsActive(node) || !node.output.some((value) => contributions.has(value))) continue;
    if (!rule) throw new UnsupportedModelError(`Can't differentiate ${nodeLabel(node)}: the operator ${node.opType} has no gradient rule. Leave fine-tuning off for this model.`);
    const inputGradients = rule({
      node, build, shape, block,
      gradients: node.output.map(total),
      wants: (input) => active.has(node.input[input] ?? ''),
      contents: (value) => {
        const initializer = view.constants.get(value), tensor = small.get(value);
        if (tensor) return numbersOf(tensor);
        if (initializer) return isFloatTensor(initializer) ? Array.from(floatsOf(initializer)) : intsOf(initializer);
        throw new UnsupportedModelError(`Can't differentiate ${nodeLabel(node)}: "${value}" is not a small constant.`);
      },
    });
    inputGradients.forEach((gradient, input) => {
      const value = node.input[input] ?? '';
      if (gradient === undefined || !active.has(value)) return;
      const parts = contributions.get(value);
      if (parts) parts.push(gradient); else contributions.set(value, [gradient]);
    });
  }
  return wrt.map((value) => total(value) ?? build.zeros(shape(value)));
}
