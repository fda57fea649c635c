import { describe, it } from 'vitest';
import { Random } from '../../../src/engine/numerics/random.ts';
import type { GraphBuilder } from '../../../src/engine/onnx/graphBuilder.ts';
import { DataType, int64Tensor } from '../../../src/engine/onnx/tensor.ts';
import { type Inputs, expectClose, finiteDifferences, makeCase, ourGradients } from './oracle.ts';

const random = new Random(61);
const indices = (build: GraphBuilder, dims: number[], values: number[]): string => {
  const name = build.fresh('indices');
  build.initializers.push(int64Tensor(name, dims, values));
  return name;
};
const x: Inputs = { x: { dims: [2, 3, 4, 5] } };

const cases: [title: string, inputs: Inputs, write: (build: GraphBuilder, names: string[]) => string][] = [
  ['Reshape', x, (build, [a]) => build.mul(build.reshape(a!, [6, -1]), build.floats([6, 1], Float32Array.of(1, 2, 3, 4, 5, 6)))],
  ['Reshape to a shape that is computed', x, (build, [a]) => build.op('Reshape', [a!, build.concat([build.slice(build.op('Shape', [a!]), [0], [0], [1]), build.ints([-1])], 0)])],
  ['Flatten', x, (build, [a]) => build.op('Flatten', [a!], { axis: 2 })],
  ['Squeeze', { x: { dims: [2, 1, 3, 1] } }, (build, [a]) => build.op('Squeeze', [a!, build.ints([1])])],
  ['Unsqueeze', { x: { dims: [2, 3] } }, (build, [a]) => build.op('Unsqueeze', [a!, build.ints([0, 3])])],
  ['Transpose', x, (build, [a]) => build.op('Transpose', [a!], { perm: [2, 0, 3, 1] })],
  ['Transpose without perm', x, (build, [a]) => build.op('Transpose', [a!])],
  ['Concat', { a: { dims: [2, 3] }, b: { dims: [2, 1] }, c: { dims: [2, 4] } }, (build, names) => build.op('Concat', names, { axis: -1 })],
  ['Split, one output unused', { x: { dims: [2, 9] } }, (build, [a]) => { const [p, , q] = build.split(a!, 1, [2, 3, 4]) as [string, string, string]; return build.concat([build.mul(q, 2), p], 1); }],
  ['Slice', x, (build, [a]) => build.slice(a!, [1, -1], [1, -4], [3, 100])],
  ['Slice without axes', x, (build, [a]) => build.op('Slice', [a!, build.ints([0, 1]), build.ints([1, 3])])],
  ['Slice with steps', x, (build, [a]) => build.slice(a!, [2, 3], [1, 0], [4, 5], [2, 3])],
  ['Slice backwards', x, (build, [a]) => build.slice(a!, [2, 3], [-1, 3], [-100, 0], [-1, -2])],
  ['Pad', { x: { dims: [2, 3, 4] } }, (build, [a]) => build.op('Pad', [a!, build.ints([0, 1, 2, 0, 0, 3])])],
  ['Pad that crops', { x: { dims: [2, 5, 6] } }, (build, [a]) => build.op('Pad', [a!, build.ints([0, -1, 2, 0, 1, -2])])],
  ['Pad reflect', { x: { dims: [2, 4, 5] } }, (build, [a]) => build.op('Pad', [a!, build.ints([0, 2, 3, 0, 1, 2])], { mode: 'reflect' })],
  ['Pad edge', { x: { dims: [2, 4, 5] } }, (build, [a]) => build.op('Pad', [a!, build.ints([1, 2, 3, 0, 1, 2])], { mode: 'edge' })],
  ['Gather along an inner axis, indices repeated and negative', x, (build, [a]) => build.op('Gather', [a!, indices(build, [2, 3], [0, 2, 2, 1, -1, 0])], { axis: 1 })],
  ['Gather on the first axis with one index', x, (build, [a]) => build.op('Gather', [a!, indices(build, [], [1])])],
  ['Gather with int32 indices', x, (build, [a]) => build.op('Gather', [a!, build.op('Cast', [indices(build, [2], [-1, 0])], { to: DataType.INT32 })], { axis: 1 })],
  ['GatherElements with int32 indices', { x: { dims: [3, 4] } }, (build, [a]) => build.op('GatherElements', [a!, build.op('Cast', [indices(build, [1, 4], [0, 2, 2, -1])], { to: DataType.INT32 })])],
  ['ScatterElements with int32 indices', { x: { dims: [3, 4] }, updates: { dims: [1, 4] } }, (build, [a, u]) => build.op('ScatterElements', [a!, build.op('Cast', [indices(build, [1, 4], [0, 2, 1, 1])], { to: DataType.INT32 }), u!])],
  ['GatherND', x, (build, [a]) => build.op('GatherND', [a!, indices(build, [3, 2], [0, 1, 1, 2, 0, 1])])],
  ['GatherElements', { x: { dims: [3, 4] } }, (build, [a]) => build.op('GatherElements', [a!, indices(build, [2, 4], [0, 2, 2, 1, 0, 1, 0, 1])], { axis: 0 })],
  ['ScatterND', { x: { dims: [4, 3] }, updates: { dims: [2, 3] } }, (build, [a, u]) => build.op('ScatterND', [a!, indices(build, [2, 1], [3, 1]), u!])],
  ['ScatterElements', { x: { dims: [3, 4] }, updates: { dims: [1, 4] } }, (build, [a, u]) => build.op('ScatterElements', [a!, indices(build, [1, 4], [0, 2, 1, 1]), u!], { axis: 0 })],
  ['CumSum', { x: { dims: [3, 5] } }, (build, [a]) => build.op('CumSum', [a!, build.scalarInt(1)], { exclusive: 1 })],
  ['Expand', { x: { dims: [3, 1] } }, (build, [a]) => build.op('Expand', [a!, build.ints([2, 1, 4])])],
  ['Tile', { x: { dims: [2, 3] } }, (build, [a]) => build.op('Tile', [a!, build.ints([3, 2])])],
  ['DepthToSpace DCR', { x: { dims: [1, 8, 2, 3] } }, (build, [a]) => build.op('DepthToSpace', [a!], { blocksize: 2 })],
  ['DepthToSpace CRD', { x: { dims: [1, 8, 2, 3] } }, (build, [a]) => build.op('DepthToSpace', [a!], { blocksize: 2, mode: 'CRD' })],
  ['SpaceToDepth', { x: { dims: [1, 2, 4, 6] } }, (build, [a]) => build.op('SpaceToDepth', [a!], { blocksize: 2 })],
];

describe('gradients of operators that move data', () => {
  it.each(cases)('%s agrees with finite differences', async (_title, inputs, write) => {
    const graph = await makeCase(random, inputs, write);
    expectClose(await ourGradients(graph), await finiteDifferences(graph));
  });
});
