import { describe, expect, it } from 'vitest';
import { makeNode } from '../../../src/engine/onnx/attributes.ts';
import { valueInfo } from '../../../src/engine/onnx/buildModel.ts';
import { GraphBuilder } from '../../../src/engine/onnx/graphBuilder.ts';
import { Session, floats } from '../../../src/engine/runtime/session.ts';
import { classificationLoss, labelFeeds, logitsOf, matchingLoss, targetName, teacherLogitsName } from '../../../src/engine/training/losses.ts';

const logits = [[2, -1, 0.5], [0, 1, 3], [-2, 0.5, 0.25]], teacher = [[1, 0, 0], [0.5, 0.5, 2], [1, 3, -1]], labels = [0, 2, 2], shares = [0.5, 0.125, 0.25];
const softmax = (row: readonly number[], temperature = 1): number[] => { const powers = row.map((x) => Math.exp(x / temperature)), sum = powers.reduce((a, b) => a + b, 0); return powers.map((x) => x / sum); };

async function lossOf(distillation: number, feeds: Parameters<Session['run']>[0], rows = logits): Promise<{ loss: number; correct: number }> {
  const build = new GraphBuilder(), scores = build.input('scores', [3, 3]), { loss, metrics } = classificationLoss(scores, { distillation, temperature: 4 })(build, { shapes: new Map([[scores, [3, 3]]]), small: new Map(), inputShapes: { scores: [3, 3] } });
  build.output(loss, 'loss', []);
  build.output(metrics!['correct']!, 'correct', []);
  const session = await Session.create(build.model());
  try {
    const results = await session.run({ scores: floats(Float32Array.from(rows.flat()), [3, 3]), ...feeds });
    return { loss: Number(results['loss']!.data[0]), correct: Number(results['correct']!.data[0]) };
  } finally { await session.release(); }
}

describe('the loss of a classifier', () => {
  const crossEntropy = (weights: (n: number, c: number) => number): number => logits.reduce((sum, row, n) => sum - softmax(row).reduce((own, p, c) => own + weights(n, c) * Math.log(p), 0), 0) / 3;

  it('is cross-entropy on labels', async () => {
    const { loss, correct } = await lossOf(0, labelFeeds(labels));
    expect(loss).toBeCloseTo(crossEntropy((n, c) => Number(labels[n] === c)), 5);
    expect(correct).toBeCloseTo(2 / 3, 5);
  });

  it('counts the label of a blended image as much as the image', async () => {
    const { loss } = await lossOf(0, labelFeeds(labels, Float32Array.from(shares)));
    expect(loss).toBeCloseTo(crossEntropy((n, c) => (1 - shares[n]!) * Number(labels[n] === c) + shares[n]! * Number(labels[(n + 1) % 3] === c)), 5);
  });

  it('mixes it with what the teacher answers, softened', async () => {
    const { loss } = await lossOf(0.75, { ...labelFeeds(labels), [teacherLogitsName]: floats(Float32Array.from(teacher.flat()), [3, 3]) });
    const divergence = teacher.reduce((sum, row, n) => { const wanted = softmax(row, 4), own = softmax(logits[n]!, 4); return sum + wanted.reduce((a, p, c) => a + p * Math.log(p / own[c]!), 0); }, 0) / 3;
    expect(loss).toBeCloseTo(0.25 * crossEntropy((n, c) => Number(labels[n] === c)) + 0.75 * 16 * divergence, 4);
  });

  it('takes classes that a network excludes by minus infinity for such as have no probability', async () => {
    const without = (rows: readonly number[][]): number[][] => rows.map(([a, b]) => [a!, b!, -Infinity]), feeds = (rows: readonly number[][]): Parameters<Session['run']>[0] => ({ ...labelFeeds([0, 1, 1]), [teacherLogitsName]: floats(Float32Array.from(rows.flat()), [3, 3]) });
    const { loss } = await lossOf(0.75, feeds(without(teacher)), without(logits));
    const divergence = teacher.reduce((sum, row, n) => { const wanted = softmax(row.slice(0, 2), 4), own = softmax(logits[n]!.slice(0, 2), 4); return sum + wanted.reduce((a, p, c) => a + p * Math.log(p / own[c]!), 0); }, 0) / 3;
    const entropy = -logits.reduce((sum, row, n) => sum + Math.log(softmax(row.slice(0, 2))[[0, 1, 1][n]!]!), 0) / 3;
    expect(loss).toBeCloseTo(0.25 * entropy + 0.75 * 16 * divergence, 4);
  });
});

describe('the loss of a single score', () => {
  it.each([[[3]], [[3, 1]], [[3, 1, 1, 1]]])('of shape %j is that of two classes, of which the first scores 0', async (dims) => {
    const own = [1.5, -0.5, 3], others = [0.5, 2, -1], classes = [1, 0, 1], sigmoid = (z: number): number => 1 / (1 + Math.exp(-z)), build = new GraphBuilder(), scores = build.input('scores', dims);
    const { loss, metrics } = classificationLoss(scores, { distillation: 0.75, temperature: 4 })(build, { shapes: new Map([[scores, dims]]), small: new Map(), inputShapes: { scores: dims } });
    for (const [name, value] of Object.entries({ loss, ...metrics })) build.output(value, name, []);
    const session = await Session.create(build.model()), given = await session.run({ scores: floats(Float32Array.from(own), dims), [teacherLogitsName]: floats(Float32Array.from(others), dims), ...labelFeeds(classes) });
    await session.release();
    const entropy = own.reduce((sum, z, n) => sum - Math.log(sigmoid(classes[n] === 1 ? z : -z)), 0) / 3;
    const divergence = own.reduce((sum, z, n) => sum + [1, -1].reduce((both, sign) => { const wanted = sigmoid((sign * others[n]!) / 4); return both + wanted * Math.log(wanted / sigmoid((sign * z) / 4)); }, 0), 0) / 3;
    expect(Number(given['loss']!.data[0])).toBeCloseTo(0.25 * entropy + 0.75 * 16 * divergence, 4);
    expect(Number(given['correct']!.data[0])).toBe(1);
  });

  it('takes the logits of the output that is judged', () => {
    const build = new GraphBuilder(), x = build.input('x', ['n', 4]), z = build.op('Gemm', [x, build.floats([4, 1], new Float32Array(4))]), more = build.op('Gemm', [x, build.floats([4, 3], new Float32Array(12))]);
    build.output(build.op('Squeeze', [build.op('Sigmoid', [z]), build.ints([1])]), 'single', ['n']);
    build.nodes.push(makeNode('Softmax', [more], ['several']));
    build.outputs.push(valueInfo('several', ['n', 3]));
    build.output(build.op('Sigmoid', [more]), 'independent', ['n', 3]);
    const model = build.model();
    expect([logitsOf(model, { name: 'single', binary: true }), logitsOf(model, { name: 'several', binary: false }), logitsOf(model, { name: 'independent', binary: false })]).toEqual([z, more, 'independent']);
  });
});

describe('the loss of features', () => {
  it('is the squared distance relative to the target, and leaves out a target of zeros', async () => {
    const build = new GraphBuilder(), values = [build.input('a', [2, 2]), build.input('b', [2, 2])], shapes = new Map(values.map((value) => [value, [2, 2]]));
    build.output(matchingLoss(values, 3)(build, { shapes, small: new Map(), inputShapes: {} }).loss, 'loss', []);
    const session = await Session.create(build.model()), tensor = (...data: number[]): ReturnType<typeof floats> => floats(Float32Array.from(data), [2, 2]);
    const { loss } = await session.run({ a: tensor(1, 2, 3, 4), b: tensor(1, 1, 1, 1), [targetName('a')]: tensor(1, 2, 3, 2), [targetName('b')]: tensor(0, 0, 0, 0) });
    await session.release();
    expect(Number(loss!.data[0])).toBeCloseTo(3 / 2 * 4 / 18, 5);
  });
});
