/** Collections: series, seasons and playlists, and what stands in them in order. */

import { api, document, tagged, type Schemas, type Tagged } from './client';
import type { ListPage } from './list.svelte';

export type Collection = Schemas['Collection'];
export type Kind = Schemas['CollectionKind'];
export type Visibility = Schemas['Visibility'];
export type Item = Schemas['CollectionItem'];

export const KINDS: readonly Kind[] = ['playlist', 'series', 'season'];

const onward = (after: string | undefined) => (after ? { after } : {});
const at = (collection: string) => ({ params: { path: { collection } } });

export interface CollectionFilter {
  kind?: Kind;
  owner?: string;
}

export async function collections(filter: CollectionFilter, after: string | undefined): Promise<ListPage<Collection>> {
  return document(api.GET('/api/v1/collections', { params: { query: { ...filter, ...onward(after) } } }));
}

export async function collection(id: string): Promise<Tagged<Collection>> {
  return tagged(api.GET('/api/v1/collections/{collection}', at(id)));
}

export async function createCollection(wanted: Schemas['NewCollection']): Promise<Collection> {
  return document(api.POST('/api/v1/collections', { body: wanted }));
}

export async function changeCollection(
  id: string,
  change: Schemas['CollectionChange'],
  tag: string,
): Promise<Tagged<Collection>> {
  const params = { path: { collection: id }, header: { 'If-Match': tag } };
  return tagged(api.PATCH('/api/v1/collections/{collection}', { params, body: change }));
}

export async function deleteCollection(id: string): Promise<void> {
  await api.DELETE('/api/v1/collections/{collection}', at(id));
}

export async function items(id: string, after: string | undefined): Promise<ListPage<Item>> {
  const params = { path: { collection: id }, query: { limit: 100, ...onward(after) } };
  return document(api.GET('/api/v1/collections/{collection}/items', { params }));
}

export async function addItem(id: string, item: Schemas['NewItem']): Promise<void> {
  await api.POST('/api/v1/collections/{collection}/items', { ...at(id), body: item });
}

export async function moveItem(id: string, item: string, position: number): Promise<void> {
  const params = { path: { collection: id, item } };
  await api.PATCH('/api/v1/collections/{collection}/items/{item}', { params, body: { position } });
}

export async function removeItem(id: string, item: string): Promise<void> {
  await api.DELETE('/api/v1/collections/{collection}/items/{item}', { params: { path: { collection: id, item } } });
}
