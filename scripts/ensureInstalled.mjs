// Installs the locked dependencies when node_modules is missing or older than the lock file; otherwise does nothing.
import { execSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
const stamp = 'node_modules/.package-lock.json';
if (!existsSync(stamp) || statSync(stamp).mtimeMs < statSync('package-lock.json').mtimeMs - 1000) {
  console.log('Installing dependencies (npm ci, install scripts off) ...');
  const flags = '--ignore-scripts --no-audit --no-fund';
  // some npm versions leave other platforms' optional packages out of the lock file and then refuse it in `npm ci`: `npm install` takes the same locked versions
  try { execSync(`npm ci ${flags}`, { stdio: 'pipe' }); } catch { execSync(`npm install ${flags}`, { stdio: 'inherit' }); }
}
