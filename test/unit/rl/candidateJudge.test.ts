import { beforeAll, describe, expect, it } from 'vitest';
import { Judge } from '../../../src/engine/evaluation/judge.ts';
import { Random } from '../../../src/engine/numerics/random.ts';
import { loadModel } from '../../../src/engine/onnx/modelFile.ts';
import { analyse } from '../../../src/engine/pruning/analysis.ts';
import { channelOrders } from '../../../src/engine/pruning/importance.ts';
import { CandidateJudge, type Craft } from '../../../src/engine/rl/candidateJudge.ts';
import { SearchSpace } from '../../../src/engine/rl/searchSpace.ts';

const images = 300, plain: Craft = (pruned) => Promise.resolve(pruned);
let judge: CandidateJudge, space: SearchSpace;

beforeAll(async () => {
  const { proto } = await loadModel('examples/resnet20.onnx'), analysis = await analyse(proto), random = new Random(5);
  const orders = channelOrders(proto, analysis);
  const ranked = analysis.groups.map((group) => ({ group, order: [...orders.get(group.id)!].reverse(), error: Float64Array.from({ length: group.channels + 1 }, (_, k) => k) }));
  space = new SearchSpace(analysis, ranked, 'macs', { minPreserve: 0.1, roundTo: 1 });
  const values = Float32Array.from({ length: images * 3072 }, () => random.normal());
  judge = new CandidateJudge(proto, space, await Judge.create(proto, { values, imageDims: [3, 32, 32], count: images }, 'agreement'));
});

describe('judging candidates', () => {
  it('looks at all images where there is nothing to compare with', async () => {
    const { score, outcomes } = await judge.score(space.full, plain, images);
    expect(score).toMatchObject({ accuracy: 1, images });
    expect(outcomes.right).toHaveLength(images);
  });

  it('gives up a candidate that is clearly worse than the best after a part of the images, with an estimate of its score', async () => {
    const rival = await judge.score(space.full, plain, images), worst = space.least;
    const whole = await judge.score(worst, plain, images), raced = await judge.score(worst, plain, images, rival);
    expect(raced.score.images).toBe(images * 0.2);
    expect(Math.abs(raced.score.reward - whole.score.reward)).toBeLessThan(0.15); // of 60 images
  });

  it('looks at all images of a candidate that may be the best', async () => {
    const rival = await judge.score(space.least, plain, images), better = await judge.score(space.full, plain, images, rival);
    expect(better.score).toMatchObject({ accuracy: 1, images });
  });
});
