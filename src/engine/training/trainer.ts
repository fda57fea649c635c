import type { GraphProto, ModelProto, ValueInfoProto } from 'onnx-buf';
import { depthwiseAsProducts, smallAsProducts } from '../autodiff/convolve.ts';
import { appendGradients, shapesOf } from '../autodiff/differentiate.ts';
import { adamStep, appendAdam, appendNesterov } from '../autodiff/optimizers.ts';
import { InputError, UnsupportedModelError } from '../errors.ts';
import { makeNode } from '../onnx/attributes.ts';
import { GraphBuilder, tensorValueInfo } from '../onnx/graphBuilder.ts';
import { GraphView } from '../onnx/graphView.ts';
import { opsetOf } from '../onnx/modelFile.ts';
import { DataType } from '../onnx/tensor.ts';
import { Session, type Tensor, floats } from '../runtime/session.ts';
import { type ValueShapes, runShapes } from '../runtime/shapes.ts';
import { type Parameter, packParameters, parametersOf, withParameters } from './parameters.ts';

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
  /** Threads inside one operator, 0 for onnxruntime's choice. */
  readonly threads: number;
}

/** Writes the loss into the graph. @returns its value, and further values to hand out by name; each of one element */
export type LossWriter = (build: GraphBuilder, shapes: ValueShapes) => { loss: string; metrics?: Readonly<Record<string, string>> };

/** What a step needs beside the model's own inputs. */
export interface TrainerSetup extends OptimizerOptions {
  /** Shape of every graph input of the model in every step. */
  readonly inputShapes: Readonly<Record<string, readonly number[]>>;
  readonly loss: LossWriter;
}

const stateNames: Readonly<Record<Optimizer, readonly string[]>> = { adamw: ['parameters', 'mean', 'square'], sgd: ['parameters', 'velocity'] };
/** Names of what training adds to a graph, which no model uses. */
export const trainingName = (name: string): string => `training/${name}`;
const updated = (name: string): string => trainingName(`${name}/updated`);

/**
 * Trains the parameters of a model: one run of one ONNX graph a step does the forward pass, the loss, its gradients and the optimiser's
 * update. The state (parameters and moments, each one vector) goes in and comes out as tensors that are never copied.
 */
export class Trainer {
  readonly parameters: readonly Parameter[];
  private readonly model: Model;
  private readonly session: Session;
  private readonly optimizer: Optimizer;
  private readonly metrics: readonly string[];
  private state: Record<string, Float32Array>;
  /** Where the next step writes; then the two change places. */
  private spare: Record<string, Float32Array>;
  private steps = 0;

  private constructor(model: Model, parameters: readonly Parameter[], session: Session, optimizer: Optimizer, metrics: readonly string[]) {
    this.model = model;
    this.parameters = parameters;
    this.session = session;
    this.optimizer = optimizer;
    this.metrics = metrics;
    const start = packParameters(parameters), names = stateNames[optimizer];
    this.state = Object.fromEntries(names.map((name) => [name, name === 'parameters' ? start : new Float32Array(start.length)]));
    this.spare = Object.fromEntries(names.map((name) => [name, new Float32Array(start.length)]));
  }

  /** @throws {UnsupportedModelError} when the model has nothing to train, does not run at this batch size, or an operator has no gradient */
  static async create(model: Model, setup: TrainerSetup): Promise<Trainer> {
    const parameters = parametersOf(model);
    if (parameters.length === 0) throw new UnsupportedModelError('The model has no float32 weights to train.');
    const { build, metrics } = await stepGraph(model, parameters, setup);
    return new Trainer(model, parameters, await Session.create(build.model(), { threads: setup.threads }), setup.optimizer, metrics);
  }

  /**
   * One step of the optimiser on one batch.
   * @param feeds the model's inputs and those that the loss declared
   * @returns `loss` and the loss writer's metrics, before the step
   * @throws {InputError} when the loss is not a number any more
   */
  async step(feeds: Readonly<Record<string, Tensor>>, learningRate: number): Promise<Record<string, number>> {
    const adam = adamStep(this.steps + 1, learningRate);
    const rates = this.optimizer === 'adamw' ? [adam.rate, learningRate, adam.shiftedEpsilon] : [learningRate, learningRate, 0];
    const results = Object.fromEntries(this.metrics.map((name) => [trainingName(name), floats(new Float32Array(1), [])]));
    const next = Object.fromEntries(Object.entries(this.spare).map(([name, data]) => [updated(name), floats(data, [data.length])]));
    await this.session.run({ ...vectors(this.state), [trainingName('rates')]: floats(Float32Array.from(rates), [3]), ...feeds }, { ...next, ...results });
    const numbers = Object.fromEntries(this.metrics.map((name) => [name, results[trainingName(name)]!.data[0]!]));
    if (!Number.isFinite(numbers['loss']!)) throw new InputError('Training diverged (the loss is not a number). Use a smaller learning rate.');
    this.steps++;
    [this.state, this.spare] = [this.spare, this.state];
    return numbers;
  }

  /** The model with the parameters as they are now. */
  current(): Model { return withParameters(this.model, this.parameters, this.vector()); }
  /** A copy of all parameters. */
  vector(): Float32Array { return this.state['parameters']!.slice(); }

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

  async release(): Promise<void> { await this.session.release(); }
}

const vectors = (state: Readonly<Record<string, Float32Array>>): Record<string, Tensor> => Object.fromEntries(Object.entries(state).map(([name, data]) => [trainingName(name), floats(data, [data.length])]));

/** The forward graph with its parameters cut from one input vector, then loss, gradients and update. */
async function stepGraph(model: Model, parameters: readonly Parameter[], setup: TrainerSetup): Promise<{ build: GraphBuilder; metrics: string[] }> {
  const { inputShapes } = setup, { graph } = model;
  if (opsetOf(model) < 13) throw new UnsupportedModelError(`Fine-tuning needs ONNX opset 13 or newer; the model has ${opsetOf(model)}. Export it again.`);
  const shapes = await runShapes(model, new GraphView(graph), inputShapes);
  const trained = new Set(parameters.map(({ name }) => name)), total = parameters.reduce((sum, { length }) => sum + length, 0);
  const build = new GraphBuilder({
    ...model,
    opsetImport: model.opsetImport.map((entry) => (entry.domain === '' && entry.version < 17n ? { ...entry, version: 17n } : entry)),
    graph: {
      ...graph, output: [],
      input: graph.input.filter(({ name }) => inputShapes[name]).map((input) => tensorValueInfo(input.name, inputShapes[input.name]!, elementTypeOf(input))),
      initializer: graph.initializer.filter(({ name }) => !trained.has(name)),
      node: graph.node.filter((node) => !(node.opType === 'Constant' && trained.has(node.output[0]!))),
    },
  });
  build.reserve(trained);
  const forward = build.nodes.splice(0); // what unpacks the parameters comes first
  const vector = build.input(trainingName('parameters'), [total]);
  const pieces = build.split(vector, 0, parameters.map(({ length }) => length));
  parameters.forEach(({ name, dims }, i) => { build.nodes.push(makeNode('Reshape', [pieces[i]!, build.ints(dims)], [name], {}, build.fresh(`unpack ${name}`))); });
  build.nodes.push(...forward);

  depthwiseAsProducts(build, (value) => shapes.shapes.get(value));
  const { loss, metrics = {} } = setup.loss(build, shapes);
  const gradients = appendGradients(build, { loss, wrt: parameters.map(({ name }) => name), shapes: await shapesOf(build) });
  smallAsProducts(build, (value) => shapes.shapes.get(value));
  const [rate, plainRate, epsilon] = build.split(build.input(trainingName('rates'), [3]), 0, [1, 1, 1]) as [string, string, string];
  const gradient = build.concat(gradients.map((value, i) => build.reshape(value, [parameters[i]!.length])), 0);

  const decay = setup.weightDecay > 0 ? build.floats([total], perElement(parameters, total, ({ isWeight }) => (isWeight ? setup.weightDecay : 0))) : undefined;
  const state = Object.fromEntries(stateNames[setup.optimizer].map((name) => [name, name === 'parameters' ? vector : build.input(trainingName(name), [total])]));
  const next: Record<string, string> = setup.optimizer === 'adamw'
    ? { ...appendAdam(build, { parameters: vector, mean: state['mean']!, square: state['square']! }, gradient, setup.relativeSteps ? build.mul(build.floats([total], channelSizes(parameters, total)), rate) : rate, epsilon, decay ? build.mul(decay, plainRate) : undefined) }
    : { ...appendNesterov(build, { parameters: vector, velocity: state['velocity']! }, decay ? build.add(gradient, build.mul(decay, vector)) : gradient, rate, setup.momentum) };
  if (setup.keepZeros) {
    const start = packParameters(parameters);
    next['parameters'] = build.mul(next['parameters']!, build.floats([total], perElement(parameters, total, ({ isWeight }, i) => (isWeight && start[i] === 0 ? 0 : 1))));
  }
  for (const name of stateNames[setup.optimizer]) build.output(next[name]!, updated(name), [total]);
  const results = { loss, ...metrics };
  for (const [name, value] of Object.entries(results)) build.output(build.reshape(value, []), trainingName(name), []);
  return { build, metrics: Object.keys(results) };
}

/** For each element the root mean square of its output channel (a weight) or of its tensor, but at least a hundredth of the tensor's. */
function channelSizes(parameters: readonly Parameter[], total: number): Float32Array {
  const start = packParameters(parameters), sizes = new Float32Array(total);
  for (const { offset, length, dims, outAxis } of parameters) {
    const channels = outAxis >= 0 ? dims[outAxis]! : 1, inner = outAxis >= 0 ? dims.slice(outAxis + 1).reduce((a, b) => a * b, 1) : length;
    const squares = new Float64Array(channels), channelOf = (i: number): number => Math.floor(i / inner) % channels;
    for (let i = 0; i < length; i++) squares[channelOf(i)]! += start[offset + i]! ** 2 * channels / length;
    const floor = Math.max(1e-4, 0.01 * Math.sqrt(squares.reduce((a, b) => a + b, 0) / channels));
    for (let i = 0; i < length; i++) sizes[offset + i] = Math.max(floor, Math.sqrt(squares[channelOf(i)]!));
  }
  return sizes;
}

const elementTypeOf = (input: ValueInfoProto): number => (input.type?.value.case === 'tensorType' ? input.type.value.value.elemType : DataType.FLOAT);

function perElement(parameters: readonly Parameter[], total: number, value: (parameter: Parameter, index: number) => number): Float32Array {
  const vector = new Float32Array(total);
  for (const parameter of parameters) for (let i = parameter.offset; i < parameter.offset + parameter.length; i++) vector[i] = value(parameter, i);
  return vector;
}
