import { adamStep, appendAdam } from '../autodiff/optimizers.ts';
import { appendGradients, shapesOf } from '../autodiff/differentiate.ts';
import { InputError } from '../errors.ts';
import { Random } from '../numerics/random.ts';
import { GraphBuilder } from '../onnx/graphBuilder.ts';
import { Session, type Tensor, floats } from '../runtime/session.ts';
import { ReplayBuffer } from './replayBuffer.ts';

/*
 * DDPG (Lillicrap et al. 2016) as AMC uses it (arXiv 1802.03494): a state in, one action in [0, 1] out; the final reward of an episode
 * is given to every one of its transitions, less a moving average.
 */

/** Hyper-parameters. The value of the paper (or, where it gives none, of its authors' code) is in brackets. */
export interface DdpgOptions {
  /** Units of the two hidden layers of actor and critic [300]. */
  readonly hiddenSize: number;
  /** Discount of later rewards [1: compression is not better early than late]. */
  readonly gamma: number;
  /** Share of the new weights in each update of the target networks [0.01]. */
  readonly tau: number;
  readonly batchSize: number; // [64]
  /** Adam's learning rates [1e-4 and 1e-3]. */
  readonly actorLearningRate: number;
  readonly criticLearningRate: number;
  /** Transitions remembered [2000]. */
  readonly replayCapacity: number;
  /** Standard deviation of the truncated normal around the actor's action [0.5] ... */
  readonly noiseSigma: number;
  /** ... during this many exploration episodes, in which nothing is learned yet [100] ... */
  readonly explorationEpisodes: number;
  /** ... and its factor an episode afterwards [0.95]. */
  readonly noiseDecay: number;
  /** Updates for each step of an episode, but at least one an episode [1]. */
  readonly updatesPerStep: number;
  /** Share of the newest batch in the moving average of rewards [0.5]. */
  readonly baselineRate: number;
  /** What the untrained actor answers to everything [about 0.5: no bias]. */
  readonly initialAction: number;
}

export const paperOptions: DdpgOptions = {
  hiddenSize: 300, gamma: 1, tau: 0.01, batchSize: 64, actorLearningRate: 1e-4, criticLearningRate: 1e-3, replayCapacity: 2000,
  noiseSigma: 0.5, explorationEpisodes: 100, noiseDecay: 0.95, updatesPerStep: 1, baselineRate: 0.5, initialAction: 0.5,
};

/** One step of an episode: what the agent saw and did. */
export interface Step { readonly observation: Float32Array; readonly action: number }
export interface Losses { readonly criticLoss: number; readonly actorLoss: number }

/** Vectors that an update replaces: all weights of each network in one vector, with Adam's moments. */
const vectorNames = ['actor', 'actorMean', 'actorSquare', 'critic', 'criticMean', 'criticSquare', 'targetActor', 'targetCritic'] as const;
type Vectors = Record<(typeof vectorNames)[number], Float32Array>;

/** Shapes of weights and biases, layer by layer, in the order in which a network's vector holds them. */
const actorDims = (observationSize: number, hidden: number): number[][] => [[observationSize, hidden], [hidden], [hidden, hidden], [hidden], [hidden, 1], [1]];
const criticDims = (observationSize: number, hidden: number): number[][] => actorDims(observationSize + 1, hidden);
const sizeOf = (dims: readonly number[]): number => dims.reduce((a, b) => a * b, 1);

export class DdpgAgent {
  readonly options: DdpgOptions;
  private readonly observationSize: number;
  private readonly policy: Session;
  private readonly learner: Session;
  private readonly random: Random;
  private readonly replay: ReplayBuffer;
  private vectors: Vectors;
  /** Where the next update writes; then the two change places. */
  private spare: Vectors;
  private episodes = 0;
  private updates = 0;
  /** Moving average of the rewards in the batches. */
  private baseline: number | undefined;

  private constructor(observationSize: number, options: DdpgOptions, seed: number, policy: Session, learner: Session) {
    this.observationSize = observationSize;
    this.options = options;
    this.policy = policy;
    this.learner = learner;
    this.random = new Random(seed);
    this.replay = new ReplayBuffer(options.replayCapacity, observationSize);
    const actor = initialWeights(actorDims(observationSize, options.hiddenSize), this.random);
    const critic = initialWeights(criticDims(observationSize, options.hiddenSize), this.random);
    actor[actor.length - 1] = Math.log(options.initialAction / (1 - options.initialAction));
    const like = (array: Float32Array): Float32Array => new Float32Array(array.length);
    this.vectors = {
      actor, actorMean: like(actor), actorSquare: like(actor), critic, criticMean: like(critic), criticSquare: like(critic),
      targetActor: actor.slice(), targetCritic: critic.slice(),
    };
    this.spare = Object.fromEntries(vectorNames.map((name) => [name, like(this.vectors[name])])) as Vectors;
  }

  /** An untrained agent. @param observationSize length of every observation, whose elements should lie in [0, 1] */
  static async create({ observationSize, seed, options }: { observationSize: number; seed: number; options?: Partial<DdpgOptions> }): Promise<DdpgAgent> {
    const all = { ...paperOptions, ...options };
    if (!(all.initialAction > 0 && all.initialAction < 1)) throw new InputError(`initialAction must lie between 0 and 1, but is ${all.initialAction}.`);
    const policy = await Session.create(policyGraph(observationSize, all).model(), { threads: 1 });
    const learner = await Session.create((await learnerGraph(observationSize, all)).model(), { threads: 1 });
    return new DdpgAgent(observationSize, all, seed, policy, learner);
  }

  /** Standard deviation of the exploration noise in the current episode. */
  get noiseSigma(): number { return this.options.noiseSigma * this.options.noiseDecay ** Math.max(0, this.episodes - this.options.explorationEpisodes); }

  /** An action in [low, high], a part of [0, 1]: the actor's, or drawn around it from a truncated normal. */
  async act(observation: Float32Array, { explore, low = 0, high = 1 }: { explore: boolean; low?: number; high?: number }): Promise<number> {
    const { action } = await this.policy.run({ actor: vector(this.vectors.actor), observations: floats(observation, [1, this.observationSize]) });
    const mean = (action!.data as Float32Array)[0]!;
    return explore ? this.random.truncatedNormal(mean, this.noiseSigma, low, high) : Math.min(high, Math.max(low, mean));
  }

  /**
   * Stores an episode, every step with the episode's final reward, and learns from the replay buffer, for each of its steps so many times.
   * @returns mean losses; undefined while exploring, when nothing is learned
   */
  async endEpisode(steps: readonly Step[], reward: number): Promise<Losses | undefined> {
    steps.forEach(({ observation, action }, i) => { this.replay.add({ observation, action, reward, nextObservation: steps[i + 1]?.observation }); });
    if (this.episodes++ < this.options.explorationEpisodes) return undefined;
    const count = Math.max(1, Math.round(steps.length * this.options.updatesPerStep));
    let criticLoss = 0, actorLoss = 0;
    for (let i = 0; i < count; i++) {
      const losses = await this.update();
      criticLoss += losses.criticLoss / count;
      actorLoss += losses.actorLoss / count;
    }
    return { criticLoss, actorLoss };
  }

  /** One step of critic, actor and target networks on one batch: one run of the learner's graph. */
  private async update(): Promise<Losses> {
    const { batchSize, baselineRate, actorLearningRate, criticLearningRate } = this.options;
    const batch = this.replay.sample(batchSize, this.random);
    const mean = batch.rewards.reduce((a, b) => a + b, 0) / batchSize;
    const baseline = this.baseline === undefined ? mean : this.baseline + baselineRate * (mean - this.baseline);
    const t = ++this.updates, actorStep = adamStep(t, actorLearningRate), criticStep = adamStep(t, criticLearningRate);
    const column = (data: Float32Array): Tensor => floats(data, [batchSize, 1]), rows = (data: Float32Array): Tensor => floats(data, [batchSize, this.observationSize]);
    const { criticLoss, actorLoss } = await this.learner.run({
      ...tensors(this.vectors), observations: rows(batch.observations), nextObservations: rows(batch.nextObservations), actions: column(batch.actions),
      rewards: column(batch.rewards.map((reward) => reward - baseline)), continues: column(batch.continues),
      rates: vector(Float32Array.of(actorStep.rate, criticStep.rate, actorStep.shiftedEpsilon)),
    }, {
      ...Object.fromEntries(Object.entries(tensors(this.spare)).map(([name, tensor]) => [updated(name), tensor])),
      criticLoss: floats(new Float32Array(1), []), actorLoss: floats(new Float32Array(1), []),
    });
    this.baseline = baseline;
    [this.vectors, this.spare] = [this.spare, this.vectors];
    const numbers = (tensor: Tensor | undefined): Float32Array => tensor!.data as Float32Array;
    return { criticLoss: numbers(criticLoss)[0]!, actorLoss: numbers(actorLoss)[0]! };
  }

  async release(): Promise<void> { await this.policy.release(); await this.learner.release(); }
}

const vector = (data: Float32Array): Tensor => floats(data, [data.length]);
const tensors = (vectors: Vectors): Record<string, Tensor> => Object.fromEntries(Object.entries(vectors).map(([name, data]) => [name, vector(data)]));
const updated = (name: string): string => `${name}/updated`;

/** Uniform in +-1/sqrt(inputs), and +-0.003 in the last layer, so that first outputs are near its bias (Lillicrap et al. 2016, section 7). */
function initialWeights(dims: readonly (readonly number[])[], random: Random): Float32Array {
  return Float32Array.from(dims.flatMap((shape, i) => {
    const bound = i >= dims.length - 2 ? 0.003 : 1 / Math.sqrt(dims[i - (i % 2)]![0]!);
    return Array.from({ length: sizeOf(shape) }, () => random.uniform(-bound, bound));
  }));
}

/** Two hidden ReLU layers and a linear output. @param weights the network's vector @returns [batch, 1] */
function network(build: GraphBuilder, weights: string, dims: readonly (readonly number[])[], input: string): string {
  const [w1, b1, w2, b2, w3, b3] = build.split(weights, 0, dims.map(sizeOf)).map((piece, i) => (dims[i]!.length === 1 ? piece : build.reshape(piece, dims[i]!)));
  const layer = (x: string, w: string, b: string): string => build.op('Gemm', [x, w, b]);
  const hidden1 = build.op('Relu', [layer(input, w1!, b1!)]);
  const hidden2 = build.op('Relu', [layer(hidden1, w2!, b2!)]);
  return layer(hidden2, w3!, b3!);
}

/** Inputs `actor` and `observations`, output `action`. */
function policyGraph(observationSize: number, { hiddenSize }: DdpgOptions): GraphBuilder {
  const build = new GraphBuilder(), dims = actorDims(observationSize, hiddenSize);
  const weights = build.input('actor', [dims.map(sizeOf).reduce((a, b) => a + b)]);
  build.output(build.op('Sigmoid', [network(build, weights, dims, build.input('observations', [1, observationSize]))]), 'action', [1, 1]);
  return build;
}

/**
 * The whole update: critic by the temporal-difference error against the target networks, actor by the gradient of the new critic,
 * each by Adam, then the target networks. Every vector comes in by its name and goes out by `updated(name)`.
 */
export async function learnerGraph(observationSize: number, { hiddenSize, batchSize, gamma, tau }: DdpgOptions): Promise<GraphBuilder> {
  const build = new GraphBuilder();
  const ofActor = actorDims(observationSize, hiddenSize), ofCritic = criticDims(observationSize, hiddenSize);
  const length = (name: string): number => (/actor/i.test(name) ? ofActor : ofCritic).map(sizeOf).reduce((a, b) => a + b);
  const given = Object.fromEntries(vectorNames.map((name) => [name, build.input(name, [length(name)])])) as Record<(typeof vectorNames)[number], string>;
  const [observations, nextObservations] = ['observations', 'nextObservations'].map((name) => build.input(name, [batchSize, observationSize])) as [string, string];
  const [actions, rewards, continues] = ['actions', 'rewards', 'continues'].map((name) => build.input(name, [batchSize, 1])) as [string, string, string];
  const [actorRate, criticRate, epsilon] = build.split(build.input('rates', [3]), 0, [1, 1, 1]) as [string, string, string];
  const actor = (weights: string, states: string): string => build.op('Sigmoid', [network(build, weights, ofActor, states)]);
  const critic = (weights: string, states: string, chosen: string): string => network(build, weights, ofCritic, build.concat([states, chosen], 1));

  const nextValue = critic(given.targetCritic, nextObservations, actor(given.targetActor, nextObservations));
  const target = build.add(rewards, build.mul(build.mul(continues, gamma), nextValue));
  const tdErrors = build.sub(critic(given.critic, observations, actions), target);
  const criticLoss = build.meanOfAll(build.mul(tdErrors, tdErrors), batchSize);
  const [criticGradient] = appendGradients(build, { loss: criticLoss, wrt: [given.critic], shapes: await shapesOf(build) });
  const newCritic = appendAdam(build, { parameters: given.critic, mean: given.criticMean, square: given.criticSquare }, criticGradient!, criticRate, epsilon);

  const actorLoss = build.neg(build.meanOfAll(critic(newCritic.parameters, observations, actor(given.actor, observations)), batchSize));
  const [actorGradient] = appendGradients(build, { loss: actorLoss, wrt: [given.actor], shapes: await shapesOf(build) });
  const newActor = appendAdam(build, { parameters: given.actor, mean: given.actorMean, square: given.actorSquare }, actorGradient!, actorRate, epsilon);

  const towards = (old: string, latest: string): string => build.add(build.mul(old, 1 - tau), build.mul(latest, tau));
  const results: Record<(typeof vectorNames)[number], string> = {
    actor: newActor.parameters, actorMean: newActor.mean, actorSquare: newActor.square,
    critic: newCritic.parameters, criticMean: newCritic.mean, criticSquare: newCritic.square,
    targetActor: towards(given.targetActor, newActor.parameters), targetCritic: towards(given.targetCritic, newCritic.parameters),
  };
  for (const name of vectorNames) build.output(results[name], updated(name), [length(name)]);
  build.output(criticLoss, 'criticLoss', []);
  build.output(actorLoss, 'actorLoss', []);
  return build;
}
