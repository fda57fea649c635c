import { type GraphProto, type ModelProto, type NodeProto, type TensorProto, NodeProtoSchema, TensorProtoSchema, TensorProto_DataType as DataType } from 'onnx-buf';
import { clone, create } from '@bufbuild/protobuf';
import { makeNode, setAttribute, tensorAttribute } from '../onnx/attributes.ts';
import { copyOf } from '../onnx/copyOf.ts';
import { floatsOf, int64Tensor, intsOf, withFloats } from '../onnx/tensor.ts';
import { type Adjustment, adjusted, isUnchanged, replacedBy, scaled, unchanged } from './adjustment.ts';
import type { AxisId } from './axes.ts';
import { type ConstantLayer, channelAxis, keyOf, removalFor } from './branches.ts';
import { elementTypeOf } from '../onnx/elementType.ts';
import { cutShape, gatherAxes } from './gather.ts';
import { KeptPositions } from './keptPositions.ts';
import { NodeAxes } from './nodeAxes.ts';
import type { NodeEdit } from './rule.ts';
import { withFolded } from './foldWeights.ts';
import { ruleOf } from './rules/registry.ts';
import type { Structure } from './structure.ts';
import type { Analysis, KeptUnits } from './types.ts';
import { unshare } from './unshare.ts';
import { zerosNode } from './zerosNode.ts';

type Model = ModelProto & { graph: GraphProto };

/** What can change at all, found once an analysis. */
interface Sites {
  /** Constants with an axis that units lie on, and those axes. */
  readonly constants: readonly { readonly name: string; readonly axes: readonly AxisId[] }[];
  /** Nodes whose rule rewrites them, and the axes whose pruning makes it do so. */
  readonly nodes: readonly { readonly node: NodeProto; readonly axes: readonly AxisId[] }[];
  readonly prunable: (axis: AxisId) => boolean;
}
const sitesOf = new WeakMap<Structure, Sites>();

function findSites(structure: Structure): Sites {
  const known = sitesOf.get(structure);
  if (known) return known;
  const { facts: { view, axes }, atoms, atomUnits } = structure;
  const prunable = (axis: AxisId): boolean => atoms.of(axis).some((atom) => atomUnits.has(atom));
  const constants = [...view.constants.keys()].map((name) => ({ name, axes: axes.axesOf(name) })).filter((site) => site.axes.some(prunable));
  const nodes = view.nodes.filter((node) => ruleOf(node).rewrite).map((node) => ({
    node, axes: [...node.input, ...node.output].filter((value) => value !== '').flatMap((value) => axes.axesOf(value)).filter(prunable),
  })).filter((site) => site.axes.length > 0);
  const sites = { constants, nodes, prunable };
  sitesOf.set(structure, sites);
  return sites;
}

/** Collects the changes to one node. */
class Edit implements NodeEdit {
  readonly before: NodeProto[] = [];
  readonly after: NodeProto[] = [];
  readonly dropped: NodeProto[] = [];
  replacement: readonly NodeProto[] | undefined;
  private readonly n: NodeAxes;
  private readonly positions: KeptPositions;
  private readonly constants: TensorProto[];
  private readonly hint: string;
  private copy: NodeProto | undefined;
  private names = 0;

  constructor(n: NodeAxes, positions: KeptPositions, constants: TensorProto[]) {
    this.n = n;
    this.positions = positions;
    this.constants = constants;
    this.hint = n.output();
  }

  kept(axis: AxisId): Int32Array | undefined { return this.positions.of(axis); }
  size(axis: AxisId): number { return this.positions.sizeOf(axis); }
  node(): NodeProto { return (this.copy ??= clone(NodeProtoSchema, this.n.node)); }
  get changed(): readonly NodeProto[] | undefined {
    if (this.replacement) return [...this.before, ...this.replacement, ...this.after];
    return this.copy || this.before.length > 0 ? [...this.before, this.copy ?? this.n.node, ...this.after] : undefined;
  }
  freshName(hint: string): string {
    for (;;) {
      const name = `${hint}/auto-compress:${this.names++}`;
      if (!this.n.view.producers.has(name) && !this.n.view.initializers.has(name)) return name;
    }
  }
  constant(values: readonly number[], dims: readonly number[]): string { return this.integers(values, dims, DataType.INT64); }
  private integers(values: readonly number[], dims: readonly number[], type: number): string {
    const tensor = int64Tensor(this.freshName(this.hint), dims, values);
    if (type === DataType.INT32) { tensor.dataType = type; tensor.rawData = new Uint8Array(Int32Array.from(values).buffer); }
    this.constants.push(tensor);
    return tensor.name;
  }
  scalar(value: number, output = 0): string {
    const like = create(TensorProtoSchema, { name: this.freshName(this.hint), dataType: elementTypeOf(this.n.view, this.n.output(output)) });
    const tensor = withFloats(like, [], Float32Array.of(value));
    this.constants.push(tensor);
    return tensor.name;
  }
  rename(output = 0): string {
    const name = this.freshName(`${this.n.output(output)}/pruned`);
    this.node().output[output] = name;
    return name;
  }
  setInts(input: number, values: readonly number[], dims: readonly number[] = [values.length]): void {
    this.node().input[input] = this.integers(values, dims, elementTypeOf(this.n.view, this.n.input(input)));
  }
  adjustInts(input: number, changes: readonly Adjustment[]): void {
    if (changes.every(isUnchanged)) return;
    const constant = this.n.constantIn(input), type = elementTypeOf(this.n.view, this.n.input(input));
    if (constant) { this.setInts(input, adjusted(intsOf(constant.tensor), changes)); return; }
    let value = this.n.input(input);
    for (const [opType, part, neutral] of [['Mul', 'times', 1], ['Div', 'over', 1], ['Add', 'plus', 0]] as const) {
      const operands = changes.map((change) => change[part]), next = this.freshName(this.hint);
      if (operands.every((operand) => operand === neutral)) continue;
      this.before.push(makeNode(opType, [value, this.integers(operands, [operands.length], type)], [next]));
      value = next;
    }
    this.node().input[input] = value;
  }
  replace(nodes: readonly NodeProto[]): void { this.replacement = nodes; }
  drop(nodes: readonly NodeProto[]): void { this.dropped.push(...nodes); }

  scaleSizes(input: number, axes: readonly (AxisId | undefined)[], copied: readonly (AxisId | undefined)[] = []): void {
    const values = this.n.intsAsRun(input);
    this.adjustInts(input, axes.map((axis, i) => {
      const value = values?.[i] ?? 2, source = value === 0 ? copied[i] : undefined;
      if (axis === undefined) return unchanged;
      if (source !== undefined && this.size(source) !== this.size(axis)) return replacedBy(this.size(axis));
      return value > 1 && this.kept(axis) ? scaled(this.size(axis), this.n.axes.sizeOf(axis)) : unchanged; // -1 and 0 leave the size to be inferred or copied, 1 to be broadcast: they stay
    }));
  }
}

/**
 * The model without the dropped units: weights gathered along their axes, and what nodes state in numbers (groups, sizes, positions)
 * corrected. Values and nodes keep their names; what does not change is shared with the input, which is never changed.
 * @param replaced initializers whose values the caller will set: they are cut in shape only, and hold nothing
 * Where a group keeps none of its units, the branches that read it are gone as well, and constants stand where they ended.
 * @throws {RangeError} for an unknown group or unit, or an empty selection of a group that can't go as a whole
 */
export function applyPlan(original: Model, analysis: Analysis, kept: KeptUnits, replaced?: ReadonlySet<string>): Model {
  const { structure } = analysis, { facts } = structure, sites = findSites(structure);
  const { graph } = withFolded(unshare(original).model, structure.folded);
  const positions = new KeptPositions(analysis, kept);
  const touched = new Map<string, (Int32Array | undefined)[]>();
  for (const { name, axes } of sites.constants) {
    const rows = axes.map((axis) => positions.of(axis));
    if (rows.some((own) => own !== undefined)) touched.set(name, rows);
  }
  const gather = (tensor: TensorProto, rows: readonly (Int32Array | undefined)[] | undefined): TensorProto => (rows ? (replaced?.has(tensor.name) ? cutShape : gatherAxes)(tensor, rows) : tensor);
  const added: TensorProto[] = [], changes = new Map<string, readonly NodeProto[]>();
  const removal = removalFor(analysis, kept);
  for (const key of removal?.nodes ?? []) changes.set(key, []);
  for (const [key, gone] of removal?.operands ?? []) { const concat = facts.view.producers.get(key)!; changes.set(key, [copyOf(concat, { input: concat.input.filter((_, i) => !gone.includes(i)) })]); }
  for (const constant of removal?.constants ?? []) standIn(constant);
  for (const { node, axes } of sites.nodes) {
    if (removal?.nodes.has(keyOf(node)) || !axes.some((axis) => positions.of(axis) !== undefined)) continue;
    const n = new NodeAxes(node, facts), edit = new Edit(n, positions, added);
    ruleOf(node).rewrite!(n, edit);
    if (edit.changed) changes.set(keyOf(node), edit.changed);
    for (const dropped of edit.dropped) changes.set(keyOf(dropped), []);
  }
  /** A constant, or where the layer has no bias a node that makes zeros, in place of what a layer with nothing to read answers. */
  function standIn({ layer, value }: ConstantLayer): void {
    const { axes, view } = facts, at = channelAxis(layer, facts)!, dims = axes.shapeOf(value)!.map((_, axis) => (axis === at ? positions.sizeOf(axes.axis(value, axis)) : 1)), bias = view.constants.get(layer.bias);
    if (bias) { added.push(broadcastTo({ ...gather(bias, touched.get(layer.bias)), name: value }, dims)); return; }
    const zeros = zerosNode(value, dims, elementTypeOf(view, layer.weight), facts.opset);
    added.push(zeros.constant);
    changes.set(layer.node.output[0]!, [zeros.node]);
  }
  const node = graph.node.flatMap((current): readonly NodeProto[] => {
    const changed = changes.get(keyOf(current));
    if (changed) return changed;
    const rows = current.opType === 'Constant' ? touched.get(current.output[0]!) : undefined;
    if (!rows) return [current];
    if (rows.some(isEmpty)) return [];
    const copy = clone(NodeProtoSchema, current);
    setAttribute(copy, 'value', gatherAxes(tensorAttribute(copy, 'value')!, rows));
    return [copy];
  });
  const initializer = [...graph.initializer.filter(({ name }) => !touched.get(name)?.some(isEmpty)).map((tensor) => gather(tensor, touched.get(tensor.name))), ...added];
  const valueInfo = graph.valueInfo.filter(({ name }) => !removal?.unvarying.has(name) && (!facts.axes.shapeOf(name) || !facts.axes.axesOf(name).some((axis) => positions.of(axis) !== undefined)));
  return copyOf(original, { graph: copyOf(graph, { ...withoutUnread(graph, node, initializer), valueInfo }) });
}

const isEmpty = (rows: Int32Array | undefined): boolean => rows?.length === 0;

/** A bias in the rank of a value: as it is along channels, or one number for all of them. */
function broadcastTo(bias: TensorProto, dims: readonly number[]): TensorProto {
  const count = dims.reduce((a, b) => a * b, 1), values = floatsOf(bias);
  return withFloats(bias, dims, values.length === count ? values : new Float32Array(count).fill(values[0]!));
}

/** Leaves out constants that were read before and that no node reads any more. */
function withoutUnread(graph: GraphProto, node: NodeProto[], initializer: TensorProto[]): { node: NodeProto[]; initializer: TensorProto[] } {
  const replaced = node.length !== graph.node.length || node.some((value, i) => value !== graph.node[i]);
  if (!replaced) return { node, initializer };
  const readBefore = new Set(graph.node.flatMap(({ input }) => input));
  const read = new Set([...node.flatMap(({ input }) => input), ...graph.output.map(({ name }) => name), ...graph.input.map(({ name }) => name)]);
  const subgraphs = graph.node.some((value) => value.attribute.some(({ g, graphs }) => g !== undefined || graphs.length > 0));
  const unread = (name: string): boolean => !subgraphs && readBefore.has(name) && !read.has(name);
  return {
    node: node.filter((value) => value.opType !== 'Constant' || !unread(value.output[0]!)),
    initializer: initializer.filter(({ name }) => !unread(name)),
  };
}
