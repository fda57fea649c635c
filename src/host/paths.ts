/** Paths as people write them in settings, tasks and questions. Pure: no VS Code. */
import { isAbsolute, join } from 'node:path';

/** A path that may be relative to a folder; what is empty stays empty. */
export const absoluteIn = (folder: string, path: string): string => (path === '' || isAbsolute(path) ? path : join(folder, path));
/** The same of what may be JSON instead, as preprocessing is. */
export const jsonOrAbsoluteIn = (folder: string, text: string): string => (text.startsWith('{') ? text : absoluteIn(folder, text));
