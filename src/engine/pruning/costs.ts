import type { NodeProto } from 'onnx-buf';
import { dimsOf, isFloatTensor } from '../onnx/tensor.ts';
import type { AxisId } from './axes.ts';
import { type Removal, keyOf, removalFor } from './branches.ts';
import type { Structure } from './structure.ts';
import type { Analysis, KeptUnits, Layer } from './types.ts';

/** How many positions of an atom stay, as a sum over groups: positions that always stay, plus kept units times their multiplicity. */
interface AtomSize {
  readonly fixed: number;
  /** multiplicity: positions a unit has in the atom; one number where it is the same for every unit. */
  readonly parts: readonly { readonly group: number; readonly multiplicity: number | Int32Array }[];
}
/** constant * product of atom sizes; `factors` index CostModel.sizes, repeated where an atom occurs more than once. */
interface Term {
  readonly constant: number;
  readonly factors: readonly number[];
  /** The node that costs it or the constant that it is the size of: it is nothing where these go. */
  readonly of?: string;
}

/** Costs of a model as sums of products of atom sizes: exact for every set of kept units, and cheap to evaluate. */
interface CostModel {
  readonly sizes: readonly AtomSize[];
  /** Of all samples of the run. */
  readonly macs: readonly Term[];
  readonly samples: number;
  readonly params: readonly Term[];
  /** Size of each layer's weight along its input and its output channels. */
  readonly widths: readonly { readonly ins: Term; readonly outs: Term }[];
}

/**
 * Samples in the run that found the shapes, which a model may fix: the size of its first input's first axis, where every multiplication is made once for each position of that. 1 where that
 * is not so, as in attention over that axis, or not known, as behind a Reshape that folds others into it. Steps of time are no samples.
 */
function samplesOf({ facts: { axes, view }, atoms }: Structure): number {
  const [input = ''] = view.inputs, [batch, ...others] = axes.shapeOf(input)?.length ? atoms.of(axes.axis(input, 0)) : [];
  if (batch === undefined || others.length > 0) return 1;
  const isTime = (node: NodeProto, [time]: readonly AxisId[]): boolean => /^(LSTM|GRU|RNN)$/.test(node.opType) && atoms.of(time!).includes(batch);
  const once = (factors: readonly AxisId[]): boolean => factors.flatMap((axis) => atoms.of(axis)).filter((atom) => atom === batch).length === 1;
  return axes.costs.every(({ node, axes: factors }) => once(factors) && !isTime(node, factors)) ? atoms.sizeOf(batch) : 1;
}

function buildCostModel(analysis: Omit<Analysis, 'macs' | 'params'>): CostModel {
  const { facts: { axes, view }, atoms, atomUnits, fixedParams } = analysis.structure;
  const sizes: AtomSize[] = [], indexOf = new Map<number, number>();
  const sizeIndex = (atom: number): number => {
    const known = indexOf.get(atom);
    if (known !== undefined) return known;
    const { groupOf, unitOf } = atomUnits.get(atom)!;
    const counts = new Map<number, Int32Array>();
    let fixed = 0;
    groupOf.forEach((group, i) => {
      if (group < 0) { fixed++; return; }
      const own = counts.get(group) ?? new Int32Array(analysis.groups[group]!.channels);
      own[unitOf[i]!]! += 1;
      counts.set(group, own);
    });
    indexOf.set(atom, sizes.length);
    sizes.push({ fixed, parts: [...counts].map(([group, own]) => ({ group, multiplicity: own.every((count) => count === own[0]) ? own[0]! : own })) });
    return sizes.length - 1;
  };
  const term = (constant: number, factors: readonly AxisId[]): Term => {
    const indices: number[] = [];
    let fixed = constant;
    for (const axis of factors) {
      const own = atoms.of(axis);
      if (own.length === 0) fixed *= axes.sizeOf(axis);
      for (const atom of own) if (atomUnits.has(atom)) indices.push(sizeIndex(atom)); else fixed *= atoms.sizeOf(atom);
    }
    return { constant: fixed, factors: indices };
  };
  const macs = axes.costs.map(({ node, constant, axes: factors }) => ({ ...term(constant, factors), of: keyOf(node) }));
  const weights = [...new Map([...view.initializers, ...view.constants])].filter(([, tensor]) => isFloatTensor(tensor) && dimsOf(tensor).length > 0);
  const widths = analysis.layers.map(({ node, weight, inAxis, outAxis }) => ({ ins: { ...term(1, [axes.axis(weight, inAxis)]), of: keyOf(node) }, outs: { ...term(1, [axes.axis(weight, outAxis)]), of: keyOf(node) } }));
  return { sizes, macs, samples: samplesOf(analysis.structure), widths, params: [...weights.map(([name]) => ({ ...term(1, axes.axesOf(name)), of: name })), { constant: fixedParams, factors: [] }] };
}

const models = new WeakMap<object, CostModel>();
function costModelOf(analysis: Omit<Analysis, 'macs' | 'params'>): CostModel {
  const known = models.get(analysis.structure);
  if (known) return known;
  const built = buildCostModel(analysis);
  models.set(analysis.structure, built);
  return built;
}

function atomSizes(analysis: Omit<Analysis, 'macs' | 'params'>, { sizes }: CostModel, kept: KeptUnits): Float64Array {
  const units = analysis.groups.map(({ id }) => kept.get(id));
  return Float64Array.from(sizes, ({ fixed, parts }) => parts.reduce((sum, { group, multiplicity }) => {
    const own = units[group];
    if (typeof multiplicity === 'number') return sum + multiplicity * (own?.length ?? analysis.groups[group]!.channels);
    return sum + (own ? own.reduce((total, unit) => total + multiplicity[unit]!, 0) : multiplicity.reduce((total, count) => total + count, 0));
  }, fixed));
}

/** Sizes of a choice's atoms, and what goes with the groups that it does without. */
interface Sizes { readonly atoms: Float64Array; readonly removal: Removal | undefined }

function sizesOf(analysis: Omit<Analysis, 'macs' | 'params'>, model: CostModel, kept: KeptUnits): Sizes {
  return { atoms: atomSizes(analysis, model, kept), removal: removalFor(analysis, kept) };
}

function evaluate({ constant, factors, of }: Term, { atoms, removal }: Sizes): number {
  if (removal && of !== undefined && (removal.nodes.has(of) || removal.lost.has(of))) return 0;
  return factors.reduce((value, factor) => value * atoms[factor]!, constant);
}

/**
 * Multiply-accumulates for one sample (Conv, ConvTranspose, Gemm, MatMul, Einsum, recurrent layers and attention operators, computed operands included) and float parameters of
 * the model pruned to `kept`: exactly those of the pruned file.
 */
export function costs(analysis: Omit<Analysis, 'macs' | 'params'>, kept: KeptUnits): { macs: number; params: number } {
  const model = costModelOf(analysis), sizes = sizesOf(analysis, model, kept);
  const total = (terms: readonly Term[]): number => terms.reduce((sum, term) => sum + evaluate(term, sizes), 0);
  return { macs: total(model.macs) / model.samples, params: total(model.params) };
}

/** How many samples the run held that the shapes are of: the batch that a model fixes, 1 where it can't be told. */
export const samplesInRun = (analysis: Omit<Analysis, 'macs' | 'params'>): number => costModelOf(analysis).samples;

/** Multiply-accumulates for one sample of each layer of `analysis.layers`, in their order, when pruned to `kept`. */
export function layerMacs(analysis: Omit<Analysis, 'macs' | 'params'>, kept: KeptUnits): Float64Array {
  const model = costModelOf(analysis), sizes = sizesOf(analysis, model, kept);
  const byNode = new Map<object, number>();
  analysis.structure.facts.axes.costs.forEach(({ node }, i) => { byNode.set(node, (byNode.get(node) ?? 0) + evaluate(model.macs[i]!, sizes)); });
  return Float64Array.from(analysis.layers, ({ node }: Pick<Layer, 'node'>) => (byNode.get(node) ?? 0) / model.samples);
}

/** Sizes of each layer's weight along its input channels (per convolution group) and its output channels, when pruned to `kept`. */
export function layerWidths(analysis: Omit<Analysis, 'macs' | 'params'>, kept: KeptUnits): { ins: number; outs: number }[] {
  const model = costModelOf(analysis), sizes = sizesOf(analysis, model, kept);
  return model.widths.map(({ ins, outs }) => ({ ins: evaluate(ins, sizes), outs: evaluate(outs, sizes) }));
}
