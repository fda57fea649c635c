import type { Random } from '../numerics/random.ts';

export interface Transition {
  readonly observation: Float32Array;
  readonly action: number;
  readonly reward: number;
  /** Undefined after the last step of an episode. */
  readonly nextObservation: Float32Array | undefined;
}

/** A batch, row by row; `continues` is 0 after the last step of an episode, else 1; `importance` corrects prioritised sampling. */
export interface Batch {
  readonly indices: Int32Array;
  readonly observations: Float32Array;
  readonly actions: Float32Array;
  readonly rewards: Float32Array;
  readonly nextObservations: Float32Array;
  readonly continues: Float32Array;
  readonly importance: Float32Array;
}

/** The last `capacity` transitions; sampled uniformly, or by priority (Schaul et al. 2016) when `priorityExponent` is above 0. */
export class ReplayBuffer {
  readonly capacity: number;
  readonly observationSize: number;
  readonly priorityExponent: number;
  /** Everything it remembers: one row [observation, nextObservation, action, reward, continues, priority] a transition. */
  readonly rows: Float32Array;
  added = 0;
  private readonly width: number;

  constructor(capacity: number, observationSize: number, priorityExponent: number) {
    this.capacity = capacity;
    this.observationSize = observationSize;
    this.priorityExponent = priorityExponent;
    this.width = 2 * observationSize + 4;
    this.rows = new Float32Array(capacity * this.width);
  }

  get size(): number { return Math.min(this.added, this.capacity); }

  /** Replaces the oldest transition when full. A new one has the highest priority so far, so that it is looked at. */
  add({ observation, action, reward, nextObservation }: Transition): void {
    let priority = 1;
    for (let i = 0; i < this.size; i++) priority = Math.max(priority, this.rows[(i + 1) * this.width - 1]!);
    const at = (this.added++ % this.capacity) * this.width, n = this.observationSize;
    this.rows.set(observation, at);
    this.rows.set(nextObservation ?? observation, at + n);
    this.rows.set([action, reward, nextObservation ? 1 : 0, priority], at + 2 * n);
  }

  /** Draws transitions with replacement. @param importanceExponent beta of Schaul et al. 2016 */
  sample(count: number, random: Random, importanceExponent: number): Batch {
    const { size, width, rows, observationSize: n } = this, prioritised = this.priorityExponent > 0;
    const batch: Batch = {
      indices: new Int32Array(count), observations: new Float32Array(count * n), actions: new Float32Array(count), rewards: new Float32Array(count),
      nextObservations: new Float32Array(count * n), continues: new Float32Array(count), importance: new Float32Array(count).fill(1),
    };
    const cumulative = new Float64Array(prioritised ? size : 0);
    for (let i = 0, sum = 0; i < cumulative.length; i++) cumulative[i] = sum += rows[(i + 1) * width - 1]! ** this.priorityExponent;
    const total = cumulative[size - 1] ?? 0;
    for (let row = 0; row < count; row++) {
      const index = prioritised ? firstAbove(cumulative, random.uniform(0, total)) : random.integer(size), at = index * width;
      batch.indices[row] = index;
      batch.observations.set(rows.subarray(at, at + n), row * n);
      batch.nextObservations.set(rows.subarray(at + n, at + 2 * n), row * n);
      [batch.actions[row], batch.rewards[row], batch.continues[row]] = [rows[at + 2 * n]!, rows[at + 2 * n + 1]!, rows[at + 2 * n + 2]!];
      if (prioritised) {
        const probability = (cumulative[index]! - (index === 0 ? 0 : cumulative[index - 1]!)) / total;
        batch.importance[row] = (size * probability) ** -importanceExponent;
      }
    }
    if (prioritised) {
      const largest = batch.importance.reduce((a, b) => Math.max(a, b));
      for (let row = 0; row < count; row++) batch.importance[row]! /= largest;
    }
    return batch;
  }

  /** Sets priorities to the size of the latest temporal-difference errors. */
  updatePriorities(indices: Int32Array, errors: Float32Array): void {
    indices.forEach((index, row) => { this.rows[(index + 1) * this.width - 1] = Math.abs(errors[row]!) + 1e-3; });
  }
}

/** Index of the first element above a value in an ascending array (the last one when none is). */
function firstAbove(ascending: Float64Array, value: number): number {
  let low = 0, high = ascending.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ascending[middle]! > value) high = middle; else low = middle + 1;
  }
  return low;
}
