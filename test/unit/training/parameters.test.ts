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

  it('puts a changed vector back where each parameter came from, Constant nodes included', () => {
    const before = model(), parameters = parametersOf(before), changed = withParameters(before, parameters, packParameters(parameters).map((_, i) => i));
    expect(packParameters(parametersOf(changed))).toEqual(packParameters(parameters).map((_, i) => i));
    expect(packParameters(parametersOf(before))).not.toEqual(packParameters(parametersOf(changed)));
    expect(floatsOf(changed.graph.initializer.find(({ name }) => name === 'mask')!)).toEqual(new Float32Array(10).fill(2));
  });
});
