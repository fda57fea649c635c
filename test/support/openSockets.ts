import { readFileSync, readdirSync, readlinkSync } from 'node:fs';

/** Network protocols whose sockets Linux lists in /proc/net. Unix sockets, by which a process talks to its parent, are not among them. */
const protocols = ['tcp', 'tcp6', 'udp', 'udp6', 'raw', 'raw6', 'icmp', 'icmp6', 'packet'];
export const canListSockets = process.platform === 'linux';

const read = (path: string): string => { try { return readFileSync(path, 'utf8'); } catch { return ''; } };
const list = (path: string): string[] => { try { return readdirSync(path); } catch { return []; } };

/** A process and those it started. */
function family(pid: number): number[] {
  return [pid, ...list(`/proc/${pid}/task`).flatMap((thread) => read(`/proc/${pid}/task/${thread}/children`).split(' ').filter(Boolean).flatMap((child) => family(Number(child))))];
}

/** Lines of /proc/net for the network sockets that a process and its children have open at this moment: TCP, UDP and raw ones. */
export function networkSockets(pid: number): string[] {
  const inodes = new Set(family(pid).flatMap((each) => list(`/proc/${each}/fd`).flatMap((fd) => {
    try { return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${each}/fd/${fd}`))?.[1] ?? []; } catch { return []; }
  })));
  return protocols.flatMap((protocol) => read(`/proc/net/${protocol}`).split('\n').filter((line) => line.trim().split(/\s+/).some((field) => inodes.has(field))).map((line) => `${protocol} ${line.trim()}`));
}
