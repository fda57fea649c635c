/** What a run's seconds are told by: statistics of the layers' inputs, the order in which channels go, the original's outputs at sampled positions, the factored regressions around one choice; then, of each candidate, its weights, its session, its forward passes, its line in the journal, and what is left, the agent. */
export type Expense = 'gram' | 'elimination' | 'targets' | 'anchor' | 'refit' | 'session' | 'inference' | 'journal' | 'agent';

/** Adds up seconds by what they were spent on. */
export class Profile {
  private readonly spent = new Map<Expense, number>();

  /** Does a piece of work and charges its seconds, also when it fails. */
  async timed<T>(what: Expense, work: () => Promise<T>): Promise<T> {
    const start = performance.now();
    try { return await work(); } finally { this.add(what, (performance.now() - start) / 1000); }
  }

  add(what: Expense, seconds: number): void { this.spent.set(what, (this.spent.get(what) ?? 0) + seconds); }

  get seconds(): Readonly<Partial<Record<Expense, number>>> { return Object.fromEntries(this.spent); }

  get total(): number { return [...this.spent.values()].reduce((sum, seconds) => sum + seconds, 0); }
}
