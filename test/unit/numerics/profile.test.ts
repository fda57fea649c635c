import { expect, it } from 'vitest';
import { Profile } from '../../../src/engine/numerics/profile.ts';

const wait = (milliseconds: number): Promise<void> => new Promise((done) => { setTimeout(done, milliseconds); });

it('charges seconds to what they were spent on, also where work fails', async () => {
  const profile = new Profile();
  expect(profile.seconds).toEqual({});
  expect(await profile.timed('refit', () => wait(20).then(() => 7))).toBe(7);
  await profile.timed('refit', () => wait(20));
  await expect(profile.timed('session', () => wait(10).then(() => { throw new Error('refused'); }))).rejects.toThrow('refused');
  profile.add('agent', 5);
  expect(Object.keys(profile.seconds)).toEqual(['refit', 'session', 'agent']);
  expect(profile.seconds.refit).toBeGreaterThanOrEqual(0.035); // timers may fire a little early
  expect(profile.seconds.session).toBeGreaterThanOrEqual(0.008);
  expect(profile.total).toBeCloseTo(5 + profile.seconds.refit! + profile.seconds.session!, 10);
});
