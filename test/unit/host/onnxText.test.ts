import { describe, expect, it } from 'vitest';
import type { GraphListing, Inspection } from '../../../src/engine/protocol.ts';
import { onnxText } from '../../../src/host/onnxText.ts';

const node = (name: string, opType: string, depth = 0): GraphListing['nodes'][number] =>
  ({ name, opType, depth, inputs: [{ name: 'x' }, { name: '' }, { name: 'w', shape: [4, 3], elementType: 'float32' }], outputs: [`${name}_out`], attributes: [{ name: 'transB', value: '1' }, { name: 'alpha', value: '0.5' }] });
const listing: GraphListing = {
  path: '/m.onnx', sizeBytes: 1, opsets: ['ai.onnx 17'], producer: 'pytorch', inputs: [{ name: 'x', shape: ['N', 3], elementType: 'float32' }], outputs: [{ name: 'y', shape: ['N', 2], elementType: 'float32' }],
  initializers: 1, nodes: [node('/a/Gemm', 'Gemm'), node('/longer/If', 'If'), node('inner', 'Relu', 1)], nodeCount: 3,
};
const inspection = { macs: 1234, params: 10, groups: [{ id: 'g', name: '/a/Gemm', channels: 4, producers: ['w'], consumers: [], macs: 1, params: 1 }], frozen: [{ name: 'fc', reason: 'it makes the outputs' }] } as unknown as Inspection;

describe('onnxText', () => {
  it('writes one line a node, with weights, attributes and outputs', () => {
    const { text, nodeAtLine } = onnxText(listing, 'm.onnx');
    const lines = text.split('\n');
    expect(text).toContain('input  x: float32[N, 3]');
    expect(lines).toContain('node   /a/Gemm    = Gemm(x, none, w float32[4, 3]) -> /a/Gemm_out {transB 1, alpha 0.5}');
    expect(lines.find((line) => line.includes('inner'))).toMatch(/^ {2}node {3}inner/);
    for (const [line, { name, afterOperator }] of nodeAtLine) expect(lines[line]!.slice(0, afterOperator), name).toMatch(new RegExp(`^ *node   ${name} *= \\w+$`));
    expect(nodeAtLine.size).toBe(3);
  });

  it('adds what can be pruned, or why nothing can, once it is known', () => {
    expect(onnxText(listing, 'm.onnx').text).not.toContain('MACs');
    const { text, nodeAtLine } = onnxText(listing, 'm.onnx', inspection);
    expect(text).toContain('# 1,234 MACs, 10 parameters\ngroup  /a/Gemm: 4 channels, made by w, read by nothing\nfrozen fc: it makes the outputs\n');
    expect([...nodeAtLine]).toEqual([...onnxText(listing, 'm.onnx').nodeAtLine]); // annotations stay where they are
    expect(onnxText(listing, 'm.onnx', { problem: 'The model is quantised.' }).text).toContain("# Can't be compressed: The model is quantised.");
  });

  it('says how many nodes are left out, and cuts endless lines', () => {
    const { text } = onnxText({ ...listing, nodeCount: 1_003, nodes: [{ ...listing.nodes[0]!, outputs: Array.from({ length: 500 }, (_, i) => `output${i}`) }] }, 'm.onnx');
    expect(text).toContain('# ... and 1,002 more nodes');
    expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThan(1010);
  });
});
