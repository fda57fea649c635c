import type { NodeProto, TensorProto } from 'onnx-buf';
import { hasAttribute, intAttribute, intsAttribute } from '../onnx/attributes.ts';
import type { GraphView } from '../onnx/graphView.ts';
import { dimsOf, floatsOf, intsOf, isFloatTensor, isFloatType } from '../onnx/tensor.ts';
import type { Tensor } from '../runtime/session.ts';
import type { Axes, AxisId } from './axes.ts';
import type { KnownValues } from './knownValues.ts';
import type { Layer } from './layer.ts';

/** What is known of a graph while its rules run. */
export interface GraphFacts {
  readonly view: GraphView;
  readonly axes: Axes;
  readonly opset: number;
  /** Contents of small values, as run. */
  readonly small: ReadonlyMap<string, Tensor>;
  /** Values that don't depend on the data. */
  readonly known: KnownValues;
  /** Constants that are copies of a shared one, by name (see unshare). */
  readonly sources: ReadonlyMap<string, string>;
  /** Layers found so far, in graph order. */
  readonly layers: Omit<Layer, 'biased' | 'macs' | 'params'>[];
  /** Axes whose positions a weight makes out of nothing: output channels. Only what comes from them is worth removing. */
  readonly generators: AxisId[];
}

/** An axis or a position counted from the front; negative ones count from the back of `size`. */
export const positive = (index: number, size: number): number => (index < 0 ? index + size : index);

/** One node as a rule sees it: axes of its inputs and outputs, and the words to relate them. */
export class NodeAxes {
  readonly node: NodeProto;
  private readonly facts: GraphFacts;

  constructor(node: NodeProto, facts: GraphFacts) { this.node = node; this.facts = facts; }

  /** Another node of the same graph. */
  peer(node: NodeProto): NodeAxes { return new NodeAxes(node, this.facts); }

  get opType(): string { return this.node.opType; }
  get opset(): number { return this.facts.opset; }
  get view(): GraphView { return this.facts.view; }
  get axes(): Axes { return this.facts.axes; }

  input(i: number): string { return this.node.input[i] ?? ''; }
  output(i = 0): string { return this.node.output[i] ?? ''; }
  has(i: number): boolean { return this.input(i) !== ''; }
  inputShape(i: number): readonly number[] { return this.axes.shapeOf(this.input(i)) ?? []; }
  outputShape(i = 0): readonly number[] { return this.axes.shapeOf(this.output(i)) ?? []; }
  inAxis(i: number, axis: number): AxisId { return this.axes.axis(this.input(i), positive(axis, this.inputShape(i).length)); }
  outAxis(axis: number, i = 0): AxisId { return this.axes.axis(this.output(i), positive(axis, this.outputShape(i).length)); }

  int(name: string, fallback: number): number { return intAttribute(this.node, name, fallback); }
  ints(name: string): number[] | undefined { return intsAttribute(this.node, name); }
  hasAttribute(name: string): boolean { return hasAttribute(this.node, name); }

  /** The integers in a small input, constant or computed from constants and shapes; undefined where they depend on the data. */
  intsIn(i: number): number[] | undefined { return this.facts.known.contents.has(this.input(i)) ? this.intsAsRun(i) : undefined; }

  /** The integers in a small input in the run that found the shapes, whatever they depend on: good for telling placeholders (-1, 0, 1) from sizes. */
  intsAsRun(i: number): number[] | undefined {
    const name = this.input(i), tensor = this.view.constants.get(name);
    if (tensor && !isFloatTensor(tensor)) return intsOf(tensor);
    const value = this.facts.small.get(name);
    return value && (value.type === 'int64' || value.type === 'int32') ? Array.from(value.data as ArrayLike<number | bigint>, Number) : undefined;
  }

  /** The numbers in a constant input, real or integer, or in a small one that is known; undefined for others. */
  numbersIn(i: number): ArrayLike<number> | undefined {
    const tensor = this.view.constants.get(this.input(i));
    return tensor && isFloatTensor(tensor) ? floatsOf(tensor) : this.intsIn(i);
  }
  /** The number in an input of one element; undefined where it is not known. */
  scalarIn(i: number): number | undefined { const numbers = this.numbersIn(i); return numbers?.length === 1 ? numbers[0] : undefined; }

  /** The constant behind an input, through Identity nodes. */
  constantIn(i: number): { name: string; tensor: TensorProto } | undefined { return this.constantBehind(i, ({ opType }) => opType === 'Identity'); }
  /** The weights behind an input: real numbers, stored in another precision where a Cast stands between. */
  private weightsIn(i: number): { name: string; tensor: TensorProto } | undefined {
    const found = this.constantBehind(i, (node) => node.opType === 'Identity' || (node.opType === 'Cast' && isFloatType(intAttribute(node, 'to', 0))));
    return found && isFloatTensor(found.tensor) ? found : undefined;
  }
  private constantBehind(i: number, passes: (node: NodeProto) => boolean): { name: string; tensor: TensorProto } | undefined {
    let name = this.input(i);
    for (let hops = 0; hops < 16; hops++) {
      const tensor = this.view.constants.get(name);
      if (tensor) return { name, tensor };
      const producer = this.view.producers.get(name);
      if (!producer || !passes(producer)) return undefined;
      name = producer.input[0] ?? '';
    }
    return undefined;
  }

  /** Output axis and input axis have the same positions. Sizes that differ: one of them broadcasts. */
  alias(outAxis: AxisId, input: number, inAxis: AxisId): void {
    this.axes.alias(outAxis, inAxis);
    if (this.axes.sizeOf(outAxis) === this.axes.sizeOf(inAxis)) this.link(outAxis, input, inAxis);
  }
  link(outAxis: AxisId, input: number, inAxis: AxisId): void { this.axes.link(outAxis, { node: this.node, input, axis: inAxis }); }

  /** Aliases all axes of an input with an output's, aligned at the end (ONNX multidirectional broadcasting). */
  broadcast(input: number, output = 0): void {
    const offset = this.outputShape(output).length - this.inputShape(input).length;
    this.inputShape(input).forEach((_, axis) => { this.alias(this.outAxis(axis + offset, output), input, this.inAxis(input, axis)); });
  }

  /** The output axes, as a row-major product, are the input axes'. */
  regroup(outAxes: readonly AxisId[], input: number, inAxes: readonly AxisId[]): void {
    this.axes.regroup(outAxes, inAxes);
    const right = this.strides(inAxes);
    for (const [out, from, to] of this.strides(outAxes)) for (const [axis, start, end] of right) if (from < end && start < to) this.link(out, input, axis);
  }

  /** Axes above size 1 of a row-major product, each with the strides it lies between. */
  private strides(axes: readonly AxisId[]): [axis: AxisId, from: number, to: number][] {
    let stride = 1;
    return axes.toReversed().map((axis): [AxisId, number, number] => [axis, stride, stride *= this.axes.sizeOf(axis)]).filter(([, from, to]) => to > from);
  }

  /** Sums of products over an axis of one or more operands; those of size 1 are the same factor in every product. */
  contract(...axes: readonly AxisId[]): void {
    const operands = axes.filter((axis) => this.axes.sizeOf(axis) > 1);
    for (const other of operands.slice(1)) this.axes.alias(operands[0]!, other);
    if (operands.length > 0) this.axes.contractions.push({ node: this.node, operands });
  }

  freezeInput(i: number, reason: string): void { for (const axis of this.axes.axesOf(this.input(i))) this.axes.freeze(axis, reason); }
  freezeAll(reason: string): void {
    for (const value of [...this.node.input, ...this.node.output]) if (value !== '') for (const axis of this.axes.axesOf(value)) this.axes.freeze(axis, reason);
  }

  cost(constant: number, axes: readonly AxisId[]): void { this.axes.costs.push({ node: this.node, constant, axes }); }

  /** Output channels are made along an input's axis (weights of recurrent networks, embeddings). */
  generates(input: number, axis: number): void { this.facts.generators.push(this.inAxis(input, axis)); }

  /** Records a layer when its weight is constant and nothing is fused behind it. @param bias input index of a bias, -1 for none */
  layer(weight: number, bias: number, shape: { outAxis: number; inAxis: number; groups?: number; input?: number }): void {
    this.facts.generators.push(this.inAxis(weight, shape.outAxis));
    const constant = this.node.domain === 'com.microsoft' ? undefined : this.weightsIn(weight);
    if (!constant || dimsOf(constant.tensor).length < 2) return;
    this.facts.layers.push({
      name: this.node.name || this.output(), node: this.node, opType: this.opType, weight: constant.name,
      bias: bias < 0 ? this.biasAfter() : this.weightsIn(bias)?.name ?? '',
      input: this.input(shape.input ?? 0), output: this.output(), outAxis: shape.outAxis, inAxis: shape.inAxis, groups: shape.groups ?? 1,
    });
  }

  /** The constant of an Add that alone reads the output and adds one number a last-axis position. */
  private biasAfter(): string {
    const [use, ...others] = this.view.usesOf(this.output());
    if (!use || others.length > 0 || use.node.opType !== 'Add' || this.view.isOutput(this.output())) return '';
    const name = use.node.input[1 - use.index] ?? '', tensor = this.view.constants.get(name), dims = tensor ? dimsOf(tensor) : [], shape = this.outputShape();
    return dims.length > 0 && dims.length <= shape.length && dims.at(-1) === shape.at(-1) && dims.slice(0, -1).every((dim) => dim === 1) ? name : '';
  }
}
