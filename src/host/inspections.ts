import type { BenchmarkResult, DataPreview, GraphListing, Inspection, PreviewOptions } from '../engine/protocol.ts';
import type { CallOptions, Engine } from './engine.ts';
import { FileAnswers } from './fileAnswers.ts';

/** Short questions to the engine, beside the runs. */
export class Inspections {
  private readonly engine: Engine;
  private readonly inspected = new FileAnswers((path, options) => this.engine.inspect(path, options));
  private readonly listed = new FileAnswers((path, options) => this.engine.list(path, options));

  constructor(engine: Engine) { this.engine = engine; }

  inspect(path: string, options?: CallOptions): Promise<Inspection> { return this.inspected.of(path, options); }
  list(path: string, options?: CallOptions): Promise<GraphListing> { return this.listed.of(path, options); }
  previewData(model: string, data: string, how: PreviewOptions, options: CallOptions): Promise<DataPreview> { return this.engine.previewData(model, data, how, options); }
  benchmark(model: string, against: string | undefined, options: CallOptions): Promise<BenchmarkResult> { return this.engine.benchmark(model, against, options); }
  exportPoint(runDir: string, episode: number, out: string, options: CallOptions): Promise<void> { return this.engine.exportPoint(runDir, episode, out, options); }

  dispose(): void { this.engine.dispose(); }
}
