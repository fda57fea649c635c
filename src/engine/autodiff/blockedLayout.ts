import type { GraphBuilder } from '../onnx/graphBuilder.ts';
import { type Convolution, isDepthwise } from '../onnx/windows.ts';
import { product } from './rule.ts';

/**
 * The operators of onnxruntime's blocked layout NCHWc, which its optimiser puts in the place of convolutions with constant weights: [batch, channels / block, ...spatial, block].
 * They take weights that change as well, if the graph lays these out as [out / block, in / block, ...kernel, block (in), block (out)].
 */
const domain = 'com.microsoft.nchwc';

/** Most that the multiplications of whole blocks may be of those of a convolution's own channels: with more, Conv is as fast. */
const mostWaste = 2;

/** Whether a convolution can be written in blocks, and its channels fill them well enough. */
export function fillsBlocks(sizes: Convolution, block: number): boolean {
  const { groups, kernel, inChannels, outChannels } = sizes, share = (channels: number): number => channels / roundUp(channels, block);
  if (block === 0 || kernel.length !== 2 || inChannels % reordered > 0) return false;
  return isDepthwise(sizes) ? share(inChannels) >= 1 / mostWaste : groups === 1 && share(inChannels) * share(outChannels) >= 1 / mostWaste;
}

/**
 * A convolution in blocks, for inputs and outputs in the usual layout. It has the padding of the sizes, which must not be negative; windows may stop short of the border.
 * @param w [out, in / groups, ...kernel]; with `back`, as the convolution has it whose input gradient this is: [in, out / groups, ...kernel], to be turned round
 */
export function appendBlockedConvolution(build: GraphBuilder, x: string, w: string, bias: string, sizes: Convolution, block: number, back = false): string {
  const { inChannels, outChannels, kernel, strides, dilations, before, after } = sizes, outs = roundUp(outChannels, block);
  const pads = [...before, ...after.map((pad) => Math.max(0, pad))], biases = bias === '' ? [] : [filled(build, bias, [outs - outChannels])];
  const filter = isDepthwise(sizes) ? depthwiseFilter(build, w, sizes, block, back) : back ? backwardFilter(build, w, sizes, block) : forwardFilter(build, w, sizes, block);
  const result = build.opOf(domain, 'Conv', [laidOut(build, x), filter, ...biases], { kernel_shape: kernel, strides, dilations, pads, group: isDepthwise(sizes) ? roundUp(inChannels, block) : 1 });
  return build.opOf(domain, 'ReorderOutput', [result], { channels: outChannels });
}

/** [out, in, ...kernel] in blocks. */
function forwardFilter(build: GraphBuilder, w: string, { inChannels, outChannels, kernel }: Convolution, block: number): string {
  const [ins, outs] = [roundUp(inChannels, block), roundUp(outChannels, block)], area = product(kernel);
  const rows = inBlocks(build, filled(build, w, [outs - outChannels, ins - inChannels, 0, 0]), [outs / block, block, ins * area]);
  return build.reshape(build.transpose(build.reshape(rows, [outs / block, ins / block, block, area, block]), [0, 1, 3, 2, 4]), [outs, ins, ...kernel]);
}

/** [in, out, ...kernel], turned round, in blocks. */
function backwardFilter(build: GraphBuilder, w: string, { inChannels, outChannels, kernel }: Convolution, block: number): string {
  const [ins, outs] = [roundUp(inChannels, block), roundUp(outChannels, block)], area = product(kernel);
  const rows = inBlocks(build, filled(build, w, [ins - inChannels, outs - outChannels, 0, 0]), [ins, outs, area]);
  const tiles = build.reshape(build.transpose(build.reshape(rows, [ins / block, block, outs / block, area, block]), [2, 0, 3, 1, 4]), [outs * ins / block ** 2, area, block ** 2]);
  return build.reshape(turned(build, tiles, area), [outs, ins, ...kernel]);
}

/** [channels, 1, ...kernel], turned round where it is a convolution back, in blocks. */
function depthwiseFilter(build: GraphBuilder, w: string, { outChannels, kernel }: Convolution, block: number, back: boolean): string {
  const outs = roundUp(outChannels, block), area = product(kernel), rows = inBlocks(build, filled(build, w, [outs - outChannels, 0, 0, 0]), [outs / block, block, area]);
  return build.reshape(back ? turned(build, build.reshape(rows, [outs / block, area, block]), area) : rows, [outs, 1, ...kernel]);
}

/** Positions of a kernel, on axis 1, from the last to the first. */
const turned = (build: GraphBuilder, value: string, area: number): string => (area === 1 ? value : build.op('Gather', [value, build.ints(Array.from({ length: area }, (_, i) => area - 1 - i))], { axis: 1 }));

/** A value with zeros behind its elements, as many along each axis. */
const filled = (build: GraphBuilder, value: string, missing: readonly number[]): string => (missing.every((count) => count === 0) ? value : build.op('Pad', [value, build.ints([...missing.map(() => 0), ...missing])]));

/** Whether a convolution's weight gradient is found in blocks: for a kernel of one position matrix products are as fast. */
export const batchFillsBlocks = ({ batch, kernel, groups }: Convolution, block: number): boolean => block > 0 && batch % block === 0 && kernel.length === 2 && product(kernel) > 1 && groups === 1;

/**
 * The weight gradient [out, in, ...kernel] as one convolution over the images, which takes the batch for channels: of the input [in, batch, ...] by the output gradient [out, batch, ...] as its kernel, with
 * strides and dilations exchanged. It takes from less than half of to as much time as a matrix product for each position of the kernel (docs/decisions/autodiff.md).
 * @param x padded, so that every window is inside
 */
export function appendBlockedWeightGradient(build: GraphBuilder, sizes: Convolution, x: string, g: string, block: number): string {
  const { batch, inChannels, outChannels, output, kernel, strides, dilations } = sizes, area = product(output), images = batch / block, outs = roundUp(outChannels, block);
  const seen = kernel.map((k, i) => (output[i]! - 1) * strides[i]! + (k - 1) * dilations[i]! + 1);
  const rows = inBlocks(build, x, [images, block, inChannels * product(seen)]);
  const input = build.reshape(build.transpose(build.reshape(rows, [images, inChannels, product(seen) * block]), [1, 0, 2]), [inChannels, batch, ...seen]);

  const whole = roundUp(outChannels, reordered), gradient = build.reshape(laidOut(build, filled(build, g, [0, whole - outChannels, 0, 0])), [images, block, outs / block, area, block]);
  const filter = build.reshape(build.transpose(gradient, [2, 0, 3, 1, 4]), [outs, batch, ...output]);

  const blocked = build.opOf(domain, 'Conv', [input, filter], { kernel_shape: output, strides: dilations, dilations: strides, pads: [0, 0, 0, 0], group: 1 });
  return build.transpose(build.opOf(domain, 'ReorderOutput', [blocked], { channels: outChannels }), [1, 0, 2, 3]);
}

/**
 * The weight gradient [channels, 1, ...kernel] of a depthwise convolution as one more depthwise convolution, whose channels are those of all images: each one's input by its output gradient as the kernel, with strides
 * and dilations exchanged; then the sum over the images. In blocks both are laid out as the convolution and its input gradient have them.
 */
export function appendBlockedDepthwiseGradient(build: GraphBuilder, { batch, inChannels, input, output, kernel, strides, dilations, before, after }: Convolution, x: string, g: string, block: number): string {
  const channels = roundUp(inChannels, block), all = batch * channels, beyond = after.map((pad, i) => Math.floor(Math.max(0, -pad) / dilations[i]!)); // where windows stop short of the border, more positions than the kernel has
  const inputs = build.reshape(laidOut(build, x), [1, all, ...input]), filter = build.reshape(laidOut(build, g), [all, 1, ...output]);
  const met = build.opOf(domain, 'Conv', [inputs, filter], { kernel_shape: output, strides: dilations, dilations: strides, pads: [...before, ...after.map((pad) => Math.max(0, pad))], group: all });
  const images = build.reshape(met, [batch, channels / block, ...kernel.map((k, i) => k + beyond[i]!), block]), own = beyond.every((count) => count === 0) ? images : build.slice(images, [2, 3], [0, 0], kernel);
  const whole = build.reshape(build.transpose(build.sum(own, [0]), [0, 3, 1, 2]), [channels, 1, ...kernel]);
  return channels === inChannels ? whole : build.slice(whole, [0], [0], [inChannels]);
}

/** Lays out once what a graph lays out in blocks more than once: a layer's input for the layer and its weight gradient, its output gradient for both gradients. onnxruntime sees such repetitions among ONNX's own operators only. */
export function shareBlocks(build: GraphBuilder): void {
  const first = new Map<string, string>(), same = new Map<string, string>();
  for (const node of build.nodes.splice(0)) {
    if (node.domain === domain && node.opType === 'ReorderInput') {
      const [input, output] = [node.input[0]!, node.output[0]!], known = first.get(input);
      if (known !== undefined) { same.set(output, known); continue; }
      first.set(input, output);
    }
    build.nodes.push(node.input.some((name) => same.has(name)) ? { ...node, input: node.input.map((name) => same.get(name) ?? name) } : node);
  }
}

/** ReorderInput takes numbers of channels that this divides, and adds zeros for the rest of a block. */
const reordered = 4;

/** A value [batch, channels, rows, columns] in blocks of channels. */
const laidOut = (build: GraphBuilder, value: string): string => build.opOf(domain, 'ReorderInput', [value]);

/** A value [count, channels, length] as [count, channels / block, length, block]: what a transposition does, in less time. */
const inBlocks = (build: GraphBuilder, value: string, [count, channels, length]: readonly [number, number, number]): string => laidOut(build, build.reshape(value, [count, channels, length, 1]));

const roundUp = (value: number, to: number): number => Math.ceil(value / to) * to;
