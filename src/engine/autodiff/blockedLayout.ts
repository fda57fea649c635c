import type { GraphProto, ModelProto } from 'onnx-buf';
import { GraphBuilder } from '../onnx/graphBuilder.ts';
import { Session, floats } from '../runtime/session.ts';
import { product } from './rule.ts';
import type { Convolution } from './windows.ts';

/**
 * The operators of onnxruntime's blocked layout NCHWc, which its optimiser puts in the place of convolutions with constant weights: [batch, channels / block, ...spatial, block].
 * They take weights that change as well, if the graph lays these out as [out / block, in / block, ...kernel, block (in), block (out)].
 */
const domain = 'com.microsoft.nchwc';

/** Blocks that processors have: 16 floats with AVX-512, 8 with AVX2; others have none of these operators. */
const blocks = [16, 8];
let found: Promise<number> | undefined;

/**
 * Channels of a block on this machine, 0 where onnxruntime has no blocked layout. Its operators are not documented, so they are believed only when a gradient
 * that was found by them is the one that ONNX's own operators find.
 */
export const channelBlock = (): Promise<number> => (found ??= tried());

async function tried(): Promise<number> {
  const batch = 16, sizes: Convolution = { batch, inChannels: 3, outChannels: 20, groups: 1, input: [5, 6], output: [4, 3], kernel: [2, 2], strides: [1, 2], dilations: [1, 1], before: [0, 0], after: [0, 0] };
  const x = floats(Float32Array.from({ length: batch * 3 * 5 * 6 }, (_, i) => Math.sin(i)), [batch, 3, 5, 6]), g = floats(Float32Array.from({ length: batch * 20 * 4 * 3 }, (_, i) => Math.cos(i * i)), [batch, 20, 4, 3]);
  const plain = new GraphBuilder();
  plain.output(plain.transpose(plain.op('Conv', [plain.transpose(plain.input('x', x.dims), [1, 0, 2, 3]), plain.transpose(plain.input('g', g.dims), [1, 0, 2, 3])], { dilations: [1, 2] }), [1, 0, 2, 3]), 'gradient', [20, 3, 2, 2]);
  const run = async (model: ModelProto & { graph: GraphProto }): Promise<Float32Array> => {
    const session = await Session.create(model, { threads: 1 });
    try { return (await session.run({ x, g }))['gradient']!.data as Float32Array; } finally { await session.release(); }
  };
  const wanted = await run(plain.model());
  for (const block of blocks) {
    const build = new GraphBuilder();
    build.output(appendBlockedWeightGradient(build, sizes, build.input('x', x.dims), build.input('g', g.dims), block), 'gradient', [20, 3, 2, 2]);
    const got = await run(build.model()).catch(() => undefined);
    if (got?.every((value, i) => Math.abs(value - wanted[i]!) < 1e-3)) return block;
  }
  return 0;
}

/** Most that the multiplications of whole blocks may be of those of a convolution's own channels: with more, Conv is as fast. */
const mostWaste = 2;

/** Whether a convolution can be written in blocks, and its channels nearly fill them. */
export const fillsBlocks = ({ groups, kernel, inChannels, outChannels }: Convolution, block: number): boolean =>
  block > 0 && groups === 1 && kernel.length === 2 && inChannels % reordered === 0 && roundUp(inChannels, block) * roundUp(outChannels, block) <= mostWaste * inChannels * outChannels;

/** A convolution in blocks, for inputs and outputs in the usual layout. It has the padding of the sizes, which must not be negative; windows may stop short of the border. */
export function appendBlockedConvolution(build: GraphBuilder, x: string, w: string, bias: string, { inChannels, outChannels, kernel, strides, dilations, before, after }: Convolution, block: number): string {
  const [ins, outs] = [roundUp(inChannels, block), roundUp(outChannels, block)], area = product(kernel);
  const fill = (value: string, ...missing: number[]): string => (missing.every((count) => count === 0) ? value : build.op('Pad', [value, build.ints([...missing.map(() => 0), ...missing])]));
  const rows = inBlocks(build, fill(w, outs - outChannels, ins - inChannels, 0, 0), [outs / block, block, ins * area]); // [outs / block, ins, area, block]
  const filter = build.reshape(build.transpose(build.reshape(rows, [outs / block, ins / block, block, area, block]), [0, 1, 3, 2, 4]), [outs, ins, ...kernel]);
  const pads = [...before, ...after.map((pad) => Math.max(0, pad))], biases = bias === '' ? [] : [fill(bias, outs - outChannels)];
  const result = build.opOf(domain, 'Conv', [build.opOf(domain, 'ReorderInput', [x]), filter, ...biases], { kernel_shape: kernel, strides, dilations, pads, group: 1 });
  return build.opOf(domain, 'ReorderOutput', [result], { channels: outChannels });
}

/** Whether a convolution's weight gradient is found in blocks: for a kernel of one position matrix products are as fast. */
export const batchFillsBlocks = ({ batch, groups, kernel }: Convolution, block: number): boolean => block > 0 && batch % block === 0 && groups === 1 && kernel.length === 2 && product(kernel) > 1;

/**
 * The weight gradient [out, in, ...kernel] as one convolution over the images, which takes the batch for channels: of the input [in, batch, ...] by the output gradient [out, batch, ...] as its kernel, with
 * strides and dilations exchanged. It is about twice as fast as a matrix product for each position of the kernel (docs/decisions/autodiff.md).
 * @param x padded, so that every window is inside
 */
export function appendBlockedWeightGradient(build: GraphBuilder, { batch, inChannels, outChannels, output, kernel, strides, dilations }: Convolution, x: string, g: string, block: number): string {
  const seen = kernel.map((k, i) => (output[i]! - 1) * strides[i]! + (k - 1) * dilations[i]! + 1), images = batch / block;
  const rows = build.reshape(inBlocks(build, x, [images, block, inChannels * product(seen)]), [images, inChannels, product(seen) * block]);
  const input = build.reshape(build.transpose(rows, [1, 0, 2]), [inChannels, batch, ...seen]);

  const outs = roundUp(outChannels, block), area = product(output), missing = roundUp(outChannels, reordered) - outChannels;
  const whole = missing === 0 ? g : build.op('Pad', [g, build.ints([0, 0, 0, 0, 0, missing, 0, 0])]);
  const gradient = build.reshape(inBlocks(build, whole, [batch, outChannels + missing, area]), [images, block, outs / block, area, block]);
  const filter = build.reshape(build.transpose(gradient, [2, 0, 3, 1, 4]), [outs, batch, ...output]);

  const result = build.opOf(domain, 'Conv', [input, filter], { kernel_shape: output, strides: dilations, dilations: strides, pads: [0, 0, 0, 0], group: 1 });
  return build.transpose(build.opOf(domain, 'ReorderOutput', [result], { channels: outChannels }), [1, 0, 2, 3]);
}

/** ReorderInput takes numbers of channels that this divides, and adds zeros for the rest of a block. */
const reordered = 4;

/** A value [count, channels, length] as [count, channels / block, length, block]: what a transposition does, in less time. */
const inBlocks = (build: GraphBuilder, value: string, [count, channels, length]: readonly [number, number, number]): string => build.opOf(domain, 'ReorderInput', [build.reshape(value, [count, channels, length, 1])]);

const roundUp = (value: number, to: number): number => Math.ceil(value / to) * to;
