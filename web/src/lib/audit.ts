/** The audit log, narrowed by the server. */

import { api, document, type Schemas } from './client';
import type { ListPage } from './list.svelte';

export type Entry = Schemas['AuditEntry'];

export interface AuditFilter {
  /** The beginning of an action: `user.`, `session.begun`. */
  action: string;
  /** Who did it. */
  actor: string;
  /** What it was done to. */
  target: string;
  /** Days, as `2026-11-29`, in UTC. */
  since: string;
  until: string;
}

const AT_ONCE = 100;
const DAY_MS = 86_400_000;

/** The next rows that are asked for, the latest first. */
export async function audit({ action, actor, target, since, until }: AuditFilter, after: string | undefined): Promise<ListPage<Entry>> {
  const named = Object.entries({ action, actor, target }).map(([name, value]) => [name, value.trim()]);
  const query = {
    limit: AT_ONCE,
    ...Object.fromEntries(named.filter(([, value]) => value !== '')),
    ...(since ? { from: `${since}T00:00:00Z` } : {}),
    ...(until ? { to: dayAfter(until) } : {}),
    ...(after ? { after } : {}),
  };
  return document(api.GET('/api/v1/audit-log', { params: { query } }));
}

/** The first moment behind a day. */
export function dayAfter(day: string): string {
  return `${new Date(Date.parse(`${day}T00:00:00Z`) + DAY_MS).toISOString().slice(0, 10)}T00:00:00Z`;
}
