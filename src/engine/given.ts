/** Leaves out what is undefined: options are absent or have a value. */
export const given = <T extends object>(values: T): { [K in keyof T]: Exclude<T[K], undefined> } => Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as { [K in keyof T]: Exclude<T[K], undefined> };
