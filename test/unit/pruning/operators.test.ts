import { describe, expect, it } from 'vitest';
import { hasRule } from '../../../src/engine/pruning/rules/registry.ts';
import { Network, expectExactPruning } from './network.ts';

/** Every operator of the default ONNX domain, versions 1 to 23, but for quantised ones (models with those are refused) and those with subgraphs. */
const onnxOperators = `Abs Acos Acosh Add AffineGrid And ArgMax ArgMin Asin Asinh Atan Atanh Attention AveragePool BatchNormalization Bernoulli BitShift BitwiseAnd BitwiseNot BitwiseOr
  BitwiseXor BlackmanWindow Cast CastLike Ceil Celu CenterCropPad Clip Col2Im Compress Concat ConcatFromSequence Constant ConstantOfShape Conv ConvTranspose Cos Cosh CumSum DFT DeformConv
  DepthToSpace Det Div Dropout Einsum Elu Equal Erf Exp Expand EyeLike Flatten Floor GRU Gather GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool Greater
  GreaterOrEqual GridSample GroupNormalization HammingWindow HannWindow HardSigmoid HardSwish Hardmax Identity ImageDecoder InstanceNormalization IsInf IsNaN LRN LSTM LayerNormalization
  LeakyRelu Less LessOrEqual Log LogSoftmax LpNormalization LpPool MatMul Max MaxPool MaxRoiPool MaxUnpool Mean MeanVarianceNormalization MelWeightMatrix Min Mish Mod Mul Multinomial Neg
  NegativeLogLikelihoodLoss NonMaxSuppression NonZero Not OneHot Optional OptionalGetElement OptionalHasElement Or PRelu Pad Pow RMSNormalization RNN RandomNormal RandomNormalLike RandomUniform
  RandomUniformLike Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare RegexFullMatch Relu Reshape Resize
  ReverseSequence RoiAlign RotaryEmbedding Round STFT Scatter ScatterElements ScatterND Selu SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SequenceLength SequenceMap Shape
  Shrink Sigmoid Sign Sin Sinh Size Slice Softmax SoftmaxCrossEntropyLoss Softplus Softsign SpaceToDepth Split SplitToSequence Sqrt Squeeze StringConcat StringNormalizer StringSplit Sub Sum Tan
  Tanh TfIdfVectorizer ThresholdedRelu Tile TopK Transpose Trilu Unique Unsqueeze Upsample Where Xor`.split(/\s+/);

const unary = `Abs Acos Acosh Asin Asinh Atan Atanh Ceil Celu Cos Cosh Elu Erf Exp Floor HardSigmoid HardSwish Identity LeakyRelu Log Mish Neg Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softplus
  Softsign Sqrt Tan Tanh ThresholdedRelu`.split(/\s+/);
const binary = ['Add', 'Sub', 'Mul', 'Div', 'Pow', 'Max', 'Min', 'Mean', 'Sum', 'PRelu'];

describe('operator rules', () => {
  it('cover every ONNX operator', () => {
    expect(onnxOperators.filter((opType) => !hasRule(opType))).toEqual([]);
  });

  it.each(unary)('follow channels through %s', async (opType) => {
    const net = new Network(), x = net.input('x', ['batch', 4]);
    const inside = net.op('Sigmoid', [net.linear(x, 4, 8)]); // all these operators are finite on (0, 1) ...
    const shifted = opType === 'Acosh' ? net.op('Add', [inside, net.scalar(1.5)]) : inside; // ... but Acosh
    net.output(net.linear(net.op(opType, [shifted]), 8, 3));
    const { analysis } = await expectExactPruning(net.model(18), { x: [2, 4] });
    expect(analysis.groups.map(({ channels }) => channels)).toEqual([8]);
  });

  it.each(binary)('follow channels through %s of two layers, and of a layer and a constant', async (opType) => {
    const net = new Network(), x = net.input('x', ['batch', 4]), positive = (): string => net.op('Exp', [net.linear(x, 4, 8)]);
    const both = opType === 'PRelu' ? net.linear(x, 4, 8) : net.op(opType, [positive(), positive()]);
    net.output(net.linear(net.op(opType, [both, net.weight([8], { mean: 1 })]), 8, 3));
    const { analysis } = await expectExactPruning(net.model(18), { x: [2, 4] });
    expect(analysis.groups.map(({ channels }) => channels)).toEqual([8]);
  });

  it.each(['ReduceMean', 'ReduceMax', 'ReduceMin', 'ReduceSum', 'ReduceL1', 'ReduceL2', 'ReduceSumSquare'])('count the zeros of pruned channels in %s over them', async (opType) => {
    const net = new Network(), x = net.input('x', ['batch', 4]), y = net.linear(x, 4, 8), over = net.op(opType, [y, ...(opType === 'ReduceSum' ? [net.ints([1])] : [])], { keepdims: 1, ...(opType === 'ReduceSum' ? {} : { axes: [1] }) });
    net.output(net.linear(net.op('Mul', [y, over]), 8, 3));
    const { analysis } = await expectExactPruning(net.model(), { x: [2, 4] });
    expect(analysis.groups.map(({ channels }) => channels)).toEqual([8]);
  });

  it.each(['ReduceMax', 'ReduceMin'])('count them in %s also where Max and Min do not broadcast (opset 7)', async (opType) => {
    const net = new Network(), y = net.conv(net.input('x', ['batch', 3, 4, 4]), 3, 8);
    net.output(net.conv(net.op('Mul', [y, net.op(opType, [y], { axes: [1] })]), 8, 3));
    expect((await expectExactPruning(net.model(7), { x: [2, 3, 4, 4] })).analysis.groups).toHaveLength(1);
  });

  it.each([17, 20])('follow channels through a Fourier transform of the rows of an image (opset %i)', async (opset) => {
    const net = new Network(), x = net.input('x', ['batch', 3, 4, 4]), pixels = net.op('Unsqueeze', [net.conv(x, 3, 8), net.ints([-1])]);
    const spectrum = opset < 20 ? net.op('DFT', [pixels], { axis: 3, onesided: 1 }) : net.op('DFT', [pixels, '', net.ints([3], [])], { onesided: 1 });
    net.output(net.conv(net.op('ReduceSumSquare', [spectrum, ...(opset < 18 ? [] : [net.ints([-1])])], { keepdims: 0, ...(opset < 18 ? { axes: [-1] } : {}) }), 8, 3));
    const { analysis } = await expectExactPruning(net.model(opset), { x: [2, 3, 4, 4] });
    expect(analysis.groups.map(({ channels }) => channels)).toEqual([8]);
  });

  it('freeze what an operator that nobody knows touches, and say so', async () => {
    const net = new Network(), x = net.input('x', ['batch', 4]), y = net.op('Det', [net.op('Reshape', [net.linear(x, 4, 9), net.ints([-1, 3, 3])])]);
    net.output(net.linear(net.op('Relu', [net.linear(net.op('Unsqueeze', [y, net.ints([1])]), 1, 8)]), 8, 3));
    const { analysis } = await expectExactPruning(net.model(), { x: [2, 4] });
    expect(analysis.groups.map(({ channels }) => channels)).toEqual([8]);
    expect(analysis.frozen.map(({ reason }) => reason)).toContain('Det mixes all positions of its axes');
  });
});
