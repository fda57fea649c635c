/** Branches that are added to a shortcut, or that scale what passes by: a group whose channels are read there alone can go as a whole. */
import { LRUCache } from 'lru-cache';
import type { NodeProto } from 'onnx-buf';
import { intAttribute } from '../onnx/attributes.ts';
import type { GraphView } from '../onnx/graphView.ts';
import type { Atoms } from './atoms.ts';
import { type GraphFacts, positive } from './nodeAxes.ts';
import { elementwise } from './rules/elementwise.ts';
import { ruleOf } from './rules/registry.ts';
import type { AtomUnits } from './structure.ts';
import type { Analysis, KeptUnits } from './types.ts';

type FoundLayer = GraphFacts['layers'][number];

/** A layer that answers with its bias, and the value that this is: its output, or for a MatMul what the following Add makes of it. */
export interface ConstantLayer { readonly layer: FoundLayer; readonly value: string }

/** What changes where groups lose all their channels. */
export interface Removal {
  /** Nodes that are not needed any more, by their first output. */
  readonly nodes: ReadonlySet<string>;
  /** Constants that only these read. */
  readonly lost: ReadonlySet<string>;
  /** Layers that have nothing left to read: they answer with their bias, whatever the data. */
  readonly constants: readonly ConstantLayer[];
  /** Values that are the same at every position now: sizes of 1 but along channels. */
  readonly unvarying: ReadonlySet<string>;
  /** Inputs that a Concat goes without, by its output. */
  readonly operands: ReadonlyMap<string, readonly number[]>;
  /** Where branches that are constant now meet values that vary. */
  readonly joins: readonly Join[];
}

/** A value that a branch ends in, and what an operator makes of it and the values beside it. */
export interface Join { readonly opType: string; readonly branch: string; readonly result: string }

export const keyOf = ({ output }: NodeProto): string => output.find((name) => name !== '') ?? '';

/** Axis of a layer's output along which its bias lies; undefined for operators whose output can't stand for itself. */
export function channelAxis({ opType, node, weight, bias, output }: FoundLayer, { axes, view }: GraphFacts): number | undefined {
  const rank = axes.shapeOf(output)?.length ?? 0;
  if (opType === 'MatMul') return node.input[1] === weight && rank > 1 ? rank - 1 : undefined;
  if (opType !== 'Conv' && opType !== 'Gemm') return undefined;
  const own = node.input[2] ?? '', scaled = node.attribute.some(({ name, f }) => name === 'beta' && f !== 1);
  return node.input[1] === weight && (own === '' || own === bias && view.constants.has(own)) && !scaled ? 1 : undefined;
}

/** The value that a layer's bias has been added to: its output, or that of the Add which does it. */
export function biasedOutput({ opType, output, bias }: Pick<FoundLayer, 'opType' | 'output' | 'bias'>, view: GraphView): string {
  const [use, another] = opType === 'MatMul' && bias !== '' && !view.isOutput(output) ? view.usesOf(output) : [];
  return use && !another && use.node.opType === 'Add' && use.node.input[1 - use.index] === bias ? use.node.output[0]! : output;
}

/**
 * What goes when values lose all positions of an axis: nodes up to the layers that read them, whose outputs are then constant, until elementwise operators
 * unite these with values that still vary.
 * @param isEmpty whether a value would have an axis without positions
 * @returns undefined where the rest would not be a network: something else reads the values, or nothing else gives a result its shape
 */
function removalOf(facts: GraphFacts, isEmpty: (value: string) => boolean): Removal | undefined {
  const { view, axes } = facts, layers = new Map(facts.layers.map((layer) => [layer.output, layer]));
  const nodes = new Set<string>(), constants: ConstantLayer[] = [], biased = new Map<string, FoundLayer>(), unvarying = new Set<string>(), operands = new Map<string, readonly number[]>(), joins: Join[] = [];
  const sameShape = (a: string, b: string): boolean => axes.shapeOf(a)?.join() === axes.shapeOf(b)?.join();
  for (const node of view.nodes) {
    if (!node.output.some(isEmpty) && !node.input.some((value) => isEmpty(value) || unvarying.has(value))) continue;
    const inputs = node.input.filter((value) => value !== ''), outputs = node.output.filter((value) => value !== ''), [output] = outputs;
    const emptied = outputs.filter(isEmpty);
    if (emptied.length > 0) {
      if (emptied.length < outputs.length || outputs.some((value) => view.isOutput(value) || view.capturedBySubgraphs.has(value))) return undefined;
      nodes.add(keyOf(node));
      continue;
    }
    const empty = inputs.filter(isEmpty), flat = inputs.filter((value) => unvarying.has(value));
    if (output === undefined || outputs.length > 1) return undefined;
    const layer = layers.get(output), summed = biased.get(output);
    if (summed) {
      nodes.add(keyOf(node));
      constants.push({ layer: summed, value: output });
      unvarying.add(output);
    } else if (layer && empty.includes(layer.input) && channelAxis(layer, facts) !== undefined) {
      nodes.add(keyOf(node));
      unvarying.add(output);
      const value = biasedOutput(layer, view);
      if (value === output) constants.push({ layer, value }); else biased.set(value, layer);
    } else if (node.opType === 'Concat' && flat.length === 0) {
      const axis = positive(intAttribute(node, 'axis', 0), axes.shapeOf(output)?.length ?? 0), gone = [...node.input.keys()].filter((i) => isEmpty(node.input[i]!));
      if (gone.length === inputs.length || gone.some((i) => (axes.shapeOf(node.input[i]!) ?? []).length <= axis)) return undefined;
      operands.set(output, gone);
    } else if (node.opType === 'Transpose' && flat.length > 0) {
      unvarying.add(output);
    } else {
      const wise = ruleOf(node) === elementwise[node.opType] || (node.opType === 'BatchNormalization' && intAttribute(node, 'training_mode', 0) === 0);
      const varying = inputs.filter((value) => !unvarying.has(value) && !facts.known.contents.has(value)); // the data's own sizes, not those of a table
      if (!wise || empty.length > 0) return undefined;
      if (varying.length > 0 ? !varying.some((value) => sameShape(value, output)) : !flat.every((value) => sameShape(value, output))) return undefined;
      if (varying.length === 0) unvarying.add(output); else joins.push(...flat.map((branch): Join => ({ opType: node.opType, branch, result: output })));
    }
    if (unvarying.has(output) && (view.isOutput(output) || view.capturedBySubgraphs.has(output))) return undefined;
  }
  const { unread, read } = readingsWithout(facts, nodes, operands);
  for (const node of unread) nodes.add(keyOf(node));
  for (const name of nodes) operands.delete(name);
  const answers = constants.filter(({ value }) => read.has(value));
  return { nodes, constants: answers, lost: lostConstants(facts, nodes, answers), unvarying, operands, joins: joins.filter(({ result }) => !nodes.has(result)) };
}

/** What nodes read once others are gone, and nodes that then give nothing that is read. */
function readingsWithout({ view }: GraphFacts, gone: ReadonlySet<string>, operands: ReadonlyMap<string, readonly number[]>): { unread: NodeProto[]; read: ReadonlySet<string> } {
  const read = new Set<string>([...view.outputs, ...view.capturedBySubgraphs.keys()]), unread: NodeProto[] = [];
  for (const node of view.nodes.toReversed()) {
    if (gone.has(keyOf(node))) continue;
    if (!node.output.some((value) => read.has(value))) { unread.push(node); continue; }
    const without = operands.get(keyOf(node));
    node.input.forEach((value, i) => { if (value !== '' && !without?.includes(i)) read.add(value); });
  }
  return { unread, read };
}

/** Constants that only nodes read which go. */
function lostConstants({ view }: GraphFacts, nodes: ReadonlySet<string>, answers: readonly ConstantLayer[]): Set<string> {
  const biases = new Set(answers.map(({ layer }) => layer.bias));
  return new Set([...view.constants.keys()].filter((name) => { const uses = view.usesOf(name); return !biases.has(name) && uses.length > 0 && uses.every(({ node }) => nodes.has(keyOf(node))) && !view.capturedBySubgraphs.has(name); }));
}

/** Which groups can lose all their channels, each alone and all together, and what then goes with them. */
export class Branches {
  /** Groups that can, by their place in the analysis, and what goes with each alone. */
  readonly removable: ReadonlyMap<number, Removal>;
  private readonly facts: GraphFacts;
  /** For values with axes that could be emptied: the groups that each of these axes needs, one of them at least. */
  private readonly emptiedBy = new Map<string, readonly (readonly number[])[]>();
  private readonly known = new LRUCache<string, { readonly removal: Removal | undefined }>({ max: 500 });

  constructor(facts: GraphFacts, groups: number, atoms: Atoms, atomUnits: ReadonlyMap<number, AtomUnits>) {
    this.facts = facts;
    const whole = new Map<number, readonly number[]>(); // groups that an atom's positions belong to, where none of them always stays
    for (const [atom, { groupOf }] of atomUnits) if (!groupOf.includes(-1)) whole.set(atom, [...new Set(groupOf)]);
    for (const value of facts.axes.values) {
      const own = facts.axes.axesOf(value).flatMap((axis) => atoms.of(axis).flatMap((atom) => (whole.has(atom) ? [whole.get(atom)!] : [])));
      if (own.length > 0) this.emptiedBy.set(value, own);
    }
    const alone = new Map<number, Removal>(), together = new Map<number, Removal>();
    for (let group = 0; group < groups; group++) {
      const removal = this.without([group]);
      if (removal) alone.set(group, removal);
    }
    if (alone.size === 0 || this.without([...alone.keys()])) { this.removable = alone; return; }
    for (const [group, removal] of alone) if (this.without([...together.keys(), group])) together.set(group, removal);
    this.removable = together;
  }

  /** What goes where groups lose all their channels; undefined where the rest would not be a network. @param groups their places in the analysis, ascending */
  without(groups: readonly number[]): Removal | undefined {
    const key = groups.join(), known = this.known.get(key), gone = new Set(groups);
    if (known) return known.removal;
    const removal = removalOf(this.facts, (value) => this.emptiedBy.get(value)?.some((needed) => needed.every((group) => gone.has(group))) ?? false);
    this.known.set(key, { removal });
    return removal;
  }
}

/** What goes with the groups of which a choice keeps nothing; undefined where there are none. */
export function removalFor({ groups, structure }: Pick<Analysis, 'groups' | 'structure'>, kept: KeptUnits): Removal | undefined {
  const gone = groups.flatMap(({ id }, i) => (kept.get(id)?.length === 0 ? [i] : []));
  return gone.length > 0 ? structure.branches.without(gone) : undefined;
}
