/** The audit log. The API lists it; what is asked for is picked out of the pages here. */

import { api, document, type Schemas } from './client';
import type { ListPage } from './list.svelte';

export type Entry = Schemas['AuditEntry'];

export interface AuditFilter {
  /** The beginning of an action: `user.`, `session.begun`. */
  action: string;
  /** A part of who did it, or of what it was done to. */
  who: string;
  /** Days, as `2026-11-29`, in UTC. */
  since: string;
  until: string;
}

const AT_ONCE = 100;
/** Pages that are read for one page of what is asked for; what is behind them comes with the next. */
const PAGES_MAX = 10;

/** The next rows that are asked for, the latest first. */
export async function audit(filter: AuditFilter, after: string | undefined): Promise<ListPage<Entry>> {
  const found: Entry[] = [];
  let page: ListPage<Entry>['page'] = { next: after ?? null, has_more: true };
  for (let read = 0; read < PAGES_MAX && page.has_more && found.length < AT_ONCE / 2; read += 1) {
    const query = { limit: AT_ONCE, ...(page.next ? { after: page.next } : {}) };
    const got: ListPage<Entry> = await document(api.GET('/api/v1/audit-log', { params: { query } }));
    found.push(...got.data.filter((entry) => isMeant(entry, filter)));
    page = got.page;
    const last = got.data.at(-1);
    if (last && filter.since && last.at.slice(0, 10) < filter.since) page = { next: null, has_more: false };
  }
  return { data: found, page };
}

export function isMeant(entry: Entry, { action, who, since, until }: AuditFilter): boolean {
  const on = entry.at.slice(0, 10);
  return (
    entry.action.startsWith(action.trim()) &&
    `${entry.actor} ${entry.subject ?? ''}`.includes(who.trim()) &&
    (since === '' || on >= since) &&
    (until === '' || on <= until)
  );
}
