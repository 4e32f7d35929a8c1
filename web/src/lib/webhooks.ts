/** Webhooks: where events are sent, what was sent, and what was answered. */

import { api, document, tagged, type Schemas, type Tagged } from './client';
import type { ListPage } from './list.svelte';

export type Webhook = Schemas['ListedWebhook'];
export type Delivery = Schemas['Delivery'];
export type DeliveryState = Schemas['DeliveryState'];

const at = (webhook: string) => ({ params: { path: { webhook } } });

export async function webhooks(): Promise<Webhook[]> {
  return (await document(api.GET('/api/v1/webhooks'))).data;
}

export async function webhook(id: string): Promise<Tagged<Webhook>> {
  return tagged(api.GET('/api/v1/webhooks/{webhook}', at(id)));
}

/** The secret is told once. */
export async function createWebhook(wanted: Schemas['WebhookRequest']): Promise<Schemas['Webhook']> {
  return document(api.POST('/api/v1/webhooks', { body: wanted }));
}

export async function changeWebhook(id: string, change: Schemas['WebhookChange'], tag: string): Promise<Tagged<Webhook>> {
  const params = { path: { webhook: id }, header: { 'If-Match': tag } };
  return tagged(api.PATCH('/api/v1/webhooks/{webhook}', { params, body: change }));
}

export async function deleteWebhook(id: string): Promise<void> {
  await api.DELETE('/api/v1/webhooks/{webhook}', at(id));
}

/** Another secret, told once; the one before it signs along for some hours. */
export async function rotateSecret(id: string, overlapHours: number): Promise<string> {
  const body = { overlap_hours: overlapHours };
  return (await document(api.POST('/api/v1/webhooks/{webhook}/secrets', { ...at(id), body }))).secret;
}

export async function testWebhook(id: string): Promise<void> {
  await api.POST('/api/v1/webhooks/{webhook}/test', at(id));
}

export async function deliveries(
  id: string,
  state: DeliveryState | '',
  after: string | undefined,
): Promise<ListPage<Delivery>> {
  const query = { ...(state ? { state } : {}), ...(after ? { after } : {}) };
  return document(api.GET('/api/v1/webhooks/{webhook}/deliveries', { params: { path: { webhook: id }, query } }));
}

export async function replay(id: string, message: string): Promise<void> {
  const params = { path: { webhook: id, message } };
  await api.POST('/api/v1/webhooks/{webhook}/deliveries/{message}/replay', { params });
}

/** Sends what failed since then once more; how many messages these are. */
export async function replayFailed(id: string, since: string): Promise<number> {
  const body = { since, state: 'failed' } as const;
  return (await document(api.POST('/api/v1/webhooks/{webhook}/replay', { ...at(id), body }))).count;
}

/** Patterns of topics: between commas, blanks or lines. */
export function topicsIn(text: string): string[] {
  return text.split(/[\s,]+/).filter((topic) => topic !== '');
}
