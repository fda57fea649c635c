import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { unzipSync } from 'fflate';
import { describe, expect, it } from 'vitest';
import { packagedReadme } from '../../../scripts/packagedReadme.mjs';
import { packaged } from '../../support/packaged.ts';

const isBuilt = existsSync('dist/extension.cjs');
const cpu = `${process.platform}-${process.arch}`;

/** Names of the files in a zip archive. */
function entriesOf(path: string): string[] {
  const names: string[] = [];
  unzipSync(readFileSync(path), { filter: ({ name }) => { names.push(name); return false; } });
  return names;
}

describe.skipIf(!isBuilt)('the package of the extension (after npm run build)', () => {
  const allowed = [
    /^package(\.nls)?\.json$/, /^(readme|changelog)\.md$/i, /^LICENSE(\.txt)?$/i, /^l10n\/bundle\.l10n\.json$/, /^media\/(walkthrough\/)?[\w-]+\.(png|svg)$/, /^media\/(onnxText\.(language|tmLanguage)|plan\.schema)\.json$/,
    /^examples\/(README\.md|resnet20\.onnx|cifar10\/(validation|calibration)\/\w+\/\d+\.webp)$/i, /^dist\/(cli\.js|worker\.js|webview\.js|webview\.css|extension\.cjs)$/,
    /^node_modules\/onnxruntime-(node|common)\/(package\.json|dist\/[\w./-]+\.js|dist\/cjs\/package\.json)$/, new RegExp(`^node_modules/onnxruntime-node/bin/napi-v6/${cpu.replace('-', '/')}/[\\w.]+$`),
    /^node_modules\/(sharp|detect-libc|semver)\/([\w./-]+\.([cm]?js|json)|LICENSE)$/, new RegExp(`^node_modules/@img/(colour|sharp-${cpu}|sharp-libvips-${cpu})/`),
  ];

  it('holds what runs on its platform, and nothing else', ({ skip }) => {
    let vsix: string;
    try { vsix = packaged(); } catch (error) { skip(`the packager can't be had: ${(error as Error).message.split('\n')[0]}`); throw error; }
    const files = entriesOf(vsix).filter((name) => name.startsWith('extension/') && !name.endsWith('/')).map((name) => name.slice('extension/'.length));
    expect(files.filter((file) => !allowed.some((pattern) => pattern.test(file)))).toEqual([]);
    for (const needed of ['dist/extension.cjs', 'dist/worker.js', 'dist/webview.js', 'dist/cli.js', 'node_modules/onnxruntime-common/dist/cjs/package.json', 'examples/resnet20.onnx', 'media/plan.schema.json', 'media/walkthrough/dashboard-light.png']) expect(files).toContain(needed);
    expect(files.filter((file) => /onnxruntime_binding\.node$|sharp-.*\.node$/.test(file))).toHaveLength(2);
  });
});

describe('the README of the extension', () => {
  it('leads nowhere but to the web, and keeps its words and pictures', () => {
    expect(packagedReadme('See [the guide](docs/user-guide.md#top), [NNI](https://github.com/microsoft/nni) and ![a run](media/a.png).')).toBe('See the guide, [NNI](https://github.com/microsoft/nni) and ![a run](media/a.png).');
    const links = [...packagedReadme(readFileSync('README.md', 'utf8')).matchAll(/(!?)\[[^\]]*\]\(([^)]+)\)/g)].map(([, picture, target]) => ({ picture: picture === '!', target: target! }));
    expect(links.filter(({ picture, target }) => (picture ? !existsSync(target) : !target.startsWith('https://')))).toEqual([]);
    expect(links.filter(({ picture }) => picture)).not.toEqual([]);
  });
});

describe('the package of the command line', () => {
  it('holds the program and what describes it', () => {
    const [{ files }] = JSON.parse(execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { stdio: ['ignore', 'pipe', 'ignore'] }).toString()) as [{ files: { path: string }[] }];
    const paths = files.map(({ path }) => path).filter((path) => isBuilt || !path.startsWith('dist/')).sort();
    expect(paths).toEqual(['CHANGELOG.md', 'LICENSE', 'README.md', ...(isBuilt ? ['dist/cli.js'] : []), 'package.json']);
  });
});
