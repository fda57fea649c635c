import type { GraphBuilder } from '../onnx/graphBuilder.ts';
import { range } from './rule.ts';

/**
 * Multiplies a value by a constant matrix along one axis: out[..., j, ...] = sum over i of value[..., i, ...] * matrix[i, j].
 * Pooling, resizing and padding are linear along each axis, so that their gradients are such products.
 * @param matrix float32 [from, to], row by row
 */
export function alongAxis(build: GraphBuilder, value: string, rank: number, axis: number, from: number, to: number, matrix: Float32Array): string {
  if (axis === rank - 1) return build.op('MatMul', [value, build.floats([from, to], matrix)]);
  if (axis === rank - 2) {
    const transposed = Float32Array.from({ length: from * to }, (_, i) => matrix[(i % from) * to + Math.floor(i / from)]!);
    return build.op('MatMul', [build.floats([to, from], transposed), value]);
  }
  const perm = [...range(rank).filter((a) => a !== axis), axis];
  return build.transpose(build.op('MatMul', [build.transpose(value, perm), build.floats([from, to], matrix)]), range(rank).map((a) => perm.indexOf(a)));
}
