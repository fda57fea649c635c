import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { Random } from '../../../src/engine/numerics/random.ts';
import { adamStep } from '../../../src/engine/autodiff/optimizers.ts';
import { DdpgAgent, type DdpgOptions, learnerGraph, paperOptions } from '../../../src/engine/rl/ddpg.ts';
import { Session, type Tensor, floats } from '../../../src/engine/runtime/session.ts';
import { type Walk, makeWalk, randomWalk, walkWith } from './layerWalk.ts';

const small: Partial<DdpgOptions> = { hiddenSize: 32, batchSize: 16, explorationEpisodes: 3 };

async function play(agent: DdpgAgent, walk: Walk, episodes: number): Promise<{ rewards: number[]; actions: number[]; losses: unknown[] }> {
  const rewards: number[] = [], actions: number[] = [], losses: unknown[] = [];
  for (let i = 0; i < episodes; i++) {
    const { steps, reward } = await walkWith(walk, (observation, low, high) => agent.act(observation, { explore: true, low, high }));
    losses.push(await agent.endEpisode(steps, reward));
    rewards.push(reward);
    actions.push(...steps.map(({ action }) => action));
  }
  return { rewards, actions, losses };
}

describe('DdpgAgent', () => {
  it('answers with the initial action before it has learned', async () => {
    const agent = await DdpgAgent.create({ observationSize: 11, seed: 1, options: { ...small, initialAction: 0.7 } });
    expect(await agent.act(new Float32Array(11).fill(0.5), { explore: false })).toBeCloseTo(0.7, 2);
    await agent.release();
  });

  it('explores within the bounds, with noise that decays after the exploration episodes', async () => {
    const walk = makeWalk(5, 3), agent = await DdpgAgent.create({ observationSize: walk.observationSize, seed: 1, options: small });
    const { actions, losses } = await play(agent, walk, 8);
    expect(Math.min(...actions)).toBeGreaterThanOrEqual(0.2);
    expect(Math.max(...actions)).toBeLessThanOrEqual(1);
    expect(new Set(actions).size).toBeGreaterThan(20);
    expect(losses.map((loss) => loss !== undefined)).toEqual([false, false, false, true, true, true, true, true]);
    expect(agent.noiseSigma).toBeCloseTo(0.5 * 0.95 ** 5, 10);
    await agent.release();
  });

  it('repeats itself bit for bit with one seed', async () => {
    const walk = makeWalk(6, 5), agents = await Promise.all([9, 9, 10].map((seed) => DdpgAgent.create({ observationSize: walk.observationSize, seed, options: small })));
    const [first, again, other] = await Promise.all(agents.map((agent) => play(agent, walk, 16)));
    expect(again).toEqual(first);
    expect(other!.actions).not.toEqual(first!.actions);
    await Promise.all(agents.map((agent) => agent.release()));
  });

  it('learns from episodes of so few steps that a share of an update is meant for them', async () => {
    const walk = makeWalk(2, 5), agent = await DdpgAgent.create({ observationSize: walk.observationSize, seed: 3, options: { ...small, explorationEpisodes: 1, updatesPerStep: 0.125 } });
    const observation = new Float32Array(walk.observationSize).fill(0.5), steps = [{ observation, action: 0.3 }, { observation, action: 0.6 }];
    expect(await agent.endEpisode(steps, 0.5)).toBeUndefined();
    expect((await agent.endEpisode(steps, 0.5))!.criticLoss).toBeGreaterThanOrEqual(0);
    await agent.release();
  });

  it('learns a policy whose distance to the known optimum of layer walks is well below that of random walks', async () => {
    let agentRegret = 0, randomRegret = 0;
    for (const seed of [1, 2, 3]) {
      const walk = makeWalk(8, seed), random = new Random(seed + 50);
      const agent = await DdpgAgent.create({ observationSize: walk.observationSize, seed, options: { hiddenSize: 64, explorationEpisodes: 30, noiseDecay: 0.95, actorLearningRate: 1e-3 } });
      const { rewards } = await play(agent, walk, 130);
      await agent.release();
      for (const reward of rewards.slice(-20)) agentRegret += (walk.optimum - reward) / 20;
      for (let i = 0; i < 100; i++) randomRegret += (walk.optimum - (await walkWith(walk, randomWalk(random))).reward) / 100;
    }
    expect(agentRegret).toBeGreaterThan(0);
    expect(agentRegret).toBeLessThan(0.5 * randomRegret);
  });
});

describe('one DDPG update', () => {
  beforeAll(async () => { await tf.setBackend('cpu'); });

  it('equals the same update with the gradients of TensorFlow.js', async () => {
    const n = 5, hidden = 12, batch = 8, { gamma, tau } = paperOptions, random = new Random(4);
    const dims = (inputs: number): number[][] => [[inputs, hidden], [hidden], [hidden, hidden], [hidden], [hidden, 1], [1]];
    const sizes = (inputs: number): number[] => dims(inputs).map((d) => d.reduce((a, b) => a * b));
    const total = (inputs: number): number => sizes(inputs).reduce((a, b) => a + b);
    const make = (count: number, low: number, high: number): Float32Array => Float32Array.from({ length: count }, () => random.uniform(low, high));
    const vectors = {
      actor: make(total(n), -0.5, 0.5), actorMean: make(total(n), -1e-3, 1e-3), actorSquare: make(total(n), 0, 1e-3),
      critic: make(total(n + 1), -0.5, 0.5), criticMean: make(total(n + 1), -0.1, 0.1), criticSquare: make(total(n + 1), 0, 0.1),
      targetActor: make(total(n), -0.5, 0.5), targetCritic: make(total(n + 1), -0.5, 0.5),
    };
    const rows = { observations: make(batch * n, 0, 1), nextObservations: make(batch * n, 0, 1) };
    const columns = { actions: make(batch, 0, 1), rewards: make(batch, -1, 1), continues: Float32Array.from({ length: batch }, (_, i) => Number(i % 3 !== 0)) };
    const step = adamStep(3, 1e-2);
    const feeds: Record<string, Tensor> = { rates: floats(Float32Array.of(step.rate, step.rate, step.shiftedEpsilon), [3]) };
    for (const [name, data] of Object.entries(vectors)) feeds[name] = floats(data, [data.length]);
    for (const [name, data] of Object.entries(rows)) feeds[name] = floats(data, [batch, n]);
    for (const [name, data] of Object.entries(columns)) feeds[name] = floats(data, [batch, 1]);
    const session = await Session.create((await learnerGraph(n, { ...paperOptions, hiddenSize: hidden, batchSize: batch })).model());
    const ours = await session.run(feeds);
    await session.release();

    const column = (data: Float32Array): tf.Tensor2D => tf.tensor2d(data, [batch, 1]), matrix = (data: Float32Array): tf.Tensor2D => tf.tensor2d(data, [batch, n]);
    const network = (weights: tf.Tensor1D, inputs: number, x: tf.Tensor2D): tf.Tensor2D => {
      const [w1, b1, w2, b2, w3, b3] = tf.split(weights, sizes(inputs)).map((piece, i) => piece.reshape(dims(inputs)[i]!)) as [tf.Tensor2D, tf.Tensor, tf.Tensor2D, tf.Tensor, tf.Tensor2D, tf.Tensor];
      return tf.relu(tf.relu(x.matMul(w1).add(b1)).matMul(w2 as never).add(b2)).matMul(w3 as never).add(b3);
    };
    const actor = (weights: tf.Tensor1D, x: tf.Tensor2D): tf.Tensor2D => tf.sigmoid(network(weights, n, x));
    const critic = (weights: tf.Tensor1D, x: tf.Tensor2D, action: tf.Tensor2D): tf.Tensor2D => network(weights, n + 1, tf.concat([x, action], 1));
    const adam = (parameters: Float32Array, mean: Float32Array, square: Float32Array, gradient: tf.Tensor): { parameters: Float32Array; mean: Float32Array; square: Float32Array } => {
      const g = gradient.dataSync(), m = mean.map((v, i) => 0.9 * v + 0.1 * g[i]!), s = square.map((v, i) => 0.999 * v + 0.001 * g[i]! ** 2);
      const c1 = 1 - 0.9 ** 3, c2 = 1 - 0.999 ** 3;
      return { parameters: parameters.map((p, i) => p - 1e-2 * (m[i]! / c1) / (Math.sqrt(s[i]! / c2) + 1e-8)), mean: m, square: s };
    };
    const [s, s2] = [matrix(rows.observations), matrix(rows.nextObservations)];
    const target = column(columns.rewards).add(column(columns.continues).mul(gamma).mul(critic(tf.tensor1d(vectors.targetCritic), s2, actor(tf.tensor1d(vectors.targetActor), s2))));
    const criticLoss = (weights: tf.Tensor): tf.Scalar => critic(weights as tf.Tensor1D, s, column(columns.actions)).sub(target).square().mean().asScalar();
    const newCritic = adam(vectors.critic, vectors.criticMean, vectors.criticSquare, tf.grad(criticLoss)(tf.tensor1d(vectors.critic)));
    const actorLoss = (weights: tf.Tensor): tf.Scalar => critic(tf.tensor1d(newCritic.parameters), s, actor(weights as tf.Tensor1D, s)).mean().neg().asScalar();
    const newActor = adam(vectors.actor, vectors.actorMean, vectors.actorSquare, tf.grad(actorLoss)(tf.tensor1d(vectors.actor)));
    const expected: Record<string, Float32Array> = {
      actor: newActor.parameters, actorMean: newActor.mean, actorSquare: newActor.square, critic: newCritic.parameters, criticMean: newCritic.mean, criticSquare: newCritic.square,
      targetActor: vectors.targetActor.map((v, i) => (1 - tau) * v + tau * newActor.parameters[i]!), targetCritic: vectors.targetCritic.map((v, i) => (1 - tau) * v + tau * newCritic.parameters[i]!),
    };
    for (const [name, reference] of Object.entries(expected)) {
      const result = ours[`${name}/updated`]!.data as Float32Array, scale = reference.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
      expect(Math.max(...reference.map((v, i) => Math.abs(v - result[i]!))) / scale, name).toBeLessThan(1e-4);
    }
    expect(Number(ours['criticLoss']!.data[0])).toBeCloseTo(criticLoss(tf.tensor1d(vectors.critic)).dataSync()[0]!, 5);
    expect(Number(ours['actorLoss']!.data[0])).toBeCloseTo(actorLoss(tf.tensor1d(vectors.actor)).dataSync()[0]!, 5);
  });
});
