// Makes a release: checks the version against CHANGELOG.md and the git tree, runs all tests, packages the extension for every platform, and writes sizes and SHA-256 checksums.
//   npm run release [-- --skip-tests] [--allow-dirty]     the options are for trying it out: what they leave out is said
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const { values: options } = parseArgs({ options: { 'skip-tests': { type: 'boolean', default: false }, 'allow-dirty': { type: 'boolean', default: false } } });
const { name, version } = JSON.parse(readFileSync('package.json', 'utf8'));
const fail = (message) => { console.error(`Not released: ${message}`); process.exit(1); };
const run = (program, ...args) => execFileSync(program, args, { stdio: 'inherit' });

const heading = readFileSync('CHANGELOG.md', 'utf8').match(/^## (\S+)(.*)$/m);
if (heading?.[1] !== version) fail(`package.json says ${version}, the newest entry of CHANGELOG.md ${heading?.[1] ?? 'nothing'}.`);
if (JSON.parse(readFileSync('package-lock.json', 'utf8')).version !== version) fail(`package-lock.json is not of version ${version}: run npm install --package-lock-only.`);
const changed = execFileSync('git', ['status', '--porcelain']).toString().trim();
if (/unreleased/i.test(heading[2]) || changed) {
  const why = changed ? `the working tree has changes:\n${changed}` : `CHANGELOG.md calls ${version} unreleased: write the date.`;
  if (options['allow-dirty']) console.warn(`Only a trial: ${why}`); else fail(why);
}

if (options['skip-tests']) console.warn('Only a trial: the tests are left out.');
else run('npm', 'test');
for (const file of readdirSync('dist').filter((file) => /\.(vsix|tgz)$/.test(file))) rmSync(join('dist', file));
run('npm', 'run', '--silent', 'package', '--', '--target', 'all'); // fails for a package over its limit
run('npm', 'pack', '--silent', '--pack-destination', 'dist'); // the command line

const packages = readdirSync('dist').filter((file) => file.startsWith(`${name}-`) && (file.endsWith(`-${version}.vsix`) || file.endsWith(`-${version}.tgz`))).sort();
const sums = packages.map((file) => ({ file, sizeMb: statSync(join('dist', file)).size / 1e6, sha256: createHash('sha256').update(readFileSync(join('dist', file))).digest('hex') }));
writeFileSync('dist/SHA256SUMS', sums.map(({ file, sha256 }) => `${sha256}  ${file}\n`).join(''));
console.log(`\n${name} ${version}`);
for (const { file, sizeMb, sha256 } of sums) console.log(`${sizeMb.toFixed(1).padStart(5)} MB  ${sha256}  ${file}`);
console.log('Checksums: dist/SHA256SUMS (check with sha256sum --check)');
