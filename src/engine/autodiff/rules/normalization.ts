import { floatAttribute, intAttribute } from '../../onnx/attributes.ts';
import type { GraphBuilder } from '../../onnx/graphBuilder.ts';
import { type Rule, type Rules, frontAxis, outputGradient, product, range, unbroadcast, unsupported, withoutPoles } from '../rule.ts';

/** BatchNormalization-15 as at inference: y = (x - mean) / sqrt(var + epsilon) * scale + bias with fixed statistics, an affine map. */
const batchNormalization: Rule = (context) => {
  const { node, build, shape, wants } = context;
  if (intAttribute(node, 'training_mode', 0) !== 0) throw unsupported(node, 'it is in training mode');
  if (wants(3) || wants(4)) throw unsupported(node, 'its statistics depend on what is trained');
  const [x, scale, , mean, variance] = node.input as [string, string, string, string, string];
  const g = outputGradient(context), dims = shape(x), others = range(dims.length).filter((axis) => axis !== 1);
  const inverse = build.div(1, build.sqrt(build.add(variance, floatAttribute(node, 'epsilon', 1e-5))));
  const perChannel = (value: string): string => build.reshape(value, [1, dims[1]!, ...dims.slice(2).map(() => 1)]);
  const total = build.sum(g, others);
  return [
    wants(0) ? build.mul(g, perChannel(build.mul(scale, inverse))) : undefined,
    wants(1) ? build.mul(inverse, build.sub(build.sum(build.mul(g, x), others), build.mul(mean, total))) : undefined,
    wants(2) ? total : undefined,
  ];
};

/**
 * The gradient through standardisation, xhat = (x - mean(x)) / sqrt(var(x) + epsilon) over some axes:
 * (g - mean(g) - xhat * mean(g * xhat)) / sqrt(var(x) + epsilon). @param axes standardised together
 */
function throughStandardisation(build: GraphBuilder, x: string, g: string, dims: readonly number[], axes: readonly number[], epsilon: number): { gradient: string; xhat: string } {
  const share = 1 / product(axes.map((axis) => dims[axis]!)), mean = (value: string): string => build.mul(build.sum(value, axes, true), share);
  const centred = build.sub(x, mean(x));
  const inverse = build.div(1, build.sqrt(build.add(mean(build.mul(centred, centred)), epsilon)));
  const xhat = build.mul(centred, inverse);
  const rest = build.sub(build.sub(g, mean(g)), build.mul(xhat, mean(build.mul(g, xhat))));
  return { gradient: build.mul(rest, inverse), xhat };
}

/** LayerNormalization-17. */
const layerNormalization: Rule = (context) => {
  const { node, build, shape, wants } = context;
  const [x, scale, bias] = node.input as [string, string, string | undefined], g = outputGradient(context), dims = shape(x);
  const axes = range(dims.length).slice(frontAxis(intAttribute(node, 'axis', -1), dims.length));
  const { gradient, xhat } = throughStandardisation(build, x, build.mul(g, scale), dims, axes, floatAttribute(node, 'epsilon', 1e-5));
  return [
    wants(0) ? gradient : undefined,
    wants(1) ? unbroadcast(build, build.mul(g, xhat), dims, shape(scale)) : undefined,
    wants(2) ? unbroadcast(build, g, dims, shape(bias!)) : undefined,
  ];
};

/** RMSNormalization-23, which onnxruntime also calls SimplifiedLayerNormalization: y = xhat * scale, xhat = x / sqrt(mean(x^2) + epsilon) over the last axes. */
const rootMeanSquare: Rule = (context) => {
  const { node, build, shape, wants } = context;
  const [x, scale] = node.input as [string, string], g = outputGradient(context), dims = shape(x);
  const axes = range(dims.length).slice(frontAxis(intAttribute(node, 'axis', -1), dims.length)), share = 1 / product(axes.map((axis) => dims[axis]!));
  const mean = (value: string): string => build.mul(build.sum(value, axes, true), share);
  const inverse = build.div(1, build.sqrt(build.add(mean(build.mul(x, x)), floatAttribute(node, 'epsilon', 1e-5))));
  const xhat = build.mul(x, inverse), weighted = build.mul(g, scale);
  return [
    wants(0) ? build.mul(build.sub(weighted, build.mul(xhat, mean(build.mul(weighted, xhat)))), inverse) : undefined,
    wants(1) ? unbroadcast(build, build.mul(g, xhat), dims, shape(scale)) : undefined,
  ];
};

/** InstanceNormalization-6, and GroupNormalization-21 (scale and bias a channel): channels in groups are standardised together. */
const grouped = (groupsOf: (channels: number, attribute: number) => number): Rule => (context) => {
  const { node, build, shape, wants } = context;
  const [x, scale] = node.input as [string, string], g = outputGradient(context), dims = shape(x), channels = dims[1]!;
  if (shape(scale)[0] !== channels) throw unsupported(node, 'its scale is not one number a channel');
  const groups = groupsOf(channels, intAttribute(node, 'num_groups', 1));
  const inGroups = [dims[0]!, groups, product(dims.slice(1)) / groups], perChannel = [1, channels, ...dims.slice(2).map(() => 1)], others = range(dims.length).filter((axis) => axis !== 1);
  const weighted = build.reshape(build.mul(g, build.reshape(scale, perChannel)), inGroups);
  const { gradient, xhat } = throughStandardisation(build, build.reshape(x, inGroups), weighted, inGroups, [2], floatAttribute(node, 'epsilon', 1e-5));
  return [
    wants(0) ? build.reshape(gradient, dims) : undefined,
    wants(1) ? build.sum(build.mul(g, build.reshape(xhat, dims)), others) : undefined,
    wants(2) ? build.sum(g, others) : undefined,
  ];
};

/** Softmax-13: y * (g - sum(g * y)) along the axis. */
const softmax: Rule = (context) => {
  const { node, build, shape } = context;
  const y = node.output[0]!, axis = frontAxis(intAttribute(node, 'axis', -1), shape(y).length), g = outputGradient(context);
  return [build.mul(y, build.sub(g, build.sum(build.mul(g, y), [axis], true)))];
};

const logSoftmax: Rule = (context) => {
  const { node, build, shape } = context;
  const y = node.output[0]!, axis = frontAxis(intAttribute(node, 'axis', -1), shape(y).length), g = outputGradient(context);
  return [build.sub(g, build.mul(build.op('Exp', [y]), build.sum(g, [axis], true)))];
};

/** LpNormalization-1 with p = 2: x / |x|, and 0 for a vector of zeros. */
const lpNormalization: Rule = (context) => {
  const { node, build, shape } = context;
  if (intAttribute(node, 'p', 2) !== 2) throw unsupported(node, 'its p is not 2');
  const x = node.input[0]!, y = node.output[0]!, axis = frontAxis(intAttribute(node, 'axis', -1), shape(x).length), g = outputGradient(context);
  const norm = build.sqrt(build.sum(build.mul(x, x), [axis], true));
  return [build.mul(build.sub(g, build.mul(y, build.sum(build.mul(g, y), [axis], true))), withoutPoles(build, build.op('Reciprocal', [norm])))];
};

export const normalizationRules: Rules = {
  BatchNormalization: batchNormalization, LayerNormalization: layerNormalization, RMSNormalization: rootMeanSquare, SimplifiedLayerNormalization: rootMeanSquare,
  InstanceNormalization: grouped((channels) => channels), GroupNormalization: grouped((_channels, groups) => groups),
  Softmax: softmax, LogSoftmax: logSoftmax, LpNormalization: lpNormalization,
};
