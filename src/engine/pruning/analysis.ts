import type { GraphProto, ModelProto, NodeProto } from 'onnx-buf';
import { UnsupportedModelError } from '../errors.ts';
import { subgraphsOf } from '../onnx/attributes.ts';
import { GraphView, nodeLabel } from '../onnx/graphView.ts';
import { opsetOf } from '../onnx/modelFile.ts';
import { dimsOf, elementCount, isFloatTensor } from '../onnx/tensor.ts';
import { findShapes } from '../runtime/shapes.ts';
import { Atoms } from './atoms.ts';
import { costs, layerMacs } from './costs.ts';
import { Axes, type AxisId } from './axes.ts';
import { Branches, biasedOutput } from './branches.ts';
import { makeGroups } from './grouping.ts';
import { constantDerived, foldWeights, type FoldedWeights, withFolded } from './foldWeights.ts';
import { knownValues } from './knownValues.ts';
import { NodeAxes, type GraphFacts } from './nodeAxes.ts';
import { Positions } from './positions.ts';
import { ruleOf } from './rules/registry.ts';
import type { Structure } from './structure.ts';
import type { Analysis, Layer, PruningGroup } from './types.ts';
import { unshare } from './unshare.ts';
import { Zeroing } from './zeroing.ts';

type Model = ModelProto & { graph: GraphProto };

const quantised = /^(QuantizeLinear|DequantizeLinear|DynamicQuantize\w+|QLinear\w+|QOrdered\w+|\w+Integer\w*|QGemm|QAttention|QEmbed\w+|QMoE|MatMulNBits|MatMulBnb4|\w+Quantized)$/;

/** @throws {UnsupportedModelError} for a graph that holds quantised operators */
function refuseQuantised(graph: GraphProto): void {
  for (const node of graph.node) {
    if (quantised.test(node.opType)) throw new UnsupportedModelError(`The model is quantised: ${nodeLabel(node)}. Compress the float model first and quantise the result afterwards.`);
    for (const inner of subgraphsOf(node)) refuseQuantised(inner);
  }
}

/**
 * Which channels of a model can be removed, in which units, and what that costs and saves.
 * Runs the model once on synthetic inputs to know the shapes of all values.
 * @param options.inputShapes shapes of graph inputs that the model leaves open and that can't be guessed
 * @throws {UnsupportedModelError} for quantised or invalid graphs  @throws {InputError} when the model does not run
 */
export async function analyse(model: Model, options: { inputShapes?: Readonly<Record<string, readonly number[]>>; batch?: number } = {}): Promise<Analysis> {
  refuseQuantised(model.graph);
  const { model: unshared, sources } = unshare(model);
  const folded = await foldWeights(unshared), own = withFolded(unshared, folded);
  const view = new GraphView(own.graph);
  const { shapes, small } = await findShapes(own, view, { batch: options.batch ?? 1, ...(options.inputShapes ? { given: options.inputShapes } : {}) });
  const facts: GraphFacts = { view, axes: new Axes(new Map([...(folded?.shapes ?? []), ...shapes])), opset: opsetOf(model), small, known: knownValues(view), sources, layers: [], generators: [] };
  relateAll(facts);
  return assemble(facts, folded);
}

/** @throws {UnsupportedModelError} where no channels can be removed: says why */
export function requireGroups({ groups, frozen }: Pick<Analysis, 'groups' | 'frozen'>, path: string): void {
  if (groups.length > 0) return;
  const reasons = [...new Set(frozen.map(({ reason }) => reason))].slice(0, 3).join('; ');
  throw new UnsupportedModelError(`${path} has no channels that can be removed${reasons ? ` (${reasons})` : ''}. Run "auto-compress inspect" on it for the details.`);
}

/** Constants that something is divided by: zeros in them are no way to make a quotient zero. */
function divisors(view: GraphView): Set<string> {
  const found = new Set<string>();
  const open = view.nodes.flatMap(({ opType, input }) => (opType === 'Div' ? [input[1] ?? ''] : opType === 'Reciprocal' || opType === 'Log' ? [input[0] ?? ''] : []));
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    if (found.has(name)) continue;
    found.add(name);
    const producer = view.producers.get(name);
    if (producer && !/^(Add|Max|Clip)$/.test(producer.opType)) open.push(...producer.input); // what is added to keeps it from zero
  }
  return found;
}

/** For each axis of a folded weight, the constants in its part of the graph that make it zero along that axis. */
function zeroRoutes(facts: GraphFacts, folded: FoldedWeights | undefined): Map<AxisId, readonly AxisId[]> {
  const routes = new Map<AxisId, readonly AxisId[]>();
  if (!folded) return routes;
  const inner: GraphFacts = { ...facts, view: folded.region, axes: new Axes(folded.shapes), layers: [], generators: [] };
  relateAll(inner);
  const zeroing = new Zeroing(inner, divisors(folded.region)), summed = new Set(inner.axes.contractions.flatMap(({ operands }) => operands.map((axis) => inner.axes.classOf(axis))));
  const regrouped = new Set(inner.axes.relations.flatMap((relation) => (relation.kind === 'regroup' ? [...relation.as, ...relation.bs] : [])).map((axis) => inner.axes.classOf(axis)));
  for (const { name } of folded.tensors) {
    inner.axes.axesOf(name).forEach((own, k) => {
      // where other positions depend on this one (a norm over the axis), zeros would change them
      if (summed.has(inner.axes.classOf(own)) || (summed.size > 0 && regrouped.has(inner.axes.classOf(own)))) return;
      const constants = zeroing.constantsFor(own);
      if (!constants?.every((axis) => inner.axes.classOf(axis) === inner.axes.classOf(own))) return;
      const outer = facts.axes.axis(name, k);
      routes.set(outer, constants.map((axis) => { // the constant is not in the folded graph; its positions are the weight's
        const { value, axis: at } = inner.axes.ownerOf(axis), same = facts.axes.axis(value, at);
        facts.axes.alias(same, outer);
        return same;
      }));
    });
  }
  return routes;
}

/** Runs every node's rule. A rule that fails on an unusual node freezes what it touches. */
function relateAll(facts: GraphFacts): void {
  const { view, axes } = facts;
  const freezeValue = (value: string, reason: string): void => { for (const axis of axes.axesOf(value)) axes.freeze(axis, reason); };
  for (const value of view.inputs) freezeValue(value, 'input of the graph');
  for (const value of view.outputs) freezeValue(value, 'output of the graph');
  for (const value of view.capturedBySubgraphs.keys()) freezeValue(value, 'read inside a subgraph');
  for (const name of view.initializers.keys()) if (!view.constants.has(name)) freezeValue(name, 'default of a graph input');
  for (const node of view.nodes) {
    const n = new NodeAxes(node, facts);
    if (node.output.some((value) => value !== '' && !axes.shapeOf(value)) || node.input.some((value) => value !== '' && !axes.shapeOf(value))) {
      n.freezeAll(`${node.opType} of values that are not tensors`);
      continue;
    }
    try { ruleOf(node).relate(n); } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      n.freezeAll(`unusual ${nodeLabel(node)}`);
    }
  }
}

function assemble(facts: GraphFacts, folded: FoldedWeights | undefined): Analysis {
  const { view, axes } = facts, foldedNames = new Set(folded?.tensors.map(({ name }) => name));
  const zeroing = new Zeroing(facts, foldedNames, zeroRoutes(facts, folded));
  const consumers = new Set<AxisId>(), pureConsumers = new Set<AxisId>();
  const derived = constantDerived(view);
  axes.freezeThroughRegroups();
  for (const { node, operands } of axes.contractions) {
    if (axes.frozenReason(operands[0]!) !== undefined) continue;
    const isWeight = (axis: AxisId): boolean => derived.has(axes.ownerOf(axis).value);
    const ordered = [...operands].sort((a, b) => Number(isWeight(b)) - Number(isWeight(a)));
    const side = ordered.find((axis) => zeroing.constantsFor(axis) !== undefined);
    if (side === undefined) { axes.freeze(operands[0]!, `summed by ${node.opType} where no weight can be made zero`); continue; }
    for (const constant of zeroing.constantsFor(side)!) {
      consumers.add(constant);
      if (isWeight(side)) pureConsumers.add(constant);
    }
  }
  const products = productsOfConstants(facts, derived);
  const generators = [...new Set([...facts.generators, ...products.flatMap(({ own }) => own)].flatMap((axis) => (foldedNames.has(axes.ownerOf(axis).value) ? [axis] : derived.has(axes.ownerOf(axis).value) ? zeroing.constantsFor(axis) ?? [] : [])))];
  for (const axis of generators) pureConsumers.delete(axis);
  const atoms = new Atoms(axes);
  const positions = new Positions(axes, atoms);
  const { groups: made, atomUnits } = makeGroups(view, axes, atoms, positions, { generators, consumers, pureConsumers, layers: facts.layers });
  const branches = new Branches(facts, made.length, atoms, atomUnits), groups = made.map((group, i): PruningGroup => ({ ...group, removable: branches.removable.has(i) }));
  const structure: Structure = { facts, folded, atoms, atomUnits, branches, fixedParams: subgraphParams(view.graph) };
  const found = { groups, frozen: wholeLayers(facts, products, atoms, positions), layers: facts.layers.filter(({ weight }) => !foldedNames.has(weight)).map((layer): Layer => ({ ...layer, biased: biasedOutput(layer, view), macs: 0, params: paramsOf(view, layer) })), structure };
  const macs = layerMacs(found, new Map());
  return { ...found, ...costs(found, new Map()), layers: found.layers.map((layer, i) => ({ ...layer, macs: macs[i]! })) };
}

function paramsOf(view: GraphView, { weight, bias }: Pick<Layer, 'weight' | 'bias'>): number {
  return [weight, bias].reduce((sum, name) => { const tensor = view.constants.get(name); return sum + (tensor ? elementCount(dimsOf(tensor)) : 0); }, 0);
}

/** A product with constants, and their axes that its result has from no other operand: what it makes output channels along. */
interface ConstantProduct { readonly node: NodeProto; readonly own: readonly AxisId[] }

/** Products of data and constants, whether or not they are layers: also an Einsum that makes several axes, or a batch of matrices. */
function productsOfConstants({ axes }: GraphFacts, derived: ReadonlySet<string>): ConstantProduct[] {
  const nodes = new Set(axes.contractions.filter(({ operands }) => operands.length > 1).map(({ node }) => node));
  return [...nodes].flatMap((node) => {
    const [output = ''] = node.output;
    const own = axes.axesOf(output).flatMap((axis) => {
      const [link, ...others] = (axes.links.get(axis) ?? []).filter((each) => each.node === node);
      return link && others.length === 0 && axes.sizeOf(axis) > 1 && derived.has(axes.ownerOf(link.axis).value) ? [link.axis] : [];
    });
    return own.length > 0 && !derived.has(output) ? [{ node, own }] : [];
  });
}

/** Layers, and products with constants that are none, of which no output channel can be removed, and why. */
function wholeLayers({ axes, layers }: GraphFacts, products: readonly ConstantProduct[], atoms: Atoms, positions: Positions): { name: string; reason: string }[] {
  const known = new Set(layers.map(({ node }) => node));
  const made = [...layers.map(({ name, weight, outAxis }) => ({ name, along: [axes.axis(weight, outAxis)] })), ...products.filter(({ node }) => !known.has(node)).map(({ node, own }) => ({ name: node.name || node.output[0]!, along: own }))];
  return made.flatMap(({ name, along }) => {
    const factors = along.flatMap((axis) => atoms.of(axis));
    const free = factors.some((atom) => { for (let i = 0; i < atoms.sizeOf(atom); i++) if (positions.classOf(atom, i) >= 0) return true; return false; });
    const reason = factors.map((atom) => positions.reasonFor(atom, 0)).find((text) => text !== undefined);
    return free ? [] : [{ name, reason: reason ?? 'it has a single output channel' }];
  });
}

/** Float parameters inside the subgraphs of a graph's nodes. */
function subgraphParams(graph: GraphProto): number {
  return graph.node.flatMap(subgraphsOf).reduce((sum, inner) => sum + subgraphParams(inner)
    + inner.initializer.filter(isFloatTensor).reduce((own, tensor) => own + elementCount(dimsOf(tensor)), 0), 0);
}
