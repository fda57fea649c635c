import type { GraphView } from '../onnx/graphView.ts';
import { rawBytes } from '../onnx/tensor.ts';
import type { Axes, AxisId } from './axes.ts';
import { type GraphFacts, NodeAxes } from './nodeAxes.ts';
import { ruleOf } from './rules/registry.ts';

const depthLimit = 2000;

/**
 * Finds the constants that must be zero along an axis for a value to be zero at dropped positions of that axis: a weight itself, or the
 * rows and biases of the layer that computes the value. This is how "zero every consumer's dropped indices" equals pruning.
 */
export class Zeroing {
  private readonly facts: GraphFacts;
  private readonly axes: Axes;
  private readonly view: GraphView;
  private readonly found = new Map<AxisId, readonly AxisId[] | undefined>();

  /** Constants that several layers share: zeroing them for one would change the others. */
  private readonly shared: ReadonlySet<string>;

  private readonly excluded: ReadonlySet<string>;

  /**
   * @param excluded constants that must not be made zero: weights that the original graph computes (see foldWeights)
   * @param routes what makes them zero, by axis
   */
  constructor(facts: GraphFacts, excluded: ReadonlySet<string> = new Set(), routes: ReadonlyMap<AxisId, readonly AxisId[]> = new Map()) {
    for (const [axis, constants] of routes) this.found.set(axis, constants);
    this.excluded = excluded;
    this.facts = facts;
    this.axes = facts.axes;
    this.view = facts.view;
    this.shared = new Set([...facts.sources.keys(), ...facts.sources.values()]);
  }

  /** @returns axes of constants; undefined where no zeroing makes the value zero */
  constantsFor(axis: AxisId, depth = 0): readonly AxisId[] | undefined {
    if (this.found.has(axis)) return this.found.get(axis);
    this.found.set(axis, undefined);
    const result = depth > depthLimit ? undefined : this.search(axis, depth);
    this.found.set(axis, result);
    return result;
  }

  private search(axis: AxisId, depth: number): readonly AxisId[] | undefined {
    const { value } = this.axes.ownerOf(axis);
    const constant = this.view.constants.get(value);
    if (constant && this.shared.has(value)) return rawBytes(constant).every((byte) => byte === 0) ? [] : undefined;
    if (constant) return this.excluded.has(value) ? undefined : [axis];
    const node = this.view.producers.get(value);
    const rule = node && ruleOf(node).zeros;
    if (!node || !rule) return undefined;
    const zeros = typeof rule === 'function' ? rule(new NodeAxes(node, this.facts)) : rule;
    if (!zeros) return undefined;
    if (zeros === 'always') return [];
    const links = this.axes.links.get(axis) ?? [];
    if (links.length === 0) return undefined;
    if (zeros === 'any') {
      // a constant factor is the shortest way
      const ordered = [...links].sort((a, b) => Number(this.isConstant(b.axis)) - Number(this.isConstant(a.axis)));
      for (const link of ordered) {
        const result = this.constantsFor(link.axis, depth + 1);
        if (result) return result;
      }
      return undefined;
    }
    const wanted = zeros === 'every' ? node.input.map((_, i) => i) : zeros === 'linked' ? [...new Set(links.map(({ input }) => input))] : zeros;
    const all = new Set<AxisId>();
    for (const input of wanted) {
      if (!node.input[input]) continue;
      const linked = links.filter((link) => link.input === input);
      if (linked.length === 0) return undefined;
      const own = linked.filter((link) => linked.length === 1 || this.axes.frozenReason(link.axis) === undefined); // factors that lose nothing need no zeros
      for (const link of own) {
        const result = this.constantsFor(link.axis, depth + 1);
        if (!result) return undefined;
        for (const constant of result) all.add(constant);
      }
    }
    return [...all];
  }

  private isConstant(axis: AxisId): boolean { return this.view.constants.has(this.axes.ownerOf(axis).value); }
}
