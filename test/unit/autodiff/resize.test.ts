import { describe, expect, it } from 'vitest';
import { Random } from '../../../src/engine/numerics/random.ts';
import { Session, floats } from '../../../src/engine/runtime/session.ts';
import { type Case, expectClose, makeCase, ourGradients, sizeOf } from './oracle.ts';

const random = new Random(71);

/** The gradient of a linear operator, exactly: what the operator makes of each unit image, weighted like the loss. */
async function linearGradient({ model, inputs }: Case): Promise<Record<string, Float32Array>> {
  const dims = inputs['x']!.dims, session = await Session.create(model);
  const gradient = new Float32Array(sizeOf(dims));
  for (let i = 0; i < gradient.length; i++) {
    const unit = new Float32Array(gradient.length);
    unit[i] = 1;
    gradient[i] = Number((await session.run({ x: floats(unit, dims) }, ['loss']))['loss']!.data[0]);
  }
  await session.release();
  return { x: gradient };
}

const transformations = ['half_pixel', 'pytorch_half_pixel', 'asymmetric', 'align_corners'];
const modes: [mode: string, nearestMode: string][] = [['nearest', 'round_prefer_floor'], ['nearest', 'floor'], ['nearest', 'ceil'], ['nearest', 'round_prefer_ceil'], ['linear', 'floor']];

describe('gradients of Resize', () => {
  it.each(modes.flatMap(([mode, nearestMode]) => transformations.map((transformation) => [mode, nearestMode, transformation] as const)))('%s (%s) with %s agrees with unit images', async (mode, nearestMode, transformation) => {
    const attributes = { mode, nearest_mode: nearestMode, coordinate_transformation_mode: transformation };
    for (const scales of [[2, 2], [1, 3], [0.5, 1.5]]) {
      const graph = await makeCase(random, { x: { dims: [1, 2, 4, 4] } }, (build, [x]) => build.op('Resize', [x!, '', build.floats([4], Float32Array.of(1, 1, ...scales))], attributes));
      expectClose(await ourGradients(graph), await linearGradient(graph));
    }
    const sized = await makeCase(random, { x: { dims: [1, 2, 3, 5] } }, (build, [x]) => build.op('Resize', [x!, '', '', build.ints([1, 2, 7, 4])], attributes));
    expectClose(await ourGradients(sized), await linearGradient(sized));
  });

  it('cubic interpolation is refused', async () => {
    const graph = await makeCase(random, { x: { dims: [1, 1, 4, 4] } }, (build, [x]) => build.op('Resize', [x!, '', build.floats([4], Float32Array.of(1, 1, 2, 2))], { mode: 'cubic' }));
    await expect(ourGradients(graph)).rejects.toThrow(/Resize.*cubic/);
  });
});
