// The import directions of docs/architecture.md, checked by `npm run lint`.
const only = (name, from, pathNot) => ({ name, severity: 'error', from: { path: from }, to: { path: '^src/', pathNot } });
const E = '^src/engine/';
const runtimeLayer = `${E}(onnx|runtime|errors|numerics)`;
module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } } },
    { name: 'onnxruntime-only-in-runtime', severity: 'error', from: { path: '^src/', pathNot: `${E}runtime/` }, to: { path: 'onnxruntime' } },
    { name: 'vscode-only-in-host', severity: 'error', from: { path: '^src/(engine|webview/client)' }, to: { path: '^vscode$' } },
    only('engine-stands-alone', E, E),
    only('host-reaches-engine-by-client', '^src/(host|webview|extension)', '^src/(host|webview|extension)|^src/engine/(client|protocol|errors|run/ownFiles)'),
    only('onnx-is-the-bottom', `${E}onnx/`, `${E}(onnx|errors)`),
    only('runtime', `${E}runtime/`, runtimeLayer),
    only('data', `${E}data/`, `${E}(data|errors|numerics|protocol)`),
    only('autodiff', `${E}autodiff/`, `${E}(autodiff|onnx|runtime|errors|numerics|protocol)`),
    only('pruning', `${E}pruning/`, `${E}(pruning|onnx|runtime|errors|numerics|protocol)`),
    only('evaluation', `${E}evaluation/`, `${E}(evaluation|pruning|onnx|runtime|data|errors|numerics|protocol)`),
    only('reconstruction', `${E}reconstruction/`, `${E}(reconstruction|pruning|evaluation|onnx|runtime|data|errors|numerics|protocol)`),
    only('rl', `${E}rl/`, `${E}(rl|pruning|reconstruction|evaluation|autodiff|onnx|runtime|data|errors|numerics|protocol)`),
    only('training', `${E}training/`, `${E}(training|pruning|reconstruction|evaluation|autodiff|onnx|runtime|data|errors|numerics|protocol)`),
    { name: 'browser-imports-only-types', severity: 'error', from: { path: '^src/webview/client' }, to: { path: '^src/', pathNot: '^src/webview/client', dependencyTypesNot: ['type-only'] } },
  ],
  options: { doNotFollow: { path: 'node_modules' }, tsPreCompilationDeps: true, tsConfig: { fileName: 'tsconfig.json' }, enhancedResolveOptions: { extensions: ['.ts', '.js', '.json'] } },
};
