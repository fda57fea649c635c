import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { AttributeProtoSchema, AttributeProto_AttributeType as Type, GraphProtoSchema } from 'onnx-buf';
import { describe, expect, it } from 'vitest';
import { makeNode } from '../../../src/engine/onnx/attributes.ts';
import { buildModel, valueInfo } from '../../../src/engine/onnx/buildModel.ts';
import { listGraph, mostListedNodes } from '../../../src/engine/pruning/listGraph.ts';
import { decodeModel, saveModel } from '../../../src/engine/onnx/modelFile.ts';
import { floatTensor, int64Tensor } from '../../../src/engine/onnx/tensor.ts';
import { temporaryFolder } from '../../support/files.ts';

const folder = await temporaryFolder();
const example = 'examples/resnet20.onnx';

describe('listGraph', () => {
  it('lists every node of the bundled model with its weights', async () => {
    const { graph } = decodeModel(await readFile(example), example);
    const listing = await listGraph(example);
    expect(listing.nodes.map(({ opType, outputs }) => [opType, outputs])).toEqual(graph.node.map(({ opType, output }) => [opType, output]));
    expect(listing).toMatchObject({ nodeCount: graph.node.length, initializers: graph.initializer.length, inputs: [{ name: 'input', elementType: 'float32' }] });
    const first = listing.nodes.find(({ opType }) => opType === 'Conv')!;
    expect(first.inputs[1]).toMatchObject({ elementType: 'float32', shape: [16, 3, 3, 3] });
    expect(first.attributes).toContainEqual({ name: 'kernel_shape', value: '[3, 3]' });
  });

  it('tells each kind of attribute in few words, and goes into subgraphs', async () => {
    const path = join(folder, 'kinds.onnx');
    const body = create(GraphProtoSchema, { name: 'body', node: [makeNode('Relu', ['x'], ['inner'], {}, 'in the branch')], output: [valueInfo('inner', [4], 1)] });
    const branch = makeNode('If', ['c'], ['y']);
    branch.attribute = ['then_branch', 'else_branch'].map((name) => create(AttributeProtoSchema, { name, type: Type.GRAPH, g: body }));
    await saveModel(buildModel({
      nodes: [
        makeNode('Constant', [], ['small'], { value: int64Tensor('', [2], [1, -1]) }), makeNode('Constant', [], ['large'], { value: floatTensor('', [4, 4], new Float32Array(16)) }),
        makeNode('Odd', ['x', ''], ['z'], { axis: -1, alpha: { float: 0.1 }, mode: 'near"est', many: Array.from({ length: 20 }, (_, i) => i) }, '', 'my.domain'), branch,
      ],
      inputs: [valueInfo('x', ['n', 4], 1)], outputs: [valueInfo('y', [4], 1)],
    }), path);
    const { nodes, inputs } = await listGraph(path);
    expect(inputs).toEqual([{ name: 'x', shape: ['n', 4], elementType: 'float32' }]);
    expect(nodes.map(({ opType, depth }) => [opType, depth])).toEqual([['Constant', 0], ['Constant', 0], ['my.domain.Odd', 0], ['If', 0], ['Relu', 1], ['Relu', 1]]);
    expect(nodes.flatMap(({ attributes }) => attributes.map(({ value }) => value))).toEqual(['int64[2] [1, -1]', 'float32[4, 4]', '-1', '0.1', '"near\\"est"', '[0, 1, 2, 3, 4, 5, 6, 7, ... 20 in all]', 'graph of 1 nodes', 'graph of 1 nodes']);
    expect(nodes[2]!.name).toBe('z');
  });

  it('keeps a line a line, and a huge graph readable', async () => {
    const path = join(folder, 'huge.onnx'), count = mostListedNodes + 5;
    await saveModel(buildModel({ nodes: Array.from({ length: count }, (_, i) => makeNode('Relu', [`v${i}`], [`v${i + 1}`], {}, i === 0 ? `two\nlines ${'x'.repeat(5000)}` : `n${i}`)), inputs: [valueInfo('v0', [1], 1)], outputs: [valueInfo(`v${count}`, [1], 1)] }), path);
    const { nodes, nodeCount } = await listGraph(path);
    expect([nodes.length, nodeCount]).toEqual([mostListedNodes, count]);
    expect(nodes[0]!.name).toMatch(/^two lines x{190}\.\.\.$/);
  });

  it('names a file that is no model', async () => {
    const path = join(folder, 'broken.onnx');
    await writeFile(path, 'this is not a model');
    await expect(listGraph(path)).rejects.toThrow('broken.onnx is not an ONNX model');
    await expect(listGraph(join(folder, 'none.onnx'))).rejects.toThrow("Can't read the model");
  });
});
