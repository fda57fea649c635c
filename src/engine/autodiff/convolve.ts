import type { GraphBuilder } from '../onnx/graphBuilder.ts';
import { type Convolution, convolutionOf, isDepthwise, positions } from '../onnx/windows.ts';
import { appendBlockedConvolution, fillsBlocks, shareBlocks } from './blockedLayout.ts';
import { product, range } from './rule.ts';

/** The input with its padding made explicit; cut where the last window stops short of the border. */
export function padded(build: GraphBuilder, x: string, { before, after }: Convolution): string {
  return [...before, ...after].every((pad) => pad === 0) ? x : build.op('Pad', [x, build.ints([0, 0, ...before, 0, 0, ...after])]);
}

/** The part of a padded input that one kernel position meets, the size of the output. @param first the first spatial axis */
export function metBy(build: GraphBuilder, x: string, position: readonly number[], first: number, { kernel, output, strides, dilations }: Convolution): string {
  if (product(kernel) === 1 && strides.every((stride) => stride === 1)) return x;
  const starts = position.map((p, i) => p * dilations[i]!);
  return build.slice(x, range(kernel.length).map((i) => i + first), starts, starts.map((start, i) => start + (output[i]! - 1) * strides[i]! + 1), strides);
}

export const channelsLast = (build: GraphBuilder, value: string, spatial: number): string => build.transpose(value, [0, ...range(spatial).map((i) => i + 2), 1]);

/** Outputs below this many positions make Conv's matrix products, one an image, too narrow: one product over all images is three times as fast. */
const smallImage = 16;
const isSmall = ({ groups, output }: Convolution): boolean => groups === 1 && product(output) < smallImage;

/** Whether a convolution in blocks is faster than Conv: not for kernels of one position. */
export const suitsBlocks = (sizes: Convolution, block: number): boolean => fillsBlocks(sizes, block) && product(sizes.kernel) > 1;

/** A convolution whose weights change in every step, written as one Gemm for very small images, in blocks, or as Conv. @param bias '' for none @param block @see channelBlock */
export function appendConvolution(build: GraphBuilder, x: string, w: string, bias: string, sizes: Convolution, block: number): string {
  const { batch, inChannels, outChannels, groups, output, kernel, strides, dilations, before, after } = sizes;
  if (!isSmall(sizes) && suitsBlocks(sizes, block)) return appendBlockedConvolution(build, x, w, bias, sizes, block);
  if (!isSmall(sizes)) return build.op('Conv', [x, w, ...(bias === '' ? [] : [bias])], { kernel_shape: kernel, strides, dilations, group: groups, pads: [...before, ...after.map((pad) => Math.max(0, pad))] });
  const rows = channelsLast(build, padded(build, x, sizes), kernel.length), columns = product(kernel) * inChannels;
  const patches = build.concat(positions(kernel).map((position) => metBy(build, rows, position, 1, sizes)), kernel.length + 1);
  const flat = build.op('Gemm', [build.reshape(patches, [batch * product(output), columns]), build.reshape(channelsLast(build, w, kernel.length), [outChannels, columns]), ...(bias === '' ? [] : [bias])], { transB: 1 });
  return build.transpose(build.reshape(flat, [batch, ...output, outChannels]), [0, kernel.length + 1, ...range(kernel.length).map((i) => i + 1)]);
}

/** A depthwise convolution that fills no blocks becomes a matrix product where a channel's matrix [input positions, output positions] has at most this many elements. */
const largestMatrix = 16384;
/** Whether a depthwise convolution is so small that a channel's whole matrix is used; blocks are as fast or faster. */
export const hasSmallMatrix = (sizes: Convolution, block: number): boolean => isDepthwise(sizes) && !fillsBlocks(sizes, block) && product(sizes.input) * product(sizes.output) <= largestMatrix;

/** Where a channel's matrix has each weight of its kernel, [kernel positions, input positions * output positions] of zeros and ones. */
function placement({ input, output, kernel, strides, dilations, before }: Convolution): Float32Array {
  const taps = positions(kernel), [inArea, outArea] = [product(input), product(output)], placed = new Float32Array(taps.length * inArea * outArea);
  taps.forEach((tap, t) => {
    positions(output).forEach((at, o) => {
      const source = at.map((p, axis) => p * strides[axis]! - before[axis]! + tap[axis]! * dilations[axis]!);
      if (source.every((p, axis) => p >= 0 && p < input[axis]!)) placed[(t * inArea + source.reduce((index, p, axis) => index * input[axis]! + p, 0)) * outArea + o] = 1;
    });
  });
  return placed;
}

/**
 * A depthwise convolution as one matrix a channel, Y[c] = X[c] [batch, input positions] * T[c], whose entries are the kernel's weights:
 * onnxruntime's Conv is several times slower on small images, and the gradients are matrix products too.
 */
function appendDepthwise(build: GraphBuilder, x: string, w: string, bias: string, sizes: Convolution): string {
  const { batch, inChannels: channels, input, output, kernel } = sizes, taps = product(kernel), [inArea, outArea] = [product(input), product(output)];
  const matrices = build.op('Gemm', [build.reshape(w, [channels, taps]), build.floats([taps, inArea * outArea], placement(sizes))]);
  const images = build.transpose(build.reshape(x, [batch, channels, inArea]), [1, 0, 2]);
  const products = build.op('MatMul', [images, build.reshape(matrices, [channels, inArea, outArea])]);
  const biased = bias === '' ? products : build.add(products, build.reshape(bias, [channels, 1, 1]));
  return build.reshape(build.transpose(biased, [1, 0, 2]), [batch, channels, ...output]);
}

/** The weight gradient of a depthwise convolution from the gradients by its channels' matrices, X[c]ᵀ * G[c]. */
export function appendMatrixGradient(build: GraphBuilder, x: string, g: string, sizes: Convolution): string {
  const { batch, inChannels: channels, input, output, kernel } = sizes, [inArea, outArea] = [product(input), product(output)];
  const images = build.transpose(build.reshape(x, [batch, channels, inArea]), [1, 2, 0]), gradients = build.transpose(build.reshape(g, [batch, channels, outArea]), [1, 0, 2]);
  const matrices = build.reshape(build.op('MatMul', [images, gradients]), [channels, inArea * outArea]);
  return build.reshape(build.op('Gemm', [matrices, build.floats([product(kernel), inArea * outArea], placement(sizes))], { transB: 1 }), [channels, 1, ...kernel]);
}

/** Replaces convolutions of a graph under construction; the values keep their names. @param append writes a replacement, or nothing */
function replaceConvolutions(build: GraphBuilder, shape: (value: string) => readonly number[] | undefined, append: (sizes: Convolution, x: string, w: string, bias: string) => boolean): void {
  for (const node of build.nodes.splice(0)) {
    const [x, w, y] = [node.input[0], node.input[1], node.output[0]].map((value) => shape(value ?? ''));
    const replaced = node.opType === 'Conv' && x && w && y && append(convolutionOf(node, x, w, y), node.input[0]!, node.input[1]!, node.input[2] ?? '');
    if (replaced) build.nodes.at(-1)!.output[0] = node.output[0]!; else build.nodes.push(node);
  }
}

/** Rewrites depthwise convolutions on small images, before a graph is differentiated. */
export const depthwiseAsProducts = (build: GraphBuilder, shape: (value: string) => readonly number[] | undefined, block: number): void => {
  replaceConvolutions(build, shape, (sizes, x, w, bias) => {
    const small = hasSmallMatrix(sizes, block);
    if (small) appendDepthwise(build, x, w, bias, sizes);
    return small;
  });
};

/** Rewrites convolutions that are faster in another form, after a graph was differentiated. */
export const inFastestForm = (build: GraphBuilder, shape: (value: string) => readonly number[] | undefined, block: number): void => {
  replaceConvolutions(build, shape, (sizes, x, w, bias) => {
    const faster = suitsBlocks(sizes, block) || isSmall(sizes);
    if (faster) appendConvolution(build, x, w, bias, sizes, block);
    return faster;
  });
  shareBlocks(build);
};
