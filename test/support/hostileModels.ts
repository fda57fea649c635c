import { clone, create } from '@bufbuild/protobuf';
import {
  AttributeProto_AttributeType as Type, AttributeProtoSchema, type FunctionProto, FunctionProtoSchema, type GraphProto, GraphProtoSchema, type ModelProto, ModelProtoSchema, type NodeProto, NodeProtoSchema, OperatorSetIdProtoSchema,
  type TensorProto, TensorProto_DataLocation as Location,
} from 'onnx-buf';
import { Random } from '../../src/engine/numerics/random.ts';
import { attribute, makeNode, setAttribute } from '../../src/engine/onnx/attributes.ts';
import { buildModel, valueInfo } from '../../src/engine/onnx/buildModel.ts';
import { asExternal } from '../../src/engine/onnx/externalData.ts';
import { encodeModel } from '../../src/engine/onnx/modelFile.ts';
import { DataType, floatTensor, int64Tensor } from '../../src/engine/onnx/tensor.ts';

type Model = ModelProto & { graph: GraphProto };

/** The file in which the weights of `hostileNetwork(true)` stand. */
export const externalFile = 'weights.bin';

const withGraph = (node: NodeProto, name: string, g: GraphProto): NodeProto => { node.attribute.push(create(AttributeProtoSchema, { name, type: Type.GRAPH, g })); return node; };
const graphOf = (nodes: NodeProto[], outputs: string[], inputs: string[] = []): GraphProto =>
  create(GraphProtoSchema, { name: 'inner', node: nodes, output: outputs.map((name) => valueInfo(name)), input: inputs.map((name) => valueInfo(name)) });

/** A residual network of two convolutions with batch normalisation, a choice by `If`, and a classifier. @param external its real numbers stand in a file of their own */
export function hostileNetwork(external = false): { model: Model; weights: Uint8Array } {
  const random = new Random(3);
  const weights = (name: string, dims: number[], low = -0.3): TensorProto => floatTensor(name, dims, Float32Array.from({ length: dims.reduce((a, b) => a * b) }, () => random.uniform(low, 0.5)));
  const normalised = (from: string, to: string): NodeProto => makeNode('BatchNormalization', [from, `${to}.scale`, `${to}.bias`, `${to}.mean`, `${to}.var`], [to], {}, `norm ${to}`);
  const choice = withGraph(withGraph(makeNode('If', ['always'], ['chosen'], {}, 'choice'), 'then_branch', graphOf([makeNode('Identity', ['r2'], ['same'])], ['same'])), 'else_branch', graphOf([makeNode('Neg', ['r2'], ['negative'])], ['negative']));
  const conv = { kernel_shape: [3, 3], pads: [1, 1, 1, 1] };
  const model = buildModel({
    nodes: [
      makeNode('Conv', ['x', 'w1'], ['c1'], conv, 'conv1'), normalised('c1', 'n1'), makeNode('Relu', ['n1'], ['r1'], {}, 'relu1'), makeNode('Conv', ['r1', 'w2', 'b2'], ['c2'], conv, 'conv2'), normalised('c2', 'n2'),
      makeNode('Add', ['n2', 'r1'], ['sum'], {}, 'add'), makeNode('Relu', ['sum'], ['r2'], {}, 'relu2'), choice, makeNode('GlobalAveragePool', ['chosen'], ['p'], {}, 'pool'),
      makeNode('Reshape', ['p', 'shape'], ['f'], {}, 'reshape'), makeNode('Gemm', ['f', 'w3', 'b3'], ['y'], { transB: 1 }, 'fc'),
    ],
    initializers: [
      weights('w1', [8, 3, 3, 3]), weights('w2', [8, 8, 3, 3]), weights('b2', [8]), weights('w3', [5, 8]), weights('b3', [5]), int64Tensor('shape', [2], [-1, 8]),
      ...['n1', 'n2'].flatMap((name) => ['scale', 'bias', 'mean', 'var'].map((part) => weights(`${name}.${part}`, [8], 0.1))),
      Object.assign(int64Tensor('always', [], []), { dataType: DataType.BOOL, rawData: Uint8Array.of(1) }),
    ],
    inputs: [valueInfo('x', ['n', 3, 8, 8], 1)], outputs: [valueInfo('y', ['n', 5], 1)],
  });
  if (!external) return { model, weights: new Uint8Array(0) };
  const outside: Uint8Array[] = [];
  let end = 0;
  model.graph.initializer = model.graph.initializer.map((tensor) => {
    if (tensor.dataType !== DataType.FLOAT) return tensor;
    outside.push(tensor.rawData);
    end += tensor.rawData.length;
    return asExternal(tensor, externalFile, end - tensor.rawData.length, tensor.rawData.length);
  });
  return { model, weights: Buffer.concat(outside) };
}

/** Changes a decoded model so that it is still a protobuf message, but no good model. */
type Damage = (model: Model, random: Random) => void;

const pick = <T>(random: Random, from: readonly T[]): T => from[random.integer(from.length)]!;
const dims = [-1n, 0n, 1n, 2n, 7n, 2n ** 31n - 1n, 2n ** 31n, 2n ** 32n, 2n ** 40n, 2n ** 53n + 1n, 2n ** 63n - 1n, -(2n ** 63n)];
const names = ['', 'x', 'y', 'w1', 'nowhere', '__proto__', 'constructor', 'toString', '\u0000', '../../etc', 'é\u202e'.repeat(50), 'a'.repeat(100_000)];
const locations = ['', '.', '..', '/', '/etc/passwd', '../weights.bin', './weights.bin', 'no/such', 'weights.bin/x', 'C:\\x', '\\\\host\\x', 'weights.bin\u0000', 'model.onnx', 'a'.repeat(5000), '/dev/zero', 'weights.bin', '__proto__'];
const offsets = ['', '-1', '0', '1', '1e3', '0x10', 'NaN', '4096', '18446744073709551616', '-9223372036854775808', '9007199254740993', ' 8 '];
const nodeOf = (model: Model, random: Random): NodeProto => pick(random, model.graph.node);
const weightOf = (model: Model, random: Random): TensorProto => pick(random, model.graph.initializer);
const calling = (name: string, from: string, to: string): NodeProto => makeNode(name, [from], [to], {}, '', 'local');

function defineFunctions(model: Model, functions: readonly FunctionProto[], called: string): void {
  model.functions = [...functions];
  model.opsetImport.push(create(OperatorSetIdProtoSchema, { domain: 'local', version: 1n }));
  const relu = model.graph.node.findIndex(({ opType }) => opType === 'Relu'), { input, output } = model.graph.node[relu]!;
  model.graph.node[relu] = calling(called, input[0]!, output[0]!);
}
const functionOf = (name: string, nodes: NodeProto[], output: string): FunctionProto => create(FunctionProtoSchema, {
  name, domain: 'local', input: ['in'], output: [output], node: nodes, opsetImport: [create(OperatorSetIdProtoSchema, { domain: '', version: 17n }), create(OperatorSetIdProtoSchema, { domain: 'local', version: 1n })],
});

/** Functions that call the next one `fan` times each, `levels` deep; the last holds `leaf`. */
function functionTower(levels: number, fan: number, leaf: readonly NodeProto[]): FunctionProto[] {
  return Array.from({ length: levels }, (_, level) => (level === levels - 1 ? functionOf(`f${level}`, [...leaf], leaf.length > 0 ? 'out' : 'in')
    : functionOf(`f${level}`, Array.from({ length: fan }, (_call, i) => calling(`f${level + 1}`, 'in', `v${i}`)), 'v0')));
}

const damages: Readonly<Record<string, Damage>> = {
  cycle: (model, random) => { const from = random.integer(model.graph.node.length), to = from + random.integer(model.graph.node.length - from); model.graph.node[from]!.input[0] = model.graph.node[to]!.output[0] ?? ''; },
  'nodes in another order': (model, random) => { model.graph.node.sort(() => random.uniform() - 0.5); },
  'two nodes of a name': (model, random) => { nodeOf(model, random).name = nodeOf(model, random).name; },
  'a value written twice': (model, random) => { nodeOf(model, random).output[0] = nodeOf(model, random).output[0] ?? ''; },
  'a node twice': (model, random) => { model.graph.node.push(clone(NodeProtoSchema, nodeOf(model, random))); },
  'a node missing': (model, random) => { model.graph.node.splice(random.integer(model.graph.node.length), 1); },
  'two initializers of a name': (model, random) => { weightOf(model, random).name = weightOf(model, random).name; },
  'an initializer missing': (model, random) => { model.graph.initializer.splice(random.integer(model.graph.initializer.length), 1); },
  'an initializer that is an input': (model, random) => { const { name } = weightOf(model, random); model.graph.input.push(valueInfo(name, random.integer(2) === 0 ? [8] : undefined)); },
  'impossible dims of a weight': (model, random) => { const tensor = weightOf(model, random); tensor.dims[random.integer(tensor.dims.length + 1)] = pick(random, dims); },
  'dims that disagree with the data': (model, random) => {
    const tensor = weightOf(model, random);
    tensor.dims = pick(random, [tensor.dims.toReversed(), tensor.dims.slice(1), [...tensor.dims, 1n], [...tensor.dims, 2n], [], Array.from({ length: 5000 }, () => 1n), tensor.dims.map((dim) => dim * 2n)]);
  },
  'data of another length': (model, random) => { const tensor = weightOf(model, random); tensor.rawData = pick(random, [new Uint8Array(0), tensor.rawData.slice(1), new Uint8Array(tensor.rawData.length + 4)]); },
  'another element type': (model, random) => { weightOf(model, random).dataType = random.integer(30) - 2; },
  'weights that are no numbers': (model, random) => {
    const tensor = weightOf(model, random), bytes = Buffer.from(tensor.rawData), value = pick(random, [NaN, Infinity, -Infinity, 3e38, 1e-45, 0]);
    for (let at = random.integer(2) * 4; at + 4 <= bytes.length; at += pick(random, [4, 4, 40])) bytes.writeFloatLE(value, at);
    tensor.rawData = bytes;
  },
  'an input of a node missing': (model, random) => { const { input } = nodeOf(model, random); input[random.integer(input.length)] = pick(random, names); },
  'fewer or more inputs': (model, random) => { const node = nodeOf(model, random); node.input = pick(random, [[], node.input.slice(0, 1), [...node.input, ...node.input], Array.from({ length: 2000 }, () => node.input[0] ?? '')]); },
  'fewer or more outputs': (model, random) => { const node = nodeOf(model, random); node.output = pick(random, [[], [''], [...node.output, 'more'], [...node.output, ...node.output]]); },
  'another name of a value': (model, random) => { const { output } = nodeOf(model, random); output[0] = pick(random, names); },
  'another name of a weight': (model, random) => { weightOf(model, random).name = pick(random, names); },
  'another name of a node': (model, random) => { nodeOf(model, random).name = pick(random, names); },
  'another operator': (model, random) => { nodeOf(model, random).opType = pick(random, ['', 'Nonsense', '__proto__', 'constructor', 'Conv', 'Gemm', 'Concat', 'Split', 'Transpose', 'LSTM', 'Attention', 'Loop', 'Scan', 'Constant', 'SequenceConstruct', 'MatMul', 'Einsum', 'QLinearConv']); },
  'another operator set': (model, random) => { nodeOf(model, random).domain = pick(random, ['com.example', 'ai.onnx.ml', 'com.microsoft', '__proto__']); },
  'operator sets imported': (model, random) => { model.opsetImport = pick(random, [[], [0n], [-1n], [2n ** 62n], [6n], [17n, 9n]]).map((version) => create(OperatorSetIdProtoSchema, { domain: '', version })); },
  attributes: (model, random) => {
    const node = nodeOf(model, random), big = pick(random, dims.filter((dim) => dim < 100n || dim > 2n ** 39n));
    const one = attribute(pick(random, ['kernel_shape', 'pads', 'strides', 'dilations', 'group', 'axis', 'perm', 'transA', 'transB', 'epsilon', 'auto_pad', 'allowzero', 'then_branch']), 1);
    pick<() => void>(random, [() => { one.i = big; }, () => { one.type = Type.INTS; one.ints = Array.from({ length: random.integer(6) }, () => big); }, () => { one.type = random.integer(18); }, () => { one.type = Type.STRING; one.s = Uint8Array.of(0xff, 0); }])();
    node.attribute = [...node.attribute.filter(({ name }) => name !== one.name), one];
  },
  'groups that do not divide': (model, random) => { setAttribute(model.graph.node[random.integer(2) * 3]!, 'group', pick(random, [0, -1, 2, 3, 5, 2 ** 31])); },
  'a shape that does not fit': (model, random) => { model.graph.initializer.find(({ name }) => name === 'shape')!.rawData = new Uint8Array(BigInt64Array.from([pick(random, dims), pick(random, dims)]).buffer); },
  'the shape of an input': (model, random) => {
    model.graph.input = pick(random, [[], [valueInfo('x')], [valueInfo('x', [])], [valueInfo('', ['n', 3, 8, 8])], [valueInfo('x', ['n', 3, 8, 8], random.integer(24))], [valueInfo('x', [1, 3, Number(pick(random, dims)), 8])],
      [valueInfo('x', ['n', 3, 'h+w+1', '__proto__'])], [...model.graph.input, ...model.graph.input], [...model.graph.input, valueInfo('unused', [Number(pick(random, dims))])], [valueInfo('x', Array.from({ length: 3000 }, () => 1))]]);
  },
  'the outputs': (model, random) => { model.graph.output = pick(random, [[], [valueInfo('nowhere')], [valueInfo('')], [valueInfo('x')], [valueInfo('w1')], [valueInfo('y'), valueInfo('y')], model.graph.node.flatMap(({ output }) => output.map((name) => valueInfo(name)))]); },
  'a subgraph': (model, random) => {
    const node = model.graph.node.find(({ opType }) => opType === 'If')!, [branch, other] = node.attribute;
    pick<() => void>(random, [() => { node.attribute.pop(); }, () => { branch!.g!.output = []; }, () => { branch!.g = create(GraphProtoSchema, { ...model.graph, node: model.graph.node.filter((each) => each !== node) }); other!.g = graphOf([], ['nowhere']); }, () => { branch!.g!.node[0]!.input[0] = 'chosen'; }, () => { branch!.g!.node[0]!.output[0] = 'r2'; }, () => { delete (branch as { g?: GraphProto }).g; }, () => { branch!.graphs = [branch!.g!, branch!.g!]; branch!.type = Type.GRAPHS; }])();
  },
  'deep subgraphs': (model, random) => {
    const loop = random.integer(2) === 0, depth = pick(random, [3, 20, 31, 33, 60]);
    let inner = graphOf([makeNode('Identity', [loop ? 'cond' : 'r1'], ['deepest'])], ['deepest']);
    for (let level = 0; level < depth; level++) {
      const node = loop ? withGraph(makeNode('Loop', ['', 'always'], [`d${level}`]), 'body', create(GraphProtoSchema, { ...inner, input: ['i', 'cond'].map((name) => valueInfo(name)) }))
        : withGraph(withGraph(makeNode('If', ['always'], [`d${level}`]), 'then_branch', inner), 'else_branch', graphOf([makeNode('Identity', ['r1'], ['e'])], ['e']));
      inner = graphOf([node], [`d${level}`]);
    }
    model.graph.node.push(...inner.node);
  },
  'functions that call themselves': (model, random) => {
    const [a, b] = random.integer(2) === 0 ? ['f', 'f'] : ['f', 'g'];
    defineFunctions(model, [functionOf('f', [calling(b!, 'in', 'out')], 'out'), functionOf('g', [calling(a!, 'in', 'out')], 'out')], 'f');
  },
  'functions within functions': (model, random) => { defineFunctions(model, functionTower(pick(random, [2, 100, 5000]), 1, [makeNode('Relu', ['in'], ['out'])]), 'f0'); },
  'functions that multiply': (model, random) => { defineFunctions(model, functionTower(pick(random, [2, 12, 40]), pick(random, [2, 10]), random.integer(2) === 0 ? [] : [makeNode('Relu', ['in'], ['out'])]), 'f0'); },
  'functions that multiply a tensor': (model, random) => {
    const constant = makeNode('Constant', [], ['big'], { value: floatTensor('', [random.integer(2) === 0 ? 4 : 2 ** 16], new Float32Array(2 ** 16)) });
    defineFunctions(model, functionTower(6, 10, [constant, makeNode('Identity', ['in'], ['out'])]), 'f0');
  },
  'functions without a meaning': (model, random) => { defineFunctions(model, pick(random, [[functionOf('f', [], 'nowhere')], [functionOf('', [], '')], [functionOf('f', [makeNode('Relu', ['in'], ['in'])], 'in')], [functionOf('f', [makeNode('Relu', ['in'], ['out'])], 'out'), functionOf('f', [], 'in')]]), 'f'); },
  'external data': (model, random) => {
    const tensor = weightOf(model, random);
    tensor.dataLocation = Location.EXTERNAL;
    const outside = asExternal(tensor, pick(random, locations), 0, 0), entries = outside.externalData;
    for (const entry of entries.slice(1)) entry.value = pick(random, offsets);
    tensor.externalData = pick(random, [entries, entries.slice(1), entries.slice(0, 1), [...entries, ...entries], []]);
  },
  'two places of data': (model, random) => { const tensor = weightOf(model, random); tensor.floatData = Array.from({ length: 8 }, () => NaN); tensor.int64Data = [1n]; if (random.integer(2) === 0) tensor.rawData = new Uint8Array(0); },
};
export const damageNames = Object.keys(damages);

/** A model damaged in its structure, determined by the seed: every kind of damage has its turn, alone or (every third) with another. */
export function damagedModel(seed: number, external = false): Uint8Array {
  const random = new Random(seed), { model } = hostileNetwork(external);
  const copy = clone(ModelProtoSchema, model) as Model;
  damages[damageNames[seed % damageNames.length]!]!(copy, random);
  if (random.integer(3) === 0) try { damages[pick(random, damageNames)]!(copy, random); } catch { /* the first left nothing for the second to change */ }
  return Buffer.concat(encodeModel(copy));
}
