import type { GraphProto, ModelProto } from 'onnx-buf';
import { withoutPoles } from '../autodiff/rule.ts';
import { UnsupportedModelError } from '../errors.ts';
import type { JudgedOutput } from '../evaluation/judge.ts';
import { GraphView } from '../onnx/graphView.ts';
import { DataType } from '../onnx/tensor.ts';
import { type Tensor, floats } from '../runtime/session.ts';
import { type LossWriter, trainingName } from './trainer.ts';

type Model = ModelProto & { graph: GraphProto };

/** The output that scores classes, and whether it does so by a single score. */
export type ClassOutput = Pick<JudgedOutput, 'name' | 'binary'>;

/** Operators that give single scores another shape. */
const reshaping = new Set(['Identity', 'Reshape', 'Flatten', 'Squeeze', 'Unsqueeze']);

/** The value that holds a classifier's logits: its output [the first], or what goes into the Softmax that makes it; where this is a single score, what goes into its Sigmoid. */
export function logitsOf(model: Model, { name, binary }: Partial<ClassOutput> = {}): string {
  const view = new GraphView(model.graph), output = name ?? view.outputs[0];
  if (output === undefined) throw new UnsupportedModelError('The model has no output to train.');
  let producer = view.producers.get(output);
  while (binary && producer && reshaping.has(producer.opType)) producer = view.producers.get(producer.input[0]!);
  return producer?.opType === (binary ? 'Sigmoid' : 'Softmax') ? producer.input[0]! : output;
}

/** How much a classifier's loss listens to whom. */
export interface ClassificationLoss {
  /** Share of distillation from the teacher; the rest is cross-entropy on the labels. */
  readonly distillation: number;
  /** Softens both distributions (Hinton, Vinyals, Dean 2015). */
  readonly temperature: number;
}

const labelsName = trainingName('labels'), otherLabelsName = trainingName('otherLabels'), sharesName = trainingName('shares');
export const teacherLogitsName = trainingName('teacherLogits');

/**
 * Feeds of the cross-entropy on labels.
 * @param shares how much of the next image of the batch is blended into each, whose label then counts for as much (mixup, Zhang et al. 2018); none where left out
 */
export function labelFeeds(labels: ArrayLike<number>, shares: Float32Array = new Float32Array(labels.length)): Record<string, Tensor> {
  const batch = labels.length, classes = Array.from(labels, BigInt), column = (values: readonly bigint[]): Tensor => ({ type: 'int64', dims: [batch], data: BigInt64Array.from(values) });
  return { [labelsName]: column(classes), [otherLabelsName]: column(classes.map((_, n) => classes[(n + 1) % batch]!)), [sharesName]: floats(shares, [batch, 1]) };
}

/**
 * (1 - d) * cross-entropy(labels) + d * T^2 * KL(teacher || student) at temperature T, means over the batch.
 * Logits are [batch, classes], or the same with axes of length 1 behind them; a single one a sample, also [batch], is that of class 1 beside 0 for class 0. Declares the inputs of `labelFeeds` where d < 1 and `teacherLogitsName` (of the logits' shape) where d > 0; hands out `correct`, the share of
 * the batch that is classified as the label says, or as the teacher does where there are no labels.
 */
export function classificationLoss(logits: string, { distillation, temperature }: ClassificationLoss): LossWriter {
  return (build, { shapes }) => {
    const dims = shapes.get(logits)!;
    const [batch, scores = 1, ...places] = dims as [number, ...number[]], classes = Math.max(2, scores);
    if (dims.length < 1 || places.some((length) => length !== 1)) throw new UnsupportedModelError(`Learning classes needs an output of shape [batch, classes], but "${logits}" has [${dims.join(', ')}].`);
    /** Scores as [batch, classes]; classes that a network excludes by minus infinity are very unlikely ones: zero times the logarithm of their probability is then zero. */
    const finite = (value: string): string => build.op('Clip', [dims.length === 2 ? value : build.reshape(value, [batch, scores]), -1e30]);
    const ofClasses = (value: string): string => (scores === 1 ? build.concat([build.zeros([batch, 1]), finite(value)], 1) : finite(value)), own = ofClasses(logits);
    const argMax = (value: string): string => build.op('ArgMax', [value], { axis: 1, keepdims: 0 });
    const parts: string[] = [];
    let truth: string | undefined;
    if (distillation < 1) {
      const labels = build.input(labelsName, [batch], DataType.INT64), others = build.input(otherLabelsName, [batch], DataType.INT64);
      const oneHot = (values: string): string => build.op('OneHot', [values, build.scalarInt(classes), build.floats([2], Float32Array.of(0, 1))]), label = oneHot(labels);
      const wanted = build.add(label, build.mul(build.sub(oneHot(others), label), build.input(sharesName, [batch, 1])));
      const total = build.op('ReduceSum', [build.mul(wanted, build.op('LogSoftmax', [own], { axis: 1 }))], { keepdims: 0 });
      parts.push(build.mul(total, -(1 - distillation) / batch));
      truth = labels;
    }
    if (distillation > 0) {
      const teacher = build.mul(ofClasses(build.input(teacherLogitsName, dims)), 1 / temperature), student = build.mul(own, 1 / temperature);
      const gap = build.sub(build.op('LogSoftmax', [teacher], { axis: 1 }), build.op('LogSoftmax', [student], { axis: 1 }));
      const total = build.op('ReduceSum', [build.mul(build.op('Softmax', [teacher], { axis: 1 }), gap)], { keepdims: 0 });
      parts.push(build.mul(total, distillation * temperature ** 2 / batch));
      truth ??= argMax(teacher);
    }
    const hits = build.op('Cast', [build.op('Equal', [argMax(own), truth!])], { to: DataType.FLOAT });
    return { loss: parts.reduce((a, b) => build.add(a, b)), metrics: { correct: build.meanOfAll(hits, batch) } };
  };
}

/** For each of some values `weight` divided by their number times the squared distance from its target, the input `targetName(value)`, relative to the target's own square; targets of zeros only tell nothing. */
export function matchingLoss(values: readonly string[], weight: number): LossWriter {
  return (build, { shapes }) => {
    const squares = (value: string): string => build.op('ReduceSum', [build.mul(value, value)], { keepdims: 0 });
    const parts = values.map((value) => {
      const target = build.input(targetName(value), shapes.get(value)!);
      return build.mul(squares(build.sub(value, target)), withoutPoles(build, build.op('Reciprocal', [squares(target)])));
    });
    return { loss: build.mul(parts.reduce((a, b) => build.add(a, b)), weight / parts.length) };
  };
}

/** The sum of losses, with the metrics of all of them. */
export const sumOfLosses = (writers: readonly LossWriter[]): LossWriter => (build, shapes) => {
  const written = writers.map((write) => write(build, shapes));
  return { loss: written.map(({ loss }) => loss).reduce((a, b) => build.add(a, b)), metrics: Object.assign({}, ...written.map(({ metrics }) => metrics)) as Record<string, string> };
};

export const targetName = (value: string): string => trainingName(`target of ${value}`);
