// Installs the locked dependencies when node_modules is missing or older than the lock file; otherwise does nothing.
import { execSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
const stamp = 'node_modules/.package-lock.json';
if (!existsSync(stamp) || statSync(stamp).mtimeMs < statSync('package-lock.json').mtimeMs - 1000) {
  console.log('Installing dependencies (npm ci, install scripts off) ...');
  execSync('npm ci --ignore-scripts --no-audit --no-fund', { stdio: 'inherit' });
}
