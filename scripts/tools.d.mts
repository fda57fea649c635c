export interface WorkbenchPrograms { readonly node: string; readonly codeServer: string; readonly chromium: string }
export function cacheFolder(): string;
export function ensureNode24(): { readonly node: string; readonly headers: string };
export function ensureWorkbench(): WorkbenchPrograms;
export function ensureVsce(): { readonly node: string; readonly vsce: string };
