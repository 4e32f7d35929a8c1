/** What the reader is told of what happened: how much of it was not read, and the list. */

import { api, document, type Schemas } from './client';
import type { ListPage } from './list.svelte';

export type News = Schemas['Notification'];

let unreadCount = $state(0);

/** How many of them were not read. */
export function unread(): number {
  return unreadCount;
}

/** Asks how many there are; what does not answer is asked again with the next change. */
export async function lookForNews(): Promise<void> {
  const query = { limit: 1, unread: true };
  const found = await document(api.GET('/api/v1/me/notifications', { params: { query } })).catch(() => null);
  if (found) unreadCount = found.unread_count;
}

export async function news(onlyUnread: boolean, after: string | undefined): Promise<ListPage<News>> {
  const query = { unread: onlyUnread, ...(after ? { after } : {}) };
  const found = await document(api.GET('/api/v1/me/notifications', { params: { query } }));
  unreadCount = found.unread_count;
  return found;
}

/** Notes that these were read; `null` for all. */
export async function markRead(ids: string[] | null): Promise<void> {
  const answer = await document(api.POST('/api/v1/me/notifications/read', { body: ids ? { ids } : {} }));
  unreadCount = answer.unread_count;
}

export async function removeNews(notification: string): Promise<void> {
  await api.DELETE('/api/v1/me/notifications/{notification}', { params: { path: { notification } } });
  await lookForNews();
}
