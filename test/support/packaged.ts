import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

const { name, version } = JSON.parse(readFileSync('package.json', 'utf8')) as { name: string; version: string };

/** The .vsix of what is built, for this platform; made where it is older. @throws where the packager can't be had */
export function packaged(): string {
  const vsix = join(process.cwd(), `dist/${name}-${process.platform}-${process.arch}-${version}.vsix`);
  const changedMs = (path: string) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const within = (folder: string) => readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((path) => join(folder, path));
  const sources = ['package.json', 'package.nls.json', '.vscodeignore', 'README.md', 'scripts/package.mjs', 'scripts/packagedReadme.mjs', ...within('media'), ...within('l10n'), ...readdirSync('dist').filter((file) => /\.(c?js|css)$/.test(file)).map((file) => join('dist', file))];
  if (sources.some((path) => changedMs(path) > changedMs(vsix))) execFileSync(process.execPath, ['scripts/package.mjs'], { stdio: ['ignore', 'ignore', 'pipe'] });
  return vsix;
}
