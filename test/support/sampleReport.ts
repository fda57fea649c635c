import type { Candidate, Measurements, Report } from '../../src/engine/protocol.ts';

export const candidate = (episode: number, macs: number, accuracy: number): Candidate => ({ episode, macs, params: macs + 0.1, accuracy, reward: accuracy, preserve: [0.5, 1] });

const measurements = (fraction: number, accuracy: number): Measurements => ({
  macs: 40_000_000 * fraction, params: 270_000 * fraction, sizeBytes: 1_100_000 * fraction, latencyMs: { median: 1.7 * fraction, p10: 1.6 * fraction, p90: 1.9 * fraction },
  accuracy: { metric: 'top1', value: accuracy, images: 5000, dataset: 'val5k.npz' },
});

/** A finished run that halved everything and lost 0.6 points. */
export const sampleReport: Report = {
  format: 'auto-compress/report@1', model: { path: '/models/resnet20.onnx', sha256: 'ab' }, out: '/models/resnet20.compressed.onnx', target: { metric: 'macs', value: 0.5 }, policy: 'agent',
  before: measurements(1, 0.927), after: measurements(0.5, 0.921),
  layers: [
    { name: '/conv1/Conv', opType: 'Conv', preserveRatio: 0.5625, weightSparsity: 0, macsBefore: 30_000_000, macsAfter: 16_000_000, channelsBefore: 64, channelsAfter: 36 },
    { name: '/fc/Gemm', opType: 'Gemm', preserveRatio: 1, weightSparsity: 0.25, macsBefore: 10_000_000, macsAfter: 4_000_000, channelsBefore: 10, channelsAfter: 10 },
  ],
  pareto: [], candidates: [candidate(1, 0.5, 0.9), candidate(2, 0.49, 0.921)], baselines: [{ policy: 'uniform', macs: 0.5, accuracy: 0.88 }], searchedBaselines: [{ policy: 'uniform', macs: 0.5, accuracy: 0.81 }], agent: { policy: 'agent', macs: 0.49, accuracy: 0.9 },
  episodes: 2, steps: [], seconds: { load: 0.5, search: 95, total: 95.5 }, seed: 0, versions: { 'auto-compress': '0.1.0' }, notes: ['One image could not be read.'],
};

/** A finished run of `--method weights` to a fifth of them: file and time stayed as they were. */
export const sparseReport: Report = {
  ...sampleReport, target: { metric: 'params', value: 0.2 },
  before: { ...measurements(1, 0.927), sparse: { nonZero: 250_000, storedBytes: 1_100_000, zipBytes: 960_000 } }, after: { ...measurements(1, 0.921), sparse: { nonZero: 50_000, storedBytes: 260_000, zipBytes: 240_000 } },
};
