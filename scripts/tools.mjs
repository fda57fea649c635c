// Installs what the end-to-end tests drive: a real VS Code workbench (code-server), Node 24 for it, and a browser. Kept between runs in a
// cache folder outside the checkout (AUTO_COMPRESS_E2E_CACHE, or auto-compress-e2e in the user's cache folder): about 3 minutes and 800 MB the first time.
// Uses Debian's packages (as root) and npm; returns why not where that is impossible, so that the tests can skip with a reason.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const codeServerVersion = '4.139.1';
const vsceVersion = '4.1.0';
/** Beyond this an installation counts as failed. */
const longestMs = 15 * 60_000;
const buildPackages = ['g++', 'make', 'python3', 'libkrb5-dev', 'libsecret-1-dev', 'libx11-dev', 'libxkbfile-dev'];
const browsers = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

export const cacheFolder = () => process.env.AUTO_COMPRESS_E2E_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'auto-compress-e2e');

const installed = (name) => { try { return execFileSync('dpkg-query', ['-W', '-f=${Status}', name], { stdio: ['ignore', 'pipe', 'ignore'] }).toString().includes('install ok installed'); } catch { return false; } };

function aptInstall(names) {
  const missing = names.filter((name) => !installed(name));
  if (missing.length === 0) return;
  if (process.getuid?.() !== 0) throw new Error(`the Debian packages ${missing.join(', ')} are needed, and installing them needs root`);
  console.log(`e2e: installing ${missing.join(', ')} ...`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  for (const args of [['update', '-qq'], ['install', '-y', '-qq', ...missing]]) {
    try { execFileSync('apt-get', args, { env, stdio: ['ignore', 'ignore', 'pipe'], timeout: longestMs }); } catch (error) { throw new Error(`apt-get ${args[0]} failed (${lastLine(error)})`, { cause: error }); }
  }
}

/** What a failed program said last, without npm's pointer to its log. */
const lastLine = (error) => String(error.stderr ?? '').trim().split('\n').filter((line) => !/A complete log of this run/.test(line)).at(-1) || error.message;

/** Installs one npm package into a folder of the cache, whole or not at all; with `scripts` its install scripts run (native modules). */
function npmInstall(folder, name, env, scripts = true) {
  const unfinished = `${folder}.${process.pid}`;
  mkdirSync(unfinished, { recursive: true });
  writeFileSync(join(unfinished, 'package.json'), '{"private":true}');
  console.log(`e2e: installing ${name} from npm ...`);
  const { npm_config_user_agent: _outer, ...own } = env; // under `npm run` it names the Node of that npm, and code-server's installation believes it
  try {
    execFileSync('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error', name], { cwd: unfinished, timeout: longestMs, env: { ...own, npm_config_ignore_scripts: String(!scripts), npm_config_dangerously_allow_all_scripts: String(scripts) }, stdio: ['ignore', 'ignore', 'pipe'] });
    rmSync(folder, { recursive: true, force: true });
    renameSync(unfinished, folder);
  } catch (error) {
    throw new Error(`npm install ${name} failed (${lastLine(error)})`, { cause: error });
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
}

/** Node 24 as a program and its headers (vsce and code-server want Node 22 or newer). @returns {{node: string, headers: string}} */
export function ensureNode24() {
  const folder = join(cacheFolder(), 'node24');
  const node = join(folder, 'node_modules/node/bin/node');
  if (!existsSync(node)) npmInstall(folder, 'node@24', process.env);
  const include = readdirSync(folder, { recursive: true }).find((path) => /node-(linux|darwin|win)-[^/]*\/include$/.test(path));
  if (!include) throw new Error('the npm package node@24 came without headers');
  return { node, headers: join(folder, dirname(include)) };
}

/**
 * @returns {{node: string, codeServer: string, chromium: string}} programs to run
 * @throws {Error} whose message says what is missing on this machine
 */
export function ensureWorkbench() {
  if (process.platform !== 'linux') throw new Error('the end-to-end tests drive code-server on Linux');
  let chromium = process.env.CHROMIUM ?? browsers.find((path) => existsSync(path));
  if (!chromium) { aptInstall(['chromium']); chromium = '/usr/bin/chromium'; }
  const { node, headers } = ensureNode24();
  const folder = join(cacheFolder(), `code-server-${codeServerVersion}`);
  const codeServer = join(folder, 'node_modules/code-server/out/node/entry.js');
  if (!existsSync(codeServer)) {
    aptInstall(buildPackages); // code-server compiles native modules
    npmInstall(folder, `code-server@${codeServerVersion}`, {
      ...process.env, PATH: `${dirname(node)}${delimiter}${process.env.PATH}`, npm_config_nodedir: headers,
    });
  }
  return { node, codeServer, chromium };
}

/** Microsoft's packager, which wants Node 22 or newer. @returns {{node: string, vsce: string}} */
export function ensureVsce() {
  const folder = join(cacheFolder(), `vsce-${vsceVersion}`);
  const vsce = join(folder, 'node_modules/@vscode/vsce/vsce');
  if (!existsSync(vsce)) npmInstall(folder, `@vscode/vsce@${vsceVersion}`, process.env, false);
  const node = Number(process.versions.node.split('.')[0]) >= 22 ? process.execPath : ensureNode24().node;
  return { node, vsce };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(JSON.stringify(ensureWorkbench(), null, 1));
