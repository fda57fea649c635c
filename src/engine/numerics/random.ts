import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';

/** A seeded random generator (xoroshiro128+): the same seed gives the same numbers on every machine. */
export class Random {
  private readonly generator: ReturnType<typeof xoroshiro128plus>;

  constructor(seed: number) {
    this.generator = xoroshiro128plus(seed);
    for (let i = 0; i < 64; i++) this.generator.next(); // nearby seeds start alike
  }

  private next32(): number { return this.generator.next() >>> 0; }

  /** Uniform in [low, high), with 53 random bits. */
  uniform(low = 0, high = 1): number {
    const unit = ((this.next32() >>> 5) * 2 ** 26 + (this.next32() >>> 6)) / 2 ** 53;
    return low + unit * (high - low);
  }

  /** An integer in [0, count). */
  integer(count: number): number { return Math.floor(this.uniform() * count); }

  /** Normally distributed (Box and Muller 1958). */
  normal(mean = 0, sigma = 1): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    return mean + sigma * radius * Math.cos(2 * Math.PI * this.uniform());
  }

  /**
   * Normally distributed, given that the value lies in [low, high]: the distribution of scipy.stats.truncnorm, by rejection.
   * Proposals are normal where the interval holds much of the mass, else exponential in its tail (Robert 1995) or uniform.
   */
  truncatedNormal(mean: number, sigma: number, low: number, high: number): number {
    if (!(high > low) || sigma <= 0) return Math.min(high, Math.max(low, mean));
    const a = (low - mean) / sigma, b = (high - mean) / sigma;
    const z = a > 0 ? this.tail(a, b) : b < 0 ? -this.tail(-b, -a) : this.around(a, b);
    return Math.min(high, Math.max(low, mean + sigma * z));
  }

  /** A standard normal given that it lies in [a, b], a <= 0 <= b. */
  private around(a: number, b: number): number {
    if (b - a > Math.sqrt(2 * Math.PI)) {
      for (;;) { const z = this.normal(); if (z >= a && z <= b) return z; }
    }
    for (;;) { const z = this.uniform(a, b); if (this.uniform() <= Math.exp(-z * z / 2)) return z; }
  }

  /** A standard normal given that it lies in [a, b], 0 < a < b. */
  private tail(a: number, b: number): number {
    const rate = (a + Math.sqrt(a * a + 4)) / 2;
    if (b - a < 1 / rate) {
      for (;;) { const z = this.uniform(a, b); if (this.uniform() <= Math.exp((a * a - z * z) / 2)) return z; }
    }
    for (;;) {
      const z = a - Math.log(1 - this.uniform()) / rate;
      if (z <= b && this.uniform() <= Math.exp(-((z - rate) ** 2) / 2)) return z;
    }
  }

  /** Shuffles in place (Fisher and Yates). */
  shuffle<T extends { length: number; [index: number]: unknown }>(values: T): T {
    for (let i = values.length - 1; i > 0; i--) {
      const j = this.integer(i + 1), kept = values[i];
      values[i] = values[j];
      values[j] = kept;
    }
    return values;
  }
}
