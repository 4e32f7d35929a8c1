/** What the pages ask about assets. */

import { ApiError, api, document, type Schemas } from './client';
import { t } from './i18n.svelte';

export type Asset = Schemas['Asset'];
export type Chapter = Schemas['Chapter'];
export type LeftOut = Schemas['LeftOut'];
export type Playback = Schemas['Playback'];

export async function asset(id: string, signal?: AbortSignal): Promise<Asset> {
  return document(api.GET('/api/v1/assets/{id}', { params: { path: { id } }, signal: signal ?? null }));
}

/** The asset that is served under a playback id; `null` if there is none. */
export async function assetOfPlayback(playbackId: string, signal?: AbortSignal): Promise<Asset | null> {
  const found = await listed({ playback_id: playbackId }, signal);
  return found[0] ?? null;
}

/** The latest assets, newest first. */
export async function recentAssets(limit: number, signal?: AbortSignal): Promise<Asset[]> {
  return listed({ limit }, signal);
}

export async function deleteAsset(id: string): Promise<void> {
  try {
    await api.DELETE('/api/v1/assets/{id}', { params: { path: { id } } });
  } catch (error) {
    // Somebody else was faster.
    if (!(error instanceof ApiError && error.status === 404)) throw error;
  }
}

/** True once nothing about the asset will change by itself. */
export function isFinal(asset: Asset): boolean {
  return asset.state === 'ready' || asset.state === 'failed' || asset.state === 'deleted';
}

export function nameOf(asset: { title: string | null; file_name: string | null }): string {
  return asset.title ?? asset.file_name ?? t('asset.untitled');
}

async function listed(query: { playback_id?: string; limit?: number }, signal?: AbortSignal): Promise<Asset[]> {
  const page = await document(api.GET('/api/v1/assets', { params: { query }, signal: signal ?? null }));
  return page.data;
}
