import { describe, expect, it } from 'vitest';
import { makeNode } from '../../../src/engine/onnx/attributes.ts';
import { GraphBuilder } from '../../../src/engine/onnx/graphBuilder.ts';
import { floatTensor, floatsOf } from '../../../src/engine/onnx/tensor.ts';
import { packParameters, parametersOf, withParameters } from '../../../src/engine/training/parameters.ts';

/** Weights behind a Transpose and in a Constant node, a bias in an Add, and constants that nothing has learned. */
function model(): ReturnType<GraphBuilder['model']> {
  const build = new GraphBuilder(), x = build.input('x', ['batch', 3]);
  const named = (name: string, dims: number[]): string => { build.initializers.push(floatTensor(name, dims, new Float32Array(dims.reduce((a, b) => a * b, 1)).fill(2))); return name; };
  const normalised = build.mul(build.sub(x, named('input mean', [3])), named('input scale', [1, 3]));
  const hidden = build.add(build.op('MatMul', [normalised, build.transpose(named('weight', [4, 3]), [1, 0])]), named('bias', [4]));
  build.nodes.push(makeNode('Constant', [], ['head'], { value: floatTensor('', [4, 2], new Float32Array(8).fill(3)) }));
  const masked = build.add(build.op('MatMul', [build.mul(hidden, named('layer scale', [4])), 'head']), named('mask', [5, 2]));
  build.output(build.op('Add', [masked, named('temperature', [1])]), 'y', ['batch', 2]);
  return build.model();
}

describe('parametersOf', () => {
  it('takes weights and numbers a channel, and leaves masks, scalars and the normalisation of the input alone', () => {
    expect(parametersOf(model()).map(({ name, isWeight }) => [name, isWeight]).sort()).toEqual([['bias', false], ['head', true], ['layer scale', false], ['weight', true]]);
  });

  it.each([[[0, -1e4, 0], false], [[0, -1e9, -1e9], false], [[0, 0, -Infinity], false], [[0.5, -1e4, 0], true], [[0, -20, 0], true], [[0, 0, 0], true]])('numbers that are added to scores, %j, were learned: %s', (values, learned) => {
    const build = new GraphBuilder(), scores = build.op('MatMul', [build.input('x', ['batch', 2]), build.floats([2, 3], new Float32Array(6).fill(1))]), added = build.floats([3], Float32Array.from(values));
    build.output(build.add(scores, added), 'y', ['batch', 3]);
    expect(parametersOf(build.model()).some(({ name }) => name === added)).toBe(learned);
  });

  it('puts a changed vector back where each parameter came from, Constant nodes included', () => {
    const before = model(), parameters = parametersOf(before), changed = withParameters(before, parameters, packParameters(parameters).map((_, i) => i));
    expect(packParameters(parametersOf(changed))).toEqual(packParameters(parameters).map((_, i) => i));
    expect(packParameters(parametersOf(before))).not.toEqual(packParameters(parametersOf(changed)));
    expect(floatsOf(changed.graph.initializer.find(({ name }) => name === 'mask')!)).toEqual(new Float32Array(10).fill(2));
  });
});
