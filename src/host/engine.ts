/** What the extension needs of the engine; `EngineClient` (a forked worker process) provides it. */
import type { CallOptions } from '../engine/client.ts';
import type { BenchmarkResult, CompressRequest, DataPreview, GraphListing, Inspection, PreviewOptions, Report } from '../engine/protocol.ts';

export type { CallOptions };

export interface Engine {
  inspect(model: string, options?: CallOptions): Promise<Inspection>;
  list(model: string, options?: CallOptions): Promise<GraphListing>;
  previewData(model: string, data: string, how: PreviewOptions, options?: CallOptions): Promise<DataPreview>;
  compress(request: CompressRequest, options?: CallOptions): Promise<Report>;
  resume(runDir: string, options?: CallOptions): Promise<Report>;
  /** Writes the model of one candidate. */
  exportPoint(runDir: string, episode: number, out: string, options?: CallOptions): Promise<void>;
  benchmark(model: string, against: string | undefined, options?: CallOptions): Promise<BenchmarkResult>;
  dispose(): void;
}
