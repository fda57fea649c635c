/** A real VS Code workbench (code-server) with the packaged extension installed, on a copy of a workspace; nothing is left behind when it stops. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { WorkbenchPrograms } from '../../../scripts/tools.mjs';
import { Driver } from './driver.ts';

const settings = {
  'security.workspace.trust.enabled': false, 'workbench.startupEditor': 'none', 'telemetry.telemetryLevel': 'off', 'extensions.autoCheckUpdates': false, 'extensions.autoUpdate': false,
  'extensions.ignoreRecommendations': true, 'update.mode': 'none', 'workbench.enableExperiments': false, 'workbench.tips.enabled': false, 'workbench.secondarySideBar.defaultVisibility': 'hidden',
  'git.enabled': false, 'chat.disableAIFeatures': true, 'editor.inlayHints.enabled': 'on', 'window.menuBarVisibility': 'compact', 'editor.minimap.enabled': false, 'workbench.colorTheme': 'Light Modern',
};

const freePort = () => new Promise<number>((resolve, reject) => {
  const probe = createServer().listen(0, '127.0.0.1', () => { const address = probe.address(); probe.close(() => resolve(typeof address === 'object' && address ? address.port : 0)); });
  probe.on('error', reject);
});

export class Server {
  /** Folder that is open in the workbench. */
  readonly workspace: string;
  readonly url: string;
  /** Runs code in the extension host. */
  readonly driver: Driver;
  private readonly root: string;
  private readonly child: ChildProcess;
  private output = '';

  private constructor(root: string, url: string, child: ChildProcess, driver: Driver) {
    this.root = root;
    this.driver = driver;
    this.workspace = join(root, 'workspace');
    this.url = url;
    this.child = child;
    child.stdout?.on('data', (data) => { this.output += data; });
    child.stderr?.on('data', (data) => { this.output += data; });
  }

  /** @param fill writes the workspace's files; @param trusted false: it is for the user to trust the folder */
  static async start({ node, codeServer }: WorkbenchPrograms, vsix: string, fill: (workspace: string) => void, trusted = true): Promise<Server> {
    const root = mkdtempSync(join(tmpdir(), 'auto-compress-e2e-'));
    const at = (...parts: string[]) => join(root, ...parts);
    for (const folder of ['data/User', 'extensions', 'home', 'workspace']) mkdirSync(at(folder), { recursive: true });
    writeFileSync(at('config.yaml'), 'auth: none\ncert: false\n');
    writeFileSync(at('data/User/settings.json'), JSON.stringify(trusted ? settings : { ...settings, 'security.workspace.trust.enabled': true, 'security.workspace.trust.startupPrompt': 'never' }));
    fill(at('workspace'));
    const env = { HOME: at('home'), PATH: `${dirname(node)}:/usr/local/bin:/usr/bin:/bin`, LANG: 'C.UTF-8' };
    const folders = ['--config', at('config.yaml'), '--user-data-dir', at('data'), '--extensions-dir', at('extensions')];
    const driver = await Driver.create(root);
    execFileSync(node, [codeServer, ...folders, '--install-extension', vsix, '--install-extension', driver.vsix], { env, stdio: 'pipe' });
    const port = await freePort();
    const flags = ['--auth', 'none', '--bind-addr', `127.0.0.1:${port}`, '--disable-telemetry', '--disable-update-check', ...(trusted ? ['--disable-workspace-trust'] : []), '--disable-getting-started-override', '--ignore-last-opened'];
    const child = spawn(node, [codeServer, ...folders, ...flags], { env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    const server = new Server(root, `http://127.0.0.1:${port}`, child, driver);
    await server.ready();
    return server;
  }

  /** Process ids of the engine's workers that belong to this server. */
  workers(): readonly number[] {
    const processes = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).flatMap((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
        return [{ pid: Number(name), parent: Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]), command: readFileSync(`/proc/${name}/cmdline`, 'utf8') }];
      } catch { return []; } // it ended meanwhile
    });
    const mine = new Set([this.child.pid]);
    for (let size = 0; size !== mine.size;) { size = mine.size; for (const { pid, parent } of processes) if (mine.has(parent)) mine.add(pid); }
    return processes.filter(({ pid, command }) => mine.has(pid) && command.includes('dist/worker.js')).map(({ pid }) => pid);
  }

  /** What the extension host wrote to its log: for a test that failed. */
  extensionHostLog(): string {
    const logs = join(this.root, 'data/logs');
    return readdirSync(logs, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('remoteexthost.log')).map((path) => readFileSync(join(logs, path), 'utf8')).join('\n');
  }

  async stop(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      const exited = new Promise<void>((resolve) => { this.child.on('exit', () => resolve()); });
      this.signal('SIGTERM');
      const timer = setTimeout(() => this.signal('SIGKILL'), 5000);
      await exited;
      clearTimeout(timer);
    }
    this.signal('SIGKILL'); // whatever of the group is left
    rmSync(this.root, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }

  private signal(name: NodeJS.Signals): void { try { process.kill(-this.child.pid!, name); } catch { /* the group is gone */ } }

  private async ready(): Promise<void> {
    for (const end = Date.now() + 180_000; ;) {
      try { if ((await fetch(`${this.url}/healthz`)).ok) return; } catch { /* not listening yet */ }
      if (this.child.exitCode !== null || Date.now() > end) { await this.stop(); throw new Error(`code-server did not start: ${this.output}`); }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
