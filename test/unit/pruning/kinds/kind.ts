/** Small graphs of one kind of network each, and the check that all of them have to pass. */
import { analyse } from '../../../../src/engine/pruning/analysis.ts';
import { costs } from '../../../../src/engine/pruning/costs.ts';
import { uniformKept } from '../../../../src/engine/pruning/uniform.ts';
import { type Model, Network, expectExactPruning } from '../network.ts';

export interface Kind {
  /** Writes the network. @returns shapes of the inputs for a run */
  readonly build: (net: Network) => Readonly<Record<string, readonly number[]>>;
  readonly opset?: number;
  /** Changes what the builder can't say. */
  readonly finish?: (model: Model) => Model;
  /** Most of the multiply-accumulates that may be left when half of everything goes. */
  readonly macs: number;
  /** Reasons for layers that stay whole, besides being an output of the graph. */
  readonly frozen?: readonly string[];
}

export interface Outcome { readonly macs: number; readonly groups: readonly number[]; readonly frozen: readonly string[] }

/** Prunes a network of a kind to random and to half its channels. @throws when the result is not exactly the masked original */
export async function prunedKind({ build, opset = 17, finish = (model) => model }: Kind): Promise<Outcome> {
  const net = new Network(3), dims = build(net), model = finish(net.model(opset));
  const { analysis } = await expectExactPruning(model, dims, [1, 2]);
  const half = costs(analysis, uniformKept(await analyse(model), 0.5));
  const reasons = new Set(analysis.frozen.map(({ reason }) => reason).filter((reason) => reason !== 'output of the graph'));
  return { macs: analysis.macs === 0 ? 1 : half.macs / analysis.macs, groups: analysis.groups.map(({ channels }) => channels).sort((a, b) => a - b), frozen: [...reasons].sort() };
}
