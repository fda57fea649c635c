import { intAttribute } from '../onnx/attributes.ts';
import { transposedWindowsOf, windowsOf } from '../onnx/windows.ts';
import type { Layer } from '../pruning/types.ts';

/**
 * How one layer reads its input as rows of a linear regression: output = rows x weight + bias at sampled output positions.
 * Columns run over (channel, kernel tap), channel-major, as in a Conv weight [out, in/groups, ...kernel] flattened from axis 1;
 * a Gemm or MatMul has one tap. An output of a transposed convolution reads an input, or padding, through each tap as well. Convolution groups are separate regressions.
 */
export interface RowLayout {
  readonly groups: number;
  /** Input channels, kernel taps and output channels of one convolution group. */
  readonly channels: number;
  readonly taps: number;
  readonly outs: number;
  /** Output positions of one image: for Gemm and MatMul, so many of its rows. Where another dimension stands before the batch or is folded into it, those are rows of any images of the chunk. */
  readonly positions: number;
  /** For a convolution, transposed or not: input element within a channel for [position, tap]; -1 is padding. Absent for Gemm and MatMul. */
  readonly gather?: Int32Array;
  /** What the last column holds: ones, by which the bias is fitted, or zeros for a layer that has none. */
  readonly constant: 0 | 1;
}

const prod = (values: readonly number[]): number => values.reduce((a, b) => a * b, 1);

/**
 * The layout of a layer for given shapes, or undefined for a layer that is not a plain regression (Einsum, Gemm with alpha, a convolution
 * that sees parts of images, such as frames, as images, a transposed one of several groups).
 * @param inputDims and outputDims: for a chunk of `images` @param weightDims of the constant weight
 */
export function rowLayout(layer: Layer, inputDims: readonly number[], outputDims: readonly number[], weightDims: readonly number[], images: number): RowLayout | undefined {
  if (layer.opType === 'Conv' || layer.opType === 'ConvTranspose') {
    const { groups } = layer, spatialIn = inputDims.slice(2), spatialOut = outputDims.slice(2), kernel = weightDims.slice(2), shape = { taps: prod(kernel), positions: prod(spatialOut), constant: 1 } as const;
    if (inputDims[0] !== images) return undefined;
    if (layer.opType === 'Conv') return { ...shape, groups, channels: weightDims[1]!, outs: weightDims[0]! / groups, gather: gatherBy(convolved(layer, spatialIn, spatialOut, kernel), spatialIn, spatialOut, kernel) };
    return groups > 1 ? undefined : { ...shape, groups, channels: weightDims[0]!, outs: weightDims[1]!, gather: gatherBy(transposed(layer, spatialIn, spatialOut, kernel), spatialIn, spatialOut, kernel) };
  }
  const { node } = layer;
  if (layer.opType === 'Gemm' && (intAttribute(node, 'transA', 0) !== 0 || node.attribute.some(({ name, f }) => (name === 'alpha' || name === 'beta') && f !== 1))) return undefined;
  if ((layer.opType === 'Gemm' || layer.opType === 'MatMul') && weightDims.length === 2 && node.input[0] === layer.input) {
    const positions = prod(inputDims.slice(0, -1)) / images;
    if (!Number.isInteger(positions)) return undefined;
    return { groups: 1, channels: weightDims[layer.inAxis]!, taps: 1, outs: weightDims[layer.outAxis]!, positions, constant: layer.opType === 'MatMul' && layer.bias === '' ? 0 : 1 };
  }
  return undefined;
}

/** Where along a spatial axis an output position reads through a tap; anything but a position of the input is padding. */
type Reading = (axis: number, output: number, tap: number) => number;

/** Conv (ONNX 11): strides, dilations, pads or auto_pad over any number of spatial axes. */
function convolved({ node }: Layer, spatialIn: readonly number[], spatialOut: readonly number[], kernel: readonly number[]): Reading {
  const { strides, dilations, before } = windowsOf(node, kernel, spatialIn, spatialOut);
  return (axis, output, tap) => output * strides[axis]! - before[axis]! + tap * dilations[axis]!;
}

/** ConvTranspose (ONNX 11): an input reaches the outputs that a convolution would read it from, so that through most taps of a strided one nothing is read. */
function transposed({ node }: Layer, spatialIn: readonly number[], spatialOut: readonly number[], kernel: readonly number[]): Reading {
  const { strides, dilations, before } = transposedWindowsOf(node, kernel, spatialIn, spatialOut);
  return (axis, output, tap) => (output + before[axis]! - tap * dilations[axis]!) / strides[axis]!;
}

/** The input element within a channel for every output position and tap; -1 is padding. */
function gatherBy(reading: Reading, spatialIn: readonly number[], spatialOut: readonly number[], kernel: readonly number[]): Int32Array {
  const rank = kernel.length, outputs = prod(spatialOut), taps = prod(kernel), gather = new Int32Array(outputs * taps);
  const unravel = (index: number, dims: readonly number[]): number[] => {
    const at = new Array<number>(rank);
    for (let axis = rank - 1, rest = index; axis >= 0; axis--) { at[axis] = rest % dims[axis]!; rest = Math.floor(rest / dims[axis]!); }
    return at;
  };
  const tapOffsets = Array.from({ length: taps }, (_, tap) => unravel(tap, kernel));
  for (let position = 0; position < outputs; position++) {
    const at = unravel(position, spatialOut);
    tapOffsets.forEach((tap, t) => {
      let flat = 0;
      for (let axis = 0; axis < rank; axis++) {
        const x = reading(axis, at[axis]!, tap[axis]!);
        if (!Number.isInteger(x) || x < 0 || x >= spatialIn[axis]!) { flat = -1; break; }
        flat = flat * spatialIn[axis]! + x;
      }
      gather[position * taps + t] = flat;
    });
  }
  return gather;
}

/** Columns of one group's regression, the constant one included. */
export const columnsOf = (layout: RowLayout): number => layout.channels * layout.taps + 1;

/**
 * Input rows of a chunk of images at sampled positions, one matrix a convolution group, the last column constant.
 * @param input float32 with the images first @param sampled positions [images, points]
 * @returns float32 [images * points, columns] a group
 */
export function inputRows(layout: RowLayout, input: Float32Array, images: number, sampled: Int32Array): Float32Array[] {
  const points = sampled.length / images, columns = columnsOf(layout), { channels, taps, gather } = layout;
  const imageSize = input.length / images, channelSize = imageSize / (layout.groups * channels);
  return Array.from({ length: layout.groups }, (_, group) => {
    const rows = new Float32Array(images * points * columns);
    let to = 0;
    for (let image = 0; image < images; image++) {
      const base = image * imageSize + group * channels * channelSize;
      for (let p = 0; p < points; p++) {
        const position = sampled[image * points + p]!;
        if (gather) {
          const taken = position * taps;
          for (let c = 0; c < channels; c++) {
            const channelBase = base + c * channelSize;
            for (let t = 0; t < taps; t++) {
              const from = gather[taken + t]!;
              rows[to++] = from < 0 ? 0 : input[channelBase + from]!;
            }
          }
        } else {
          rows.set(input.subarray(image * imageSize + position * channels, image * imageSize + (position + 1) * channels), to);
          to += channels;
        }
        rows[to++] = layout.constant;
      }
    }
    return rows;
  });
}

/**
 * Values of an output (or of anything of its shape) at sampled positions.
 * @param channels wanted, in this order; all of them when absent @returns float32 [images * points, channels]
 */
export function outputRows(layout: RowLayout, output: Float32Array, images: number, sampled: Int32Array, wanted?: readonly number[]): Float32Array {
  const points = sampled.length / images, imageSize = output.length / images, total = imageSize / layout.positions;
  const picked = wanted ?? Array.from({ length: total }, (_, c) => c);
  const rows = new Float32Array(images * points * picked.length);
  const channelStride = layout.gather ? layout.positions : 1, positionStride = layout.gather ? 1 : total;
  let to = 0;
  for (let image = 0; image < images; image++) {
    for (let p = 0; p < points; p++) {
      const base = image * imageSize + sampled[image * points + p]! * positionStride;
      for (const c of picked) rows[to++] = output[base + c * channelStride]!;
    }
  }
  return rows;
}

/** Output positions to look at: up to `points` different ones for each of `images` images, the same for every network that is compared. Deterministic in `seed`. */
export function samplePositions(positions: number, images: number, points: number, seed: number): Int32Array {
  const count = Math.min(points, positions), out = new Int32Array(images * count);
  let state = (seed ^ 0x9e3779b9) >>> 0;
  const next = (): number => { // mulberry32
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  for (let image = 0; image < images; image++) {
    if (count === positions) { for (let p = 0; p < count; p++) out[image * count + p] = p; continue; }
    for (let p = 0; p < count; p++) { // stratified: one position in each of `count` equal stretches
      out[image * count + p] = Math.min(positions - 1, Math.floor(((p + next()) * positions) / count));
    }
  }
  return out;
}
