import type { TensorProto } from 'onnx-buf';
import { bytesPerElement, dimsOf, rawBytes, withBytes } from '../onnx/tensor.ts';

type Words = Uint8Array | Uint16Array | Uint32Array;
const wordsOf: Readonly<Record<number, (buffer: ArrayBufferLike, offset: number, length: number) => Words>> = {
  1: (buffer, offset, length) => new Uint8Array(buffer, offset, length), 2: (buffer, offset, length) => new Uint16Array(buffer, offset, length),
  4: (buffer, offset, length) => new Uint32Array(buffer, offset, length),
};

/** Bytes as words, so that one assignment moves an element of up to four bytes; wider ones are several words. */
function asWords(bytes: Uint8Array, size: number): Words {
  const own = bytes.byteOffset % size === 0 ? bytes : new Uint8Array(bytes);
  return wordsOf[size]!(own.buffer, own.byteOffset, own.byteLength / size);
}

/** A tensor of the shape that {@link gatherAxes} gives, without values. */
export function cutShape(tensor: TensorProto, kept: readonly (Int32Array | undefined)[]): TensorProto {
  return withBytes(tensor, dimsOf(tensor).map((length, axis) => kept[axis]?.length ?? length), new Uint8Array(0));
}

/**
 * Rows of a tensor along several axes at once, whatever its element type.
 * @param kept positions that stay along each axis, ascending; undefined where all do
 * @returns a new tensor of the same name and type
 */
export function gatherAxes(tensor: TensorProto, kept: readonly (Int32Array | undefined)[]): TensorProto {
  const dims = dimsOf(tensor), size = bytesPerElement(tensor), last = kept.findLastIndex((positions) => positions !== undefined);
  if (last < 0) return tensor;
  const wordSize = Math.min(size, 4), source = asWords(rawBytes(tensor), wordSize);
  const newDims = dims.map((length, axis) => kept[axis]?.length ?? length);
  const words = newDims.reduce((a, b) => a * b, 1) * (size / wordSize);
  const out = asWords(new Uint8Array(words * wordSize), wordSize);
  const strides = dims.map((_, axis) => dims.slice(axis + 1).reduce((a, b) => a * b, size / wordSize));
  const inner = strides[last]!, lastPositions = kept[last]!;
  let to = 0;
  const copy = (axis: number, from: number): void => {
    if (axis < last) {
      const positions = kept[axis], stride = strides[axis]!, count = newDims[axis]!;
      for (let i = 0; i < count; i++) copy(axis + 1, from + (positions ? positions[i]! : i) * stride);
    } else if (inner < 32) {
      for (let i = 0; i < lastPositions.length; i++) for (let at = from + lastPositions[i]! * inner, end = at + inner; at < end; at++) out[to++] = source[at]!;
    } else {
      for (let i = 0; i < lastPositions.length; i++) {
        const at = from + lastPositions[i]! * inner;
        out.set(source.subarray(at, at + inner), to);
        to += inner;
      }
    }
  };
  copy(0, 0);
  return withBytes(tensor, newDims, new Uint8Array(out.buffer));
}
