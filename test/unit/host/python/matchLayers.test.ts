import { describe, expect, it } from 'vitest';
import { type ExportedLayer, matchLayers, modulePath } from '../../../../src/host/python/matchLayers.ts';

const conv = (path: string, weightShape: number[]): ExportedLayer => ({ name: '', opType: 'Conv', weight: `${path}.weight`, weightShape });
const linear = (path: string, weightShape: number[]): ExportedLayer => ({ name: '', opType: 'Gemm', weight: `${path}.weight`, weightShape });

/** Each definition's line (from 1) with the weights that it makes. */
function lines(source: string, layers: readonly ExportedLayer[]): Record<number, string[]> {
  return Object.fromEntries(matchLayers(source, layers).map(({ offset, layers: made }) => [source.slice(0, offset).split('\n').length, made.map(({ weight }) => weight)]));
}

describe('modulePath', () => {
  it.each([
    ['an initializer name', { name: '/features/features.3/Conv', weight: 'features.3.conv.weight' }, 'features.3.conv'],
    ['a node scope where folding renamed the initializer', { name: '/layers/layers.0/conv1/conv1.0/Conv', weight: 'onnx::Conv_212' }, 'layers.0.conv1.0'],
    ['nested children of a Sequential', { name: '/features/features.3/conv/conv.0/conv.0.0/Conv', weight: 'onnx::Conv_9' }, 'features.3.conv.0.0'],
    ['a top-level layer', { name: '/fc/Gemm', weight: 'onnx::MatMul_3' }, 'fc'],
  ])('reads %s', (_title, layer, path) => { expect(modulePath(layer)?.join('.')).toBe(path); });

  it('knows nothing of a layer that carries no scope', () => { expect(modulePath({ name: 'Conv_12', weight: 'W12' })).toBeUndefined(); });
});

describe('matchLayers', () => {
  it('finds direct layers and positional children of a Sequential', () => {
    const source = `
import torch.nn as nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 32, 3, padding=1),  # the stem, nn.Conv2d(9, 9, 9)
            nn.ReLU(),
            nn.Conv2d(32, 64, kernel_size=3),
        )
        self.fc = nn.Linear(64, 10)
`;
    expect(lines(source, [conv('features.0', [32, 3, 3, 3]), conv('features.2', [64, 32, 3, 3]), linear('fc', [10, 64])])).toEqual({ 8: ['features.0.weight'], 10: ['features.2.weight'], 12: ['fc.weight'] });
  });

  it('gives one definition all the layers of a block that is used several times', () => {
    const source = `
class Block(nn.Module):
    def __init__(self, inp, out):
        self.conv1 = nn.Conv2d(inp, out, 3)
        self.down = nn.Sequential()
        if inp != out:
            self.down = nn.Sequential(nn.Conv2d(inp, out, 1), nn.BatchNorm2d(out))

class Net(nn.Module):
    def __init__(self):
        self.layers = nn.Sequential(Block(3, 16), Block(16, 16))
`;
    expect(lines(source, [conv('layers.0.conv1', [16, 3, 3, 3]), conv('layers.0.down.0', [16, 3, 1, 1]), conv('layers.1.conv1', [16, 16, 3, 3])]))
      .toEqual({ 4: ['layers.0.conv1.weight', 'layers.1.conv1.weight'], 7: ['layers.0.down.0.weight'] });
  });

  it('follows _make_layer, helper functions, OrderedDict, ModuleList and add_module', () => {
    const source = `
def conv3x3(inp, out, stride=1):
    """3x3 convolution: return nn.Linear(1, 1)"""
    return nn.Conv2d(inp, out, kernel_size=3, stride=stride)

class BasicBlock(nn.Module):
    def __init__(self, inp, out):
        self.conv1 = conv3x3(inp, out)

class Net(nn.Module):
    def __init__(self):
        self.layer1 = self._make_layer(BasicBlock, 16, 2)
        self.head = nn.Sequential(OrderedDict([
            ('proj', nn.Linear(16, 8)),
            ('out', nn.Linear(8, 4)),
        ]))
        self.branches = nn.ModuleList([nn.Conv2d(8, 8, 1) for _ in range(3)])
        self.add_module('extra', nn.Conv2d(4, 4, 1))

    def _make_layer(self, block, planes, count):
        layers = []
        for i in range(count):
            layers.append(block(3, planes))
        return nn.Sequential(*layers)
`;
    expect(lines(source, [conv('layer1.0.conv1', [16, 3, 3, 3]), conv('layer1.1.conv1', [16, 16, 3, 3]), linear('head.proj', [8, 16]), linear('head.out', [4, 8]), conv('branches.0', [8, 8, 1, 1]), conv('branches.2', [8, 8, 1, 1]), conv('extra', [4, 4, 1, 1])]))
      .toEqual({ 8: ['layer1.0.conv1.weight', 'layer1.1.conv1.weight'], 14: ['head.proj.weight'], 15: ['head.out.weight'], 17: ['branches.0.weight', 'branches.2.weight'], 18: ['extra.weight'] });
  });

  const plain = (name: string, out = '16') => `
class ${name}(nn.Module):
    def __init__(self):
        self.conv = nn.Conv2d(3, ${out}, 3)
        self.fc = nn.Linear(${out}, 10)
`;
  const twoLayers = [conv('conv', [16, 3, 3, 3]), linear('fc', [10, 16])];

  it.each<[string, string, readonly ExportedLayer[]]>([
    ['two classes fit equally well', plain('A') + plain('B'), twoLayers],
    ['a literal size contradicts the exported weight', plain('A', '32'), twoLayers],
    ['a module of the model is no attribute of the class', plain('A'), [...twoLayers, conv('stem', [8, 3, 3, 3])]],
    ['an attribute may be either of two layers', plain('A').replace('self.fc', 'self.conv = nn.Conv2d(3, 16, 3)\n        self.other'), [conv('conv', [16, 3, 3, 3])]],
    ['the children are made by code that is not read', 'class A(nn.Module):\n    def __init__(self):\n        layers = build()\n        self.features = nn.Sequential(*layers)\n', [conv('features.0', [16, 3, 3, 3])]],
    ['the layer is another operator', plain('A'), [{ ...conv('fc', [10, 16]), opType: 'Conv' }]],
    ['the definition stands in a comment or a string', 'class A(nn.Module):\n    """\n    self.conv = nn.Conv2d(3, 16, 3)\n    """\n    # self.conv = nn.Conv2d(3, 16, 3)\n', [conv('conv', [16, 3, 3, 3])]],
    ['the source is cut short', 'class A(nn.Module):\n    def __init__(self):\n        self.conv = nn.Conv2d(3, 16', [conv('conv', [16, 3, 3, 3])]],
  ])('shows nothing where %s', (_title, source, layers) => { expect(lines(source, layers)).toEqual({}); });

  it('prefers the class whose sizes agree', () => {
    expect(lines(plain('A', '32') + plain('B'), twoLayers)).toEqual({ 9: ['conv.weight'], 10: ['fc.weight'] });
  });

  it('takes an attribute that a subclass replaces for either, where the sizes do not tell', () => {
    const source = (base: string) => `${plain('Base', 'n').replace('10', 'm')}
class Between(${base}):
    pass

class Net(Between):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(16, 10)
`;
    expect(lines(source('Base'), twoLayers)).toEqual({ 4: ['conv.weight'] });
    expect(lines(source('Base'), [twoLayers[0]!, linear('fc', [7, 16])]), 'Net has ten').toEqual({ 4: ['conv.weight'], 5: ['fc.weight'] });
    expect(lines(source('nn.Module'), twoLayers)).toEqual({ 4: ['conv.weight'], 5: ['fc.weight'] });
    expect(lines('class A(B):\n    pass\nclass B(A):\n    def __init__(self):\n        self.fc = nn.Linear(16, 10)\n', [twoLayers[1]!]), 'each made from the other').toEqual({ 5: ['fc.weight'] });
  });

  it('reads a module that is there under a condition, and no other choice', () => {
    const source = (otherwise: string) => `class A(nn.Module):\n    def __init__(self, s):\n        self.down = nn.Sequential(\n            nn.Conv2d(3, 16, 1),\n        ) if s > 1 else ${otherwise}\n`;
    expect(lines(source('None'), [conv('down.0', [16, 3, 1, 1])])).toEqual({ 4: ['down.0.weight'] });
    expect(lines(source('nn.Sequential(nn.Conv2d(3, 16, 1))'), [conv('down.0', [16, 3, 1, 1])])).toEqual({});
  });

  it('checks grouped and transposed convolutions by their own weight layouts', () => {
    const source = 'class A(nn.Module):\n    def __init__(self):\n        self.dw = nn.Conv2d(16, 16, 3, groups=16)\n        self.up = nn.ConvTranspose2d(16, 8, 2, 2)\n';
    expect(lines(source, [conv('dw', [16, 1, 3, 3]), { ...conv('up', [16, 8, 2, 2]), opType: 'ConvTranspose' }])).toEqual({ 3: ['dw.weight'], 4: ['up.weight'] });
  });

  it('reads a long file of deeply nested brackets without overflowing', () => {
    const source = `class A(nn.Module):\n    def __init__(self):\n        self.a = ${'nn.Sequential('.repeat(3000)}nn.Conv2d(1, 1, 1)${')'.repeat(3000)}\n`;
    expect(lines(source, [conv('a.0', [1, 1, 1, 1])])).toEqual({});
  });
});
