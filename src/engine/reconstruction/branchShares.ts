import type { GraphProto, ModelProto } from 'onnx-buf';
import { valueInfo } from '../onnx/buildModel.ts';
import { copyOf } from '../onnx/copyOf.ts';
import type { Analysis } from '../pruning/types.ts';
import { Session, type SessionOptions, type Tensor } from '../runtime/session.ts';

/** Sum over channels of the variance over images and positions. @param dims images first, then channels where there are more than two, else channels last */
function variance({ data, dims }: Tensor): number {
  const values = data as Float32Array, channelsLast = dims.length < 4, channels = dims[channelsLast ? dims.length - 1 : 1]!, inner = channelsLast ? 1 : dims.slice(2).reduce((a, b) => a * b, 1);
  const sums = new Float64Array(channels), squares = new Float64Array(channels), each = values.length / channels;
  for (let i = 0; i < values.length; i++) {
    const channel = Math.floor(i / inner) % channels, value = values[i]!;
    sums[channel]! += value;
    squares[channel]! += value * value;
  }
  return squares.reduce((total, square, c) => total + square / each - (sums[c]! / each) ** 2, 0);
}

/**
 * How much of the sums behind shortcuts the branches make that can go as a whole: the variance of what a branch adds, relative to that of the sum. Residual networks get by
 * without many of their branches (Veit, Wilber, Belongie 2016, arXiv 1605.06431), and this tells without which.
 * @param feeds calibration inputs, of which the first chunk is run once
 * @returns by group; none for a group that scales what passes by
 */
export async function branchShares(model: ModelProto & { graph: GraphProto }, analysis: Analysis, feeds: Readonly<Record<string, readonly Tensor[]>>, options: SessionOptions = {}): Promise<ReadonlyMap<string, number>> {
  const branches = [...analysis.structure.branches.removable].filter(([, { joins }]) => joins.length > 0 && joins.every(({ opType }) => opType === 'Add' || opType === 'Sum'));
  if (branches.length === 0) return new Map();
  const values = [...new Set(branches.flatMap(([, { joins }]) => joins.flatMap(({ branch, result }) => [branch, result])))];
  const session = await Session.create(copyOf(model, { graph: copyOf(model.graph, { output: values.map((value) => ({ ...valueInfo(value), type: undefined }) as never) }) }), options);
  const results = await session.run(Object.fromEntries(Object.entries(feeds).map(([name, [first]]) => [name, first!])), values).finally(() => session.release());
  const variances = new Map(values.map((value) => [value, variance(results[value]!)])), share = (branch: string, result: string): number => variances.get(branch)! / Math.max(variances.get(result)!, 1e-12);
  return new Map(branches.map(([group, { joins }]) => [analysis.groups[group]!.id, Math.min(1, joins.reduce((sum, { branch, result }) => sum + share(branch, result), 0))]));
}
