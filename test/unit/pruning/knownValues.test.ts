import { create } from '@bufbuild/protobuf';
import { AttributeProtoSchema, AttributeProto_AttributeType as Type, type GraphProto } from 'onnx-buf';
import { describe, expect, it } from 'vitest';
import { makeNode } from '../../../src/engine/onnx/attributes.ts';
import { valueInfo } from '../../../src/engine/onnx/buildModel.ts';
import { GraphView } from '../../../src/engine/onnx/graphView.ts';
import { DataType } from '../../../src/engine/onnx/tensor.ts';
import { knownValues } from '../../../src/engine/pruning/knownValues.ts';
import { Network } from './network.ts';

const graphAttribute = (name: string, g: GraphProto): ReturnType<typeof create<typeof AttributeProtoSchema>> => create(AttributeProtoSchema, { name, type: Type.GRAPH, g });
/** Of the given values, those whose shapes are known. */
const shaped = (net: Network, values: Readonly<Record<string, string>>): string[] => { const { shapes } = knownValues(new GraphView(net.model().graph)); return Object.keys(values).filter((name) => shapes.has(values[name]!)); };

describe('shapes that are known', () => {
  it('are not those of rows that are picked by what the data hold, but again those of what they are written back into', () => {
    const net = new Network(), x = net.input('x', ['n', 8]), hidden = net.op('Relu', [x]), rows = net.op('Transpose', [net.op('NonZero', [net.op('Greater', [net.op('ReduceMean', [x], { axes: [1], keepdims: 0 }), net.scalar(0)])])], { perm: [1, 0] });
    const picked = net.op('GatherND', [hidden, rows]), expert = net.linear(picked, 8, 8), counted = net.op('Reshape', [hidden, net.op('Concat', [net.op('Shape', [net.op('Compress', [hidden, net.op('Cast', [hidden], { to: DataType.BOOL })])]), net.ints([-1])], { axis: 0 })]);
    const written = net.op('ScatterND', [hidden, rows, expert]);
    expect(shaped(net, { hidden, rows, picked, expert, counted, written })).toEqual(['hidden', 'written']);
  });

  it('are those of ranges, which sizes alone decide on, in each way that exporters write them', () => {
    const net = new Network(), x = net.input('x', ['n', 'length', 8]), range = net.op('NonZero', [net.op('ConstantOfShape', [net.op('Slice', [net.op('Shape', [x]), net.ints([1]), net.ints([2])])])]);
    const made = net.op('Range', [net.op('Cast', [net.scalar(0)], { to: DataType.INT64 }), net.op('Size', [x]), net.op('Cast', [net.scalar(1)], { to: DataType.INT64 })]);
    expect(shaped(net, { range, made })).toEqual(['range', 'made']);
  });

  it.each([['a size', true], ['the data', false]])('are those behind an If that %s decides, where that is a size', (_title, bySize) => {
    const net = new Network(), x = net.input('x', ['n', 8]), asked = bySize ? net.op('Size', [x]) : net.op('Cast', [net.op('ReduceSum', [x], { keepdims: 0 })], { to: DataType.INT64 }), [chosen = ''] = net.ops('If', [net.op('Equal', [asked, net.ints([1], [])])], 1);
    const branch = (opType: string): GraphProto => { const inner = new Network(); return inner.output(inner.op(opType, [x])).model().graph; };
    net.nodes.at(-1)!.attribute = [graphAttribute('then_branch', branch('Relu')), graphAttribute('else_branch', branch('Tanh'))];
    const measured = net.op('ConstantOfShape', [net.op('Shape', [chosen])]);
    expect(shaped(net, { chosen, measured })).toEqual(bySize ? ['chosen', 'measured'] : []);
  });

  it('are those of what an If between sizes counts', () => {
    const net = new Network(), x = net.input('x', ['n', 8]), [size = ''] = net.ops('If', [net.op('Equal', [net.op('Size', [x]), net.ints([8], [])])], 1), [other = ''] = net.ops('If', [net.op('Equal', [net.op('Size', [x]), net.ints([8], [])])], 1);
    const branch = (...steps: [opType: string, from: string, to: string][]): GraphProto => { const inner = new Network(); inner.nodes.push(...steps.map(([opType, from, to]) => makeNode(opType, [from], [to], opType === 'Cast' ? { to: DataType.INT64 } : {}))); return inner.output(steps.at(-1)![2]).model().graph; };
    const sizes = branch(['Shape', x, 'then']), data = branch(['ReduceSum', x, 'sum'], ['Cast', 'sum', 'else']);
    net.nodes.filter(({ opType }) => opType === 'If').forEach((node, i) => { node.attribute = [graphAttribute('then_branch', sizes), graphAttribute('else_branch', i === 0 ? sizes : data)]; });
    expect(shaped(net, { made: net.op('Expand', [x, size]), unknown: net.op('Expand', [x, other]) })).toEqual(['made']);
  });

  it.each([['so many times', true], ['until the data say so', false]])('are those of a Loop\'s state that runs %s', (_title, counted) => {
    const net = new Network(), x = net.input('x', ['n', 8]), body = new Network(), [state = ''] = net.ops('Loop', [net.ints([2], []), '', x], 1);
    body.input('step', [], DataType.INT64); body.input('go', [], DataType.BOOL); body.input('state', ['n', 8]);
    const next = body.op('Tanh', ['state']);
    body.outputs.push(valueInfo(counted ? body.op('Identity', ['go']) : body.op('Cast', [body.op('ReduceMax', ['state'], { keepdims: 0 })], { to: DataType.BOOL }), [], DataType.BOOL), valueInfo(next, ['n', 8]));
    net.nodes.at(-1)!.attribute = [graphAttribute('body', body.model().graph)];
    expect(shaped(net, { state })).toEqual(counted ? ['state'] : []);
  });
});
