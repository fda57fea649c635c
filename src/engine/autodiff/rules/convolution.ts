import { hasAttribute, stringAttribute } from '../../onnx/attributes.ts';
import type { GraphBuilder } from '../../onnx/graphBuilder.ts';
import { type Convolution, convolutionOf, isDepthwise, positions } from '../../onnx/windows.ts';
import { appendBlockedConvolution, appendBlockedDepthwiseGradient, appendBlockedWeightGradient, batchFillsBlocks, fillsBlocks } from '../blockedLayout.ts';
import { appendConvolution, appendMatrixGradient, channelsLast, hasSmallMatrix, metBy, padded, suitsBlocks } from '../convolve.ts';
import { type Rule, type Rules, outputGradient, product, range, unsupported } from '../rule.ts';

/** Conv-11: bias gradient by a sum, input gradient by a convolution, weight gradient by matrix products over shifted inputs. */
const conv: Rule = (context) => {
  const { node, build, shape, block, wants } = context;
  const g = outputGradient(context), [x, w] = node.input as [string, string], sizes = convolutionOf(node, shape(x), shape(w), shape(node.output[0]!));
  return [
    wants(0) ? inputGradient(build, sizes, g, w, block) : undefined,
    wants(1) ? hasSmallMatrix(sizes, block) ? appendMatrixGradient(build, x, g, sizes) : weightGradient(build, sizes, x, g, block) : undefined,
    wants(2) ? build.sum(g, [0, ...range(sizes.output.length).map((axis) => axis + 2)]) : undefined,
  ];
};

/**
 * With stride 1 the input gradient is a convolution with the kernel turned round and its channel axes exchanged (faster than
 * ConvTranspose); with larger strides it is ConvTranspose, which need not multiply by the zeros between the outputs. Depthwise, in blocks, that convolution is faster with the zeros, too.
 */
function inputGradient(build: GraphBuilder, sizes: Convolution, g: string, w: string, block: number): string {
  const { outChannels, input, output, kernel, strides, dilations, before, after, groups } = sizes, spatial = range(kernel.length), axes = spatial.map((i) => i + 2);
  const spread = output.map((length, i) => length * strides[i]!), left = kernel.map((k, i) => (k - 1) * dilations[i]! - before[i]!), right = kernel.map((k, i) => (k - 1) * dilations[i]! + input[i]! - spread[i]! - left[i]!);
  const back: Convolution = { ...sizes, inChannels: outChannels, outChannels: sizes.inChannels, input: spread, output: input, strides: strides.map(() => 1), before: left, after: right };
  const dense = strides.every((stride) => stride === 1);
  if ([...left, ...right].every((pad) => pad >= 0) && (dense || (isDepthwise(sizes) && fillsBlocks(back, block)))) {
    const apart = dense ? g : withZerosBetween(build, g, back, strides as [number, number]);
    if (suitsBlocks(back, block)) return appendBlockedConvolution(build, apart, w, '', back, block, true);
    const turned = product(kernel) === 1 ? w : build.slice(w, axes, axes.map(() => -1), axes.map(() => -(2 ** 31)), axes.map(() => -1));
    return appendConvolution(build, apart, exchangeChannels(build, turned, sizes), '', back, block);
  }
  // positions that no window reaches (after < 0) have gradient zero; ConvTranspose makes the rest
  const covered = build.op('ConvTranspose', [g, w], { kernel_shape: kernel, strides, dilations, group: groups, pads: [...before, ...after.map((pad) => Math.max(0, pad))] });
  return after.some((pad) => pad < 0) ? build.op('Pad', [covered, build.ints([0, 0, ...kernel.map(() => 0), 0, 0, ...after.map((pad) => Math.max(0, -pad))])]) : covered;
}

/** Output gradients [batch, channels, rows, columns] as far apart as the strides: columns by a product with zeros and ones, which is faster than padding single numbers, rows by padding. */
function withZerosBetween(build: GraphBuilder, g: string, { batch, inChannels, input: [rows, columns] }: Convolution, [down, across]: readonly [number, number]): string {
  const [lines, length] = [batch * inChannels * rows! / down, columns! / across];
  const placed = build.floats([length, columns!], Float32Array.from({ length: length * columns! }, (_, i) => (i % columns! === Math.floor(i / columns!) * across ? 1 : 0)));
  const wide = build.reshape(build.op('MatMul', [build.reshape(g, [lines, length]), placed]), [lines, 1, columns!]);
  return build.reshape(build.op('Pad', [wide, build.ints([0, 0, 0, 0, down - 1, 0])]), [batch, inChannels, rows!, columns!]);
}

/** W [groups * out, in, ...] to [groups * in, out, ...]. */
function exchangeChannels(build: GraphBuilder, w: string, { groups, inChannels, outChannels, kernel }: Convolution): string {
  const inner = inChannels / groups, outer = outChannels / groups, rest = range(kernel.length);
  if (inner === 1 && outer === 1) return w;
  if (groups === 1) return build.transpose(w, [1, 0, ...rest.map((i) => i + 2)]);
  const split = build.reshape(w, [groups, outer, inner, ...kernel]);
  return build.reshape(build.transpose(split, [0, 2, 1, ...rest.map((i) => i + 3)]), [inChannels, outer, ...kernel]);
}

/** Images at least this large (output positions) are multiplied one by one, smaller ones all together: measured, see docs/decisions/autodiff.md. */
const largeImage = 256;
/** Below this many input channels a group's shifted inputs are multiplied as one matrix. */
const fewChannels = 16;

/** For each kernel position, the product of the output gradient with the input that the position met. */
function weightGradient(build: GraphBuilder, sizes: Convolution, input: string, g: string, block: number): string {
  if (isDepthwise(sizes) && fillsBlocks(sizes, block)) return appendBlockedDepthwiseGradient(build, sizes, input, g, block);
  const x = padded(build, input, sizes);
  if (batchFillsBlocks(sizes, block)) return appendBlockedWeightGradient(build, sizes, x, g, block);
  const { batch, inChannels, outChannels, groups, output, kernel } = sizes;
  const area = product(output), inner = inChannels / groups, outer = outChannels / groups, taps = positions(kernel), axes = range(kernel.length);
  const met = (value: string, position: readonly number[], first: number): string => metBy(build, value, position, first, sizes);
  /** [outChannels, inner] for each position to [outChannels, inner, ...kernel]. */
  const assemble = (pieces: readonly string[]): string => build.reshape(build.concat(pieces.map((piece) => build.reshape(piece, [outChannels, inner, 1])), 2), [outChannels, inner, ...kernel]);

  if (inner === 1) { // depthwise: nothing to multiply matrices with
    const gradient = build.reshape(g, [batch, groups, outer, area]);
    return assemble(taps.map((position) => build.sum(build.mul(gradient, build.reshape(met(x, position, 2), [batch, groups, 1, area])), [0, 3])));
  }
  if (groups === 1 && area < largeImage) { // rows are positions of all images
    const gradient = build.reshape(channelsLast(build, g, axes.length), [batch * area, outChannels]), rows = channelsLast(build, x, axes.length);
    return assemble(taps.map((position) => build.op('Gemm', [gradient, build.reshape(met(rows, position, 1), [batch * area, inner])], { transA: 1 })));
  }
  const grouped = groups > 1 ? [batch, groups] : [batch], rank = grouped.length + 2;
  const gradient = build.reshape(g, [...grouped, outer, area]);
  const products = (value: string, columns: number): string => build.sum(
    build.op('MatMul', [gradient, build.transpose(build.reshape(value, [...grouped, columns, area]), [...range(rank - 2), rank - 1, rank - 2])]), [0]);
  if (groups === 1 && inner < fewChannels && taps.length > 1) {
    const all = products(build.concat(taps.map((position) => met(x, position, 2)), 1), taps.length * inner);
    return build.reshape(build.transpose(build.reshape(all, [outChannels, taps.length, inner]), [0, 2, 1]), [outChannels, inner, ...kernel]);
  }
  return assemble(taps.map((position) => products(met(x, position, 2), inner)));
}

/**
 * ConvTranspose-11 is the input gradient of a convolution from its output Y [batch, M, ...] to its input X: so its input gradient is that
 * convolution, and its weight gradient that convolution's, with the roles of input and output gradient exchanged.
 */
const convTranspose: Rule = (context) => {
  const { node, build, shape, block, wants } = context;
  const g = outputGradient(context), [x, w] = node.input as [string, string];
  const sizes = convolutionOf(node, shape(node.output[0]!), shape(w), shape(x));
  if (hasAttribute(node, 'output_shape') || stringAttribute(node, 'auto_pad', 'NOTSET') !== 'NOTSET') throw unsupported(node, 'its padding is not given as pads');
  const wide = padded(build, g, sizes);
  return [
    wants(0) ? build.op('Conv', [wide, w], { kernel_shape: sizes.kernel, strides: sizes.strides, dilations: sizes.dilations, group: sizes.groups }) : undefined,
    wants(1) ? weightGradient(build, sizes, g, x, block) : undefined,
    wants(2) ? build.sum(g, [0, ...range(sizes.output.length).map((axis) => axis + 2)]) : undefined,
  ];
};

export const convolutionRules: Rules = { Conv: conv, ConvTranspose: convTranspose };
