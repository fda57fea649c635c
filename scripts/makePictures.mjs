// Takes the pictures of media/ from what the end-to-end tests photographed (dist/e2e), with fewer colours: those for the README, and those of the walkthrough, which are shipped.
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';

const from = process.env.AUTO_COMPRESS_E2E_ARTIFACTS ?? 'dist/e2e';
const themes = ['light', 'dark', 'high-contrast'];
const readme = [...['dashboard', 'training', 'editor', 'annotations'].flatMap((name) => themes.map((theme) => `${name}-${theme}`)), 'dashboard-running', 'annotations-python', 'compare'];
const walkthrough = ['editor', 'wizard', 'dashboard', 'export', 'annotations'].flatMap((name) => themes.map((theme) => `${name}-${theme}`));

async function make(names, folder) {
  mkdirSync(folder, { recursive: true });
  for (const name of names) {
    const source = join(from, `${name}.png`);
    if (!existsSync(source)) { console.warn(`no ${source}: ${join(folder, name)}.png stays as it is`); continue; }
    await sharp(source).png({ palette: true, colours: 128, effort: 10 }).toFile(join(folder, `${name}.png`));
  }
}
await make(readme, 'media/screenshots');
await make(walkthrough, 'media/walkthrough');
