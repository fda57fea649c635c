import type { Engine } from './engine.ts';
export function createEngine(_workerPath: string): Engine { throw new Error('no engine'); }
