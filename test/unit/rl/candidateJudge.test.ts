import { beforeAll, describe, expect, it } from 'vitest';
import { Judge } from '../../../src/engine/evaluation/judge.ts';
import { Random } from '../../../src/engine/numerics/random.ts';
import { loadModel } from '../../../src/engine/onnx/modelFile.ts';
import { analyse } from '../../../src/engine/pruning/analysis.ts';
import { channelOrders } from '../../../src/engine/pruning/importance.ts';
import { CandidateJudge, type Craft } from '../../../src/engine/rl/candidateJudge.ts';
import { ScoringSample } from '../../../src/engine/rl/scoringSample.ts';
import { ChannelSpace } from '../../../src/engine/rl/channelSpace.ts';

const images = 300, plain: Craft = (prune) => Promise.resolve(prune());
let judge: CandidateJudge, original: Judge, space: ChannelSpace, sample: ScoringSample;

beforeAll(async () => {
  const { proto } = await loadModel('examples/resnet20.onnx'), analysis = await analyse(proto), random = new Random(5);
  const orders = channelOrders(proto, analysis);
  const ranked = analysis.groups.map((group) => ({ group, order: [...orders.get(group.id)!].reverse(), error: Float64Array.from({ length: group.channels + 1 }, (_, k) => k) }));
  space = new ChannelSpace(analysis, ranked, [{ cost: 'macs', budget: 1 }], { minPreserve: 0.1, roundTo: 1 });
  const values = Float32Array.from({ length: images * 3072 }, () => random.normal());
  original = await Judge.create(proto, { inputs: [{ name: proto.graph.input[0]!.name, type: 'float32', dims: [3, 32, 32], data: values }], count: images }, 'agreement');
  judge = new CandidateJudge(proto, space, original);
  sample = ScoringSample.first(original, images);
});

describe('judging candidates', () => {
  it('looks at all images where there is nothing to compare with', async () => {
    const { score, outcomes } = await judge.score(space.full, plain, sample);
    expect(score).toMatchObject({ accuracy: 1, images });
    expect(outcomes.right).toHaveLength(images);
  });

  it('gives up a candidate that is clearly worse than the best after a part of the images, with an estimate of its score', async () => {
    const rival = await judge.score(space.full, plain, sample), worst = space.least;
    const whole = await judge.score(worst, plain, sample), raced = await judge.score(worst, plain, sample, rival);
    expect(raced.score.images).toBe(images * 0.2);
    expect(Math.abs(raced.score.reward - whole.score.reward)).toBeLessThan(0.15); // of 60 images
  });

  it('gives up nothing by fewer than 30 images', async () => {
    for (const [count, seen] of [[60, 30], [40, 40]] as const) {
      const few = ScoringSample.first(original, count), rival = await judge.score(space.full, plain, few);
      expect((await judge.score(space.least, plain, few, rival)).score.images).toBe(seen);
    }
  });

  it('looks at all images of a candidate that may be the best', async () => {
    const rival = await judge.score(space.least, plain, sample), better = await judge.score(space.full, plain, sample, rival);
    expect(better.score).toMatchObject({ accuracy: 1, images });
  });
});
