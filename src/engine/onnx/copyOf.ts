/** A shallow copy of a message with some fields changed; absent fields stay on its prototype (proto2 presence). */
export const copyOf = <T extends object>(message: T, changes: Partial<T>): T => Object.assign(Object.create(Object.getPrototypeOf(message) as object) as T, message, changes);
