import type { Memento } from '../../src/host/runStore.ts';

/** State of a workspace that lasts as long as a test; like the real one it keeps what JSON keeps. */
export class MemoryMemento implements Memento {
  private text = '{}';
  get<T>(key: string, fallback: T): T { return (JSON.parse(this.text) as Record<string, T>)[key] ?? fallback; }
  update(key: string, value: unknown): Promise<void> { this.text = JSON.stringify({ ...JSON.parse(this.text) as object, [key]: value }); return Promise.resolve(); }
}
