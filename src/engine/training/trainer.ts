import { availableParallelism } from 'node:os';
import type { GraphProto, ModelProto } from 'onnx-buf';
import { channelBlock } from '../autodiff/channelBlock.ts';
import { depthwiseAsProducts, inFastestForm } from '../autodiff/convolve.ts';
import { appendGradients, shapesOf } from '../autodiff/differentiate.ts';
import { type AdamState, type MomentumState, adamStep, appendAdam, appendNesterov } from '../autodiff/optimizers.ts';
import { InputError, UnsupportedModelError } from '../errors.ts';
import { makeNode } from '../onnx/attributes.ts';
import { valueInfo } from '../onnx/buildModel.ts';
import { GraphBuilder } from '../onnx/graphBuilder.ts';
import { GraphView } from '../onnx/graphView.ts';
import { declaredElementType } from '../onnx/elementType.ts';
import { opsetOf } from '../onnx/modelFile.ts';
import { ParallelSession } from '../runtime/parallelSession.ts';
import { Session, type Tensor, floats } from '../runtime/session.ts';
import { type ValueShapes, runShapes } from '../runtime/shapes.ts';
import { type Parameter, packParameters, parametersOf, withParameters } from './parameters.ts';
import { type WhitenedLayer, appendToWeights, appendToWhitened } from './whitening.ts';

type Model = ModelProto & { graph: GraphProto };

export type Optimizer = 'adamw' | 'sgd';
export interface OptimizerOptions {
  /** AdamW (Loshchilov and Hutter 2019), or stochastic gradient descent with Nesterov's momentum. */
  readonly optimizer: Optimizer;
  /** Factor of the velocity [SGD]. */
  readonly momentum: number;
  /** Decay of weights (not of biases and normalisation parameters), relative to the learning rate. */
  readonly weightDecay: number;
  /**
   * AdamW's steps are relative to the size of what they change (the root mean square of a weight's output channel, of a bias vector), as if every
   * channel were trained at unit size: where BatchNormalization was folded in, channels differ in size by orders of magnitude.
   */
  readonly relativeSteps: boolean;
  /** Weights that are zero stay zero: for models that were pruned weight by weight. */
  readonly keepZeros: boolean;
  /** Threads among which a batch is divided, at most; 0 for one a core. */
  readonly threads: number;
}

/** Writes the loss into the graph. @returns its value, and further values to hand out by name; each of one element */
export type LossWriter = (build: GraphBuilder, shapes: ValueShapes) => { loss: string; metrics?: Readonly<Record<string, string>> };

/** What a step needs beside the model's own inputs. */
export interface TrainerSetup extends OptimizerOptions {
  /** Shape of every graph input of the model in every step; the first dimension of each runs over the samples of a batch. */
  readonly inputShapes: Readonly<Record<string, readonly number[]>>;
  /** Layers whose gradients and steps are taken in other coordinates. */
  readonly whitened?: readonly WhitenedLayer[];
  readonly loss: LossWriter;
}

const stateNames: Readonly<Record<Optimizer, readonly string[]>> = { adamw: ['weights', 'mean', 'square'], sgd: ['weights', 'velocity'] };
/** Names of what training adds to a graph, which no model uses. */
export const trainingName = (name: string): string => `training/${name}`;
const updated = (name: string): string => trainingName(`${name}/updated`);

export class DivergedError extends InputError {
  constructor() { super('Training diverged: the loss is not a number. Check the training data for values that are no numbers or far larger than the others.'); }
}

/** More threads than this leave too little of a batch to each. */
const mostThreads = 8;

/** Threads that can share a batch evenly. */
function threadsFor({ inputShapes, threads }: TrainerSetup): number {
  const batches = Object.values(inputShapes).map(([batch = 1]) => batch);
  let count = Math.min(threads || availableParallelism(), mostThreads);
  while (batches.some((batch) => batch % count !== 0)) count--;
  return count;
}

/**
 * Trains the parameters of a model. A step runs one ONNX graph, the forward pass with the loss and its gradients, on as many threads as there are cores, on
 * an equal part of the batch each (operators that only move data use one thread: this is up to half as fast again as giving each operator all threads); and then
 * another, the optimiser's update by the mean of the gradients. The state (parameters and moments, each one vector) goes in and comes out as tensors.
 */
export class Trainer {
  readonly parameters: readonly Parameter[];
  private readonly model: Model;
  private readonly gradients: ParallelSession;
  private readonly update: Session;
  private readonly optimizer: Optimizer;
  private state: Record<string, Float32Array>;
  /** Where the next step writes; then the two change places. */
  private spare: Record<string, Float32Array>;
  private steps = 0;

  private constructor(model: Model, parameters: readonly Parameter[], gradients: ParallelSession, update: Session, { optimizer }: TrainerSetup) {
    this.model = model;
    this.parameters = parameters;
    this.gradients = gradients;
    this.update = update;
    this.optimizer = optimizer;
    const start = packParameters(parameters);
    this.state = Object.fromEntries(stateNames[optimizer].map((name) => [name, name === 'weights' ? start : new Float32Array(start.length)]));
    this.spare = Object.fromEntries(Object.keys(this.state).map((name) => [name, new Float32Array(start.length)]));
  }

  /** @throws {UnsupportedModelError} when the model has nothing to train, does not run at this batch size, or an operator has no gradient */
  static async create(model: Model, setup: TrainerSetup): Promise<Trainer> {
    const parameters = parametersOf(model), threads = threadsFor(setup);
    if (parameters.length === 0) throw new UnsupportedModelError('The model has no float32 weights to train.');
    const graph = await gradientGraph(model, parameters, Object.fromEntries(Object.entries(setup.inputShapes).map(([name, [batch = 1, ...dims]]) => [name, [batch / threads, ...dims]])), setup.loss);
    const update = await Session.create(updateGraph(parameters, threads, setup), { threads: setup.threads });
    try {
      return new Trainer(model, parameters, await ParallelSession.create(graph, threads), update, setup);
    } catch (error) {
      await update.release();
      throw error;
    }
  }

  /**
   * One step of the optimiser on one batch.
   * @param feeds the model's inputs and those that the loss declared; the first dimension of each runs over the batch
   * @returns `loss` and the loss writer's metrics, before the step: means over the threads' parts of the batch
   * @throws {DivergedError} when the loss is not a number any more
   */
  async step(feeds: Readonly<Record<string, Tensor>>, learningRate: number): Promise<Record<string, number>> {
    const { count } = this.gradients, vector = this.state['weights']!, length = vector.length;
    const parts = await this.gradients.run(Array.from({ length: count }, (_, i) => ({ [trainingName('parameters')]: floats(vector, [length]), ...part(feeds, i, count) })));
    const numbers = Object.fromEntries(Object.keys(parts[0]!).filter((name) => name !== gradientName).map((name) => [name.slice(trainingName('').length), parts.reduce((sum, values) => sum + Number(values[name]!.data[0]) / count, 0)]));
    if (!Number.isFinite(numbers['loss']!)) throw new DivergedError();

    const adam = adamStep(this.steps + 1, learningRate);
    const rates = this.optimizer === 'adamw' ? [adam.rate, learningRate, adam.shiftedEpsilon] : [learningRate, learningRate, 0];
    const next = Object.fromEntries(Object.entries(this.spare).map(([name, data]) => [updated(name), floats(data, [length])]));
    await this.update.run({ ...vectors(this.state, stateNames[this.optimizer]), [trainingName('rates')]: floats(Float32Array.from(rates), [3]), ...Object.fromEntries(parts.map((values, i) => [partName(i), values[gradientName]!])) }, next);
    this.steps++;
    [this.state, this.spare] = [this.spare, this.state];
    return numbers;
  }

  /** The model with the parameters as they are now. */
  current(): Model { return withParameters(this.model, this.parameters, this.vector()); }
  /** A copy of all parameters. */
  vector(): Float32Array { return this.state['weights']!.slice(); }

  /** Everything a later trainer of the same model and optimiser needs to go on. */
  save(): { steps: number; arrays: Record<string, Float32Array> } { return { steps: this.steps, arrays: { ...this.state } }; }

  /** @throws {InputError} when it was saved from another model or optimiser */
  load({ steps, arrays }: { steps: number; arrays: Readonly<Record<string, Float32Array>> }): void {
    for (const [name, array] of Object.entries(this.state)) {
      const saved = arrays[name];
      if (saved?.length !== array.length) throw new InputError('The training checkpoint is of another model or optimiser; start the training again.');
      array.set(saved);
    }
    this.steps = steps;
  }

  async release(): Promise<void> {
    await this.gradients.release();
    await this.update.release();
  }
}

const vectors = (state: Readonly<Record<string, Float32Array>>, names: readonly string[]): Record<string, Tensor> => Object.fromEntries(names.map((name) => [trainingName(name), floats(state[name]!, [state[name]!.length])]));

const gradientName = trainingName('gradient');
/** The gradient that one thread found. */
const partName = (thread: number): string => trainingName(`gradient ${thread}`);

/** One of `count` equal parts of a batch. */
function part(feeds: Readonly<Record<string, Tensor>>, index: number, count: number): Record<string, Tensor> {
  return Object.fromEntries(Object.entries(feeds).map(([name, { type, dims: [batch = 1, ...dims], data }]) => {
    const size = data.length / count;
    return [name, { type, dims: [batch / count, ...dims], data: data.subarray(index * size, (index + 1) * size) }];
  }));
}

/** The forward graph with its parameters cut from one input vector, the loss, and its gradient as one vector. */
async function gradientGraph(model: Model, parameters: readonly Parameter[], inputShapes: Readonly<Record<string, readonly number[]>>, writeLoss: LossWriter): Promise<Model> {
  const { graph } = model;
  if (opsetOf(model) < 13) throw new UnsupportedModelError(`Fine-tuning needs ONNX opset 13 or newer; the model has ${opsetOf(model)}. Export it again.`);
  const shapes = await runShapes(model, new GraphView(graph), inputShapes);
  const trained = new Set(parameters.map(({ name }) => name)), total = totalOf(parameters);
  const build = new GraphBuilder({
    ...model,
    opsetImport: model.opsetImport.map((entry) => ((entry.domain === '' || entry.domain === 'ai.onnx') && entry.version < 17n ? { ...entry, version: 17n } : entry)),
    graph: {
      ...graph, output: [],
      input: graph.input.filter(({ name }) => inputShapes[name]).map((input) => valueInfo(input.name, inputShapes[input.name]!, declaredElementType(input))),
      initializer: graph.initializer.filter(({ name }) => !trained.has(name)),
      node: graph.node.filter((node) => !(node.opType === 'Constant' && trained.has(node.output[0]!))),
    },
  });
  build.reserve(trained);
  const forward = build.nodes.splice(0); // what unpacks the parameters comes first
  const pieces = build.split(build.input(trainingName('parameters'), [total]), 0, parameters.map(({ length }) => length));
  parameters.forEach(({ name, dims }, i) => { build.nodes.push(makeNode('Reshape', [pieces[i]!, build.ints(dims)], [name], {}, build.fresh(`unpack ${name}`))); });
  build.nodes.push(...forward);

  const block = await channelBlock(), shapeOf = (value: string): readonly number[] | undefined => shapes.shapes.get(value);
  depthwiseAsProducts(build, shapeOf, block);
  const { loss, metrics = {} } = writeLoss(build, shapes);
  const gradients = appendGradients(build, { loss, wrt: parameters.map(({ name }) => name), shapes: await shapesOf(build), block });
  inFastestForm(build, shapeOf, block);
  build.output(build.concat(gradients.map((value, i) => build.reshape(value, [parameters[i]!.length])), 0), gradientName, [total]);
  for (const [name, value] of Object.entries({ loss, ...metrics })) build.output(build.reshape(value, []), trainingName(name), []);
  return build.model();
}

/** The optimiser's step: from its state and the gradients of all threads to its next state. */
function updateGraph(parameters: readonly Parameter[], threads: number, setup: OptimizerOptions & Pick<TrainerSetup, 'whitened'>): Model {
  const build = new GraphBuilder(), total = totalOf(parameters), { optimizer, whitened } = setup, start = packParameters(parameters);
  const state = Object.fromEntries(stateNames[optimizer].map((name) => [name, build.input(trainingName(name), [total])])), weights = state['weights']!;
  const parts = Array.from({ length: threads }, (_, i) => build.input(partName(i), [total])), average = build.op('Mean', parts);
  const [rate, plainRate, epsilon] = build.split(build.input(trainingName('rates'), [3]), 0, [1, 1, 1]) as [string, string, string];
  const decay = setup.weightDecay > 0 ? build.floats([total], perElement(parameters, total, ({ isWeight }) => (isWeight ? setup.weightDecay : 0))) : undefined;
  const kept = setup.keepZeros ? build.floats([total], perElement(parameters, total, ({ isWeight }, i) => (isWeight && start[i] === 0 ? 0 : 1))) : undefined;
  const toWhitened = (gradient: string): string => (whitened ? appendToWhitened(build, gradient, parameters, whitened, kept) : gradient);
  const toWeights = (step: string): string => (whitened ? appendToWeights(build, step, parameters, whitened, kept) : step);
  const next: Record<string, string> = optimizer === 'adamw'
    ? stateOf(appendAdam(build, { parameters: weights, mean: state['mean']!, square: state['square']! }, toWhitened(average), setup.relativeSteps ? build.mul(build.floats([total], channelSizes(parameters, total, whitened)), rate) : rate, epsilon, decay ? build.mul(decay, plainRate) : undefined, toWeights))
    : stateOf(appendNesterov(build, { parameters: weights, velocity: state['velocity']! }, toWhitened(decay ? build.add(average, build.mul(decay, weights)) : average), rate, setup.momentum, toWeights));
  if (kept !== undefined) next['weights'] = build.mul(next['weights']!, kept);
  for (const name of stateNames[optimizer]) build.output(next[name]!, updated(name), [total]);
  return build.model();
}

/** An optimiser's state by the trainer's names. */
const stateOf = ({ parameters, ...moments }: AdamState | MomentumState): Record<string, string> => ({ weights: parameters, ...moments });

const totalOf = (parameters: readonly Parameter[]): number => parameters.reduce((sum, { length }) => sum + length, 0);

/** For each element the root mean square of its output channel (a weight) or of its tensor, but at least a hundredth of the tensor's. */
function channelSizes(parameters: readonly Parameter[], total: number, whitened: readonly WhitenedLayer[] = []): Float32Array {
  const start = packParameters(parameters), sizes = new Float32Array(total);
  for (const { offset, length, dims, outAxis } of parameters) {
    const channels = outAxis >= 0 ? dims[outAxis]! : 1, inner = outAxis >= 0 ? dims.slice(outAxis + 1).reduce((a, b) => a * b, 1) : length;
    const squares = new Float64Array(channels), channelOf = (i: number): number => Math.floor(i / inner) % channels;
    for (let i = 0; i < length; i++) squares[channelOf(i)]! += start[offset + i]! ** 2 * channels / length;
    const floor = Math.max(1e-4, 0.01 * Math.sqrt(squares.reduce((a, b) => a + b, 0) / channels));
    for (let i = 0; i < length; i++) sizes[offset + i] = Math.max(floor, Math.sqrt(squares[channelOf(i)]!));
  }
  for (const { weight, bias, inputs, sizes: rows } of whitened) {
    rows.forEach((size, o) => {
      sizes.fill(size, weight.offset + o * inputs, weight.offset + (o + 1) * inputs);
      if (bias) sizes[bias.offset + o] = size * Math.sqrt(inputs);
    });
  }
  return sizes;
}

function perElement(parameters: readonly Parameter[], total: number, value: (parameter: Parameter, index: number) => number): Float32Array {
  const vector = new Float32Array(total);
  for (const parameter of parameters) for (let i = parameter.offset; i < parameter.offset + parameter.length; i++) vector[i] = value(parameter, i);
  return vector;
}
