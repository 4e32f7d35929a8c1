/** Channels: who makes them, what is in them, who follows. */

import { api, document, tagged, type Schemas, type Tagged } from './client';
import type { ListPage } from './list.svelte';
import type { Card } from './studio';

export type Channel = Schemas['Channel'];

const onward = (after: string | undefined) => (after ? { after } : {});
const at = (channel: string) => ({ params: { path: { channel } } });

export async function channels(after: string | undefined, limit = 50): Promise<ListPage<Channel>> {
  return document(api.GET('/api/v1/channels', { params: { query: { limit, ...onward(after) } } }));
}

export async function channel(id: string): Promise<Tagged<Channel>> {
  return tagged(api.GET('/api/v1/channels/{channel}', at(id)));
}

export async function createChannel(wanted: Schemas['NewChannel']): Promise<Channel> {
  return document(api.POST('/api/v1/channels', { body: wanted }));
}

export async function changeChannel(id: string, change: Schemas['ChannelChange'], tag: string): Promise<Tagged<Channel>> {
  const params = { path: { channel: id }, header: { 'If-Match': tag } };
  return tagged(api.PATCH('/api/v1/channels/{channel}', { params, body: change }));
}

export async function deleteChannel(id: string): Promise<void> {
  await api.DELETE('/api/v1/channels/{channel}', at(id));
}

export async function channelAssets(id: string, after: string | undefined): Promise<ListPage<Card>> {
  const params = { path: { channel: id }, query: onward(after) };
  return document(api.GET('/api/v1/channels/{channel}/assets', { params }));
}

/** The newest assets of all channels that the reader follows. */
export async function followedAssets(after: string | undefined): Promise<ListPage<Card>> {
  return document(api.GET('/api/v1/me/subscriptions/assets', { params: { query: onward(after) } }));
}

/** The channels that the reader follows: the first hundred are enough to say which of a list these are. */
export async function followed(): Promise<Set<string>> {
  const found = await document(api.GET('/api/v1/me/subscriptions', { params: { query: { limit: 100 } } }));
  return new Set(found.data.map((each) => each.id));
}

export async function setFollowed(id: string, isFollowed: boolean): Promise<void> {
  if (isFollowed) await api.PUT('/api/v1/me/subscriptions/{channel}', at(id));
  else await api.DELETE('/api/v1/me/subscriptions/{channel}', at(id));
}
