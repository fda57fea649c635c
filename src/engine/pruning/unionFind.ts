/** Disjoint sets over the integers 0 .. size-1 that grow on demand (Tarjan 1975: path halving, union by smaller representative). */
export class UnionFind {
  private parent: Int32Array;
  private count: number;

  constructor(size = 0) {
    this.count = size;
    this.parent = Int32Array.from({ length: Math.max(16, size) }, (_, i) => i);
  }

  get size(): number { return this.count; }

  /** Adds `count` new singletons. @returns the first of them */
  add(count: number): number {
    const first = this.count;
    this.count += count;
    if (this.count > this.parent.length) {
      const grown = new Int32Array(Math.max(this.count, this.parent.length * 2));
      grown.set(this.parent);
      this.parent = grown;
    }
    for (let i = first; i < this.count; i++) this.parent[i] = i;
    return first;
  }

  find(element: number): number {
    const parent = this.parent;
    let at = element;
    while (parent[at]! !== at) {
      parent[at] = parent[parent[at]!]!;
      at = parent[at]!;
    }
    return at;
  }

  /** Unites two sets. @returns the representative, always the smaller of both: results do not depend on the order of unions */
  unite(a: number, b: number): number {
    const x = this.find(a), y = this.find(b);
    if (x < y) { this.parent[y] = x; return x; }
    this.parent[x] = y;
    return y;
  }
}
