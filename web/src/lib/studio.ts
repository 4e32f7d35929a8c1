/** What the owner of an asset, and those they let, do with it. */

import type { Asset } from './api';
import { api, document, tagged, type Schemas, type Tagged } from './client';
import type { ListPage } from './list.svelte';

export type Stage = Schemas['Stage'];
export type Share = Schemas['Share'];
export type Standing = Share['standing'];
export type Subtitle = Schemas['Subtitle'];
export type SubtitleChange = Schemas['SubtitleChange'];
export type Cue = Schemas['Cue'];
export type Cues = Schemas['Cues'];
export type AssetChange = Schemas['AssetChange'];
export type Binned = Schemas['Binned'];
export type ChapterRow = Schemas['ChapterRequest']['chapters'][number];
export type Card = Schemas['Card'];
export type Poster = Schemas['Poster'];
export type Preview = Schemas['Preview'];
export type Access = Schemas['AssetAccess'];
export type AccessPolicy = Schemas['AccessPolicy'];

/** What a list of assets is narrowed by, under the names that it has in the address. */
export interface Filter {
  type?: 'video' | 'audio';
  state?: Exclude<Asset['state'], 'deleted'>;
  tag?: string;
  genre?: string;
  language?: string;
  owner?: string;
  released_after?: string;
  released_before?: string;
  sort?: 'created_at' | '-created_at' | 'released_on' | '-released_on' | 'title' | '-title';
}

const at = (id: string) => ({ params: { path: { id } } });
const onward = (after: string | undefined) => (after ? { after } : {});

export async function assets(filter: Filter, after: string | undefined): Promise<ListPage<Asset>> {
  return document(api.GET('/api/v1/assets', { params: { query: { ...filter, ...onward(after) } } }));
}

export async function taggedAsset(id: string): Promise<Tagged<Asset>> {
  return tagged(api.GET('/api/v1/assets/{id}', at(id)));
}

export async function changeAsset(id: string, change: AssetChange, tag: string): Promise<Tagged<Asset>> {
  const params = { path: { id }, header: { 'If-Match': tag } };
  return tagged(api.PATCH('/api/v1/assets/{id}', { params, body: change, headers: { 'content-type': 'application/merge-patch+json' } }));
}

export async function bin(after: string | undefined): Promise<ListPage<Binned>> {
  return document(api.GET('/api/v1/bin', { params: { query: onward(after) } }));
}

export async function restore(id: string): Promise<void> {
  await api.POST('/api/v1/assets/{id}/restore', at(id));
}

export async function deleteForGood(id: string): Promise<void> {
  await api.DELETE('/api/v1/assets/{id}', { params: { path: { id }, query: { permanently: true } } });
}

/** Puts an asset into another stage; with `seen` only while that version of its source is in force. */
export async function setStage(id: string, stage: Stage, note: string, seen?: number): Promise<Asset> {
  const body = { stage, ...(note ? { note } : {}), ...(seen === undefined ? {} : { version: seen }) };
  return document(api.PUT('/api/v1/assets/{id}/stage', { ...at(id), body }));
}

export async function reviews(after: string | undefined): Promise<ListPage<Card>> {
  return document(api.GET('/api/v1/reviews', { params: { query: onward(after) } }));
}

/** From when and until when it is shown; `null` for no bound. */
export async function schedule(id: string, publish: string | null, expire: string | null): Promise<void> {
  if (publish === null && expire === null) await api.DELETE('/api/v1/assets/{id}/schedule', at(id));
  else await api.PUT('/api/v1/assets/{id}/schedule', { ...at(id), body: { publish_at: publish, expire_at: expire } });
}

export async function setChannel(id: string, channel: string | null): Promise<void> {
  if (channel) await api.PUT('/api/v1/assets/{id}/channel', { ...at(id), body: { channel } });
  else await api.DELETE('/api/v1/assets/{id}/channel', at(id));
}

/** Where shares are kept: at an asset, or at a collection. */
export type Shared = { kind: 'asset' | 'collection'; id: string };

export async function shares({ kind, id }: Shared): Promise<Share[]> {
  if (kind === 'asset') return (await document(api.GET('/api/v1/assets/{id}/shares', at(id)))).data;
  const params = { path: { collection: id } };
  return (await document(api.GET('/api/v1/collections/{collection}/shares', { params }))).data;
}

export async function share({ kind, id }: Shared, user: string, standing: Standing): Promise<void> {
  const body = { standing };
  if (kind === 'asset') await api.PUT('/api/v1/assets/{id}/shares/{user}', { params: { path: { id, user } }, body });
  else await api.PUT('/api/v1/collections/{collection}/shares/{user}', { params: { path: { collection: id, user } }, body });
}

export async function unshare({ kind, id }: Shared, user: string): Promise<void> {
  if (kind === 'asset') await api.DELETE('/api/v1/assets/{id}/shares/{user}', { params: { path: { id, user } } });
  else await api.DELETE('/api/v1/collections/{collection}/shares/{user}', { params: { path: { collection: id, user } } });
}

export async function setChapters(id: string, chapters: ChapterRow[]): Promise<void> {
  await api.PUT('/api/v1/assets/{id}/chapters', { ...at(id), body: { chapters } });
}

/** The source's own chapters count again. */
export async function unsetChapters(id: string): Promise<void> {
  await api.DELETE('/api/v1/assets/{id}/chapters', at(id));
}

export async function poster(id: string): Promise<Poster> {
  return document(api.GET('/api/v1/assets/{id}/poster', at(id)));
}

/** What is seen at a second becomes the poster. */
export async function setPosterTime(id: string, seconds: number): Promise<Poster> {
  return document(api.PUT('/api/v1/assets/{id}/poster', { ...at(id), body: { time_s: seconds } }));
}

export async function sendPoster(id: string, file: Blob): Promise<Poster> {
  return document(
    api.PUT('/api/v1/assets/{id}/poster', {
      ...at(id),
      body: file as never,
      bodySerializer: (body: unknown) => body as Blob,
      headers: { 'content-type': 'application/octet-stream' },
    }),
  );
}

/** The poster that was found to be the best counts again. */
export async function unsetPoster(id: string): Promise<Poster> {
  return document(api.DELETE('/api/v1/assets/{id}/poster', at(id)));
}

/** Who may play it. */
export async function access(id: string): Promise<Access> {
  return document(api.GET('/api/v1/assets/{id}/access', at(id)));
}

export async function setAccess(id: string, wanted: Schemas['WantedAssetAccess']): Promise<Access> {
  return document(api.PUT('/api/v1/assets/{id}/access', { ...at(id), body: wanted }));
}

/** Addresses by which a reviewer plays what is shown to nobody else yet. */
export async function preview(id: string): Promise<Preview> {
  return document(api.POST('/api/v1/assets/{id}/preview', at(id)));
}

export async function subtitles(id: string): Promise<Subtitle[]> {
  return (await document(api.GET('/api/v1/assets/{id}/subtitles', at(id)))).data;
}

export interface NewSubtitles {
  file: Blob;
  language: string;
  name: string;
  forced: boolean;
  default: boolean;
}

export async function addSubtitles(id: string, text: NewSubtitles): Promise<void> {
  const query = {
    forced: text.forced,
    default: text.default,
    ...(text.language ? { language: text.language } : {}),
    ...(text.name ? { name: text.name } : {}),
  };
  await api.POST('/api/v1/assets/{id}/subtitles', {
    params: { path: { id }, query },
    body: text.file as never,
    bodySerializer: (body: unknown) => body as Blob,
    headers: { 'content-type': 'application/octet-stream' },
  });
}

export async function removeSubtitles(id: string, subtitle: string): Promise<void> {
  await api.DELETE('/api/v1/assets/{id}/subtitles/{subtitle}', { params: { path: { id, subtitle } } });
}

/** What is said of an added file, changed at the version that it has. */
export async function changeSubtitles(id: string, subtitle: string, change: SubtitleChange): Promise<void> {
  const path = { id, subtitle };
  const { tag } = await tagged(api.GET('/api/v1/assets/{id}/subtitles/{subtitle}', { params: { path } }));
  await api.PATCH('/api/v1/assets/{id}/subtitles/{subtitle}', { params: { path, header: { 'If-Match': tag } }, body: change });
}

/** Cue by cue: of an added file by its id, of a track of the file by its rendition. */
export async function cues(id: string, subtitle: string): Promise<Tagged<Cues>> {
  return tagged(api.GET('/api/v1/assets/{id}/subtitles/{subtitle}/cues', { params: { path: { id, subtitle } } }));
}

export async function setCues(id: string, subtitle: string, edited: Cue[], tag: string): Promise<void> {
  const params = { path: { id, subtitle }, header: { 'If-Match': tag } };
  await api.PUT('/api/v1/assets/{id}/subtitles/{subtitle}/cues', { params, body: { cues: edited } });
}

/** Where an asset may go from a stage (`domain/src/stage.rs`): the server still says no where somebody has to look first. */
const NEXT: Record<Stage, readonly Stage[]> = {
  draft: ['submitted', 'published', 'unlisted'],
  submitted: ['approved', 'rejected', 'published', 'unlisted', 'draft'],
  approved: ['published', 'unlisted', 'archived', 'draft'],
  rejected: ['submitted', 'published', 'unlisted', 'draft'],
  published: ['unlisted', 'archived', 'draft'],
  unlisted: ['published', 'archived', 'draft'],
  archived: ['published', 'unlisted', 'draft'],
};

export function stagesAfter(stage: Stage, mayReview: boolean): Stage[] {
  return NEXT[stage].filter((next) => mayReview || (next !== 'approved' && next !== 'rejected'));
}
