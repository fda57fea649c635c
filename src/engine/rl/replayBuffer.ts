import type { Random } from '../numerics/random.ts';

export interface Transition {
  readonly observation: Float32Array;
  readonly action: number;
  readonly reward: number;
  /** Undefined after the last step of an episode. */
  readonly nextObservation: Float32Array | undefined;
}

/** A batch, row by row; `continues` is 0 after the last step of an episode, else 1. */
export interface Batch {
  readonly observations: Float32Array;
  readonly actions: Float32Array;
  readonly rewards: Float32Array;
  readonly nextObservations: Float32Array;
  readonly continues: Float32Array;
}

/** The last `capacity` transitions, sampled uniformly. */
export class ReplayBuffer {
  private readonly capacity: number;
  private readonly observationSize: number;
  /** One row [observation, nextObservation, action, reward, continues] a transition. */
  private readonly rows: Float32Array;
  private readonly width: number;
  private added = 0;

  constructor(capacity: number, observationSize: number) {
    this.capacity = capacity;
    this.observationSize = observationSize;
    this.width = 2 * observationSize + 3;
    this.rows = new Float32Array(capacity * this.width);
  }

  /** Replaces the oldest transition when full. */
  add({ observation, action, reward, nextObservation }: Transition): void {
    const at = (this.added++ % this.capacity) * this.width, n = this.observationSize;
    this.rows.set(observation, at);
    this.rows.set(nextObservation ?? observation, at + n);
    this.rows.set([action, reward, nextObservation ? 1 : 0], at + 2 * n);
  }

  /** Draws transitions with replacement. */
  sample(count: number, random: Random): Batch {
    const { width, rows, observationSize: n } = this, size = Math.min(this.added, this.capacity);
    const batch: Batch = { observations: new Float32Array(count * n), actions: new Float32Array(count), rewards: new Float32Array(count), nextObservations: new Float32Array(count * n), continues: new Float32Array(count) };
    for (let row = 0; row < count; row++) {
      const at = random.integer(size) * width;
      batch.observations.set(rows.subarray(at, at + n), row * n);
      batch.nextObservations.set(rows.subarray(at + n, at + 2 * n), row * n);
      [batch.actions[row], batch.rewards[row], batch.continues[row]] = [rows[at + 2 * n]!, rows[at + 2 * n + 1]!, rows[at + 2 * n + 2]!];
    }
    return batch;
  }
}
