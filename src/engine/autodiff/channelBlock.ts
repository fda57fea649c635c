import { GraphBuilder } from '../onnx/graphBuilder.ts';
import type { Convolution } from '../onnx/windows.ts';
import { Session, type Tensor, floats } from '../runtime/session.ts';
import { appendBlockedDepthwiseGradient, appendBlockedWeightGradient } from './blockedLayout.ts';
import { product } from './rule.ts';

/** Blocks that processors have: 16 floats with AVX-512, 8 on other x64 ones; onnxruntime may have none of these operators for others. */
const blocks = [16, 8];
let found: Promise<number> | undefined;

/**
 * Channels of a block on this machine, 0 where onnxruntime has no blocked layout. Its operators are not documented, so they are believed only when gradients
 * that were found by them are those that ONNX's own operators find.
 */
export const channelBlock = (): Promise<number> => (found ??= tried());

/** A gradient that is found in two ways, by the values of `x` and `g`. */
interface Trial { readonly sizes: Convolution; plain(build: GraphBuilder, x: string, g: string): string; blocked(build: GraphBuilder, sizes: Convolution, x: string, g: string, block: number): string }

const windows = { input: [5, 6], output: [4, 3], kernel: [2, 2], strides: [1, 2], dilations: [1, 1], before: [0, 0], after: [0, 0] };
const exchanged = { dilations: [1, 2] };
const trials: readonly Trial[] = [
  { sizes: { ...windows, batch: 16, inChannels: 3, outChannels: 20, groups: 1 }, blocked: appendBlockedWeightGradient,
    plain: (build, x, g) => build.transpose(build.op('Conv', [build.transpose(x, [1, 0, 2, 3]), build.transpose(g, [1, 0, 2, 3])], exchanged), [1, 0, 2, 3]) },
  { sizes: { ...windows, batch: 2, inChannels: 12, outChannels: 12, groups: 12 }, blocked: appendBlockedDepthwiseGradient,
    plain: (build, x, g) => build.sum(build.reshape(build.op('Conv', [build.reshape(x, [1, 24, 5, 6]), build.reshape(g, [24, 1, 4, 3])], { ...exchanged, group: 24 }), [2, 12, 1, 2, 2]), [0]) },
];

async function tried(): Promise<number> {
  for (const block of blocks) if ((await Promise.all(trials.map((trial) => passes(trial, block)))).every(Boolean)) return block;
  return 0;
}

async function passes({ sizes, plain, blocked }: Trial, block: number): Promise<boolean> {
  const { batch, inChannels, outChannels, groups, input, output, kernel } = sizes, wavy = (dims: readonly number[], wave: (i: number) => number): Tensor => floats(Float32Array.from({ length: product(dims) }, (_, i) => wave(i)), dims);
  const x = wavy([batch, inChannels, ...input], Math.sin), g = wavy([batch, outChannels, ...output], (i) => Math.cos(i * i));
  const found = async (append: (build: GraphBuilder, x: string, g: string) => string): Promise<Float32Array> => {
    const build = new GraphBuilder();
    build.output(append(build, build.input('x', x.dims), build.input('g', g.dims)), 'gradient', [outChannels, inChannels / groups, ...kernel]);
    const session = await Session.create(build.model(), { threads: 1 });
    try { return (await session.run({ x, g }))['gradient']!.data as Float32Array; } finally { await session.release(); }
  };
  const wanted = await found(plain), got = await found((build, ...values) => blocked(build, sizes, ...values, block)).catch(() => undefined);
  return got?.every((value, i) => Math.abs(value - wanted[i]!) < 1e-3) ?? false;
}
