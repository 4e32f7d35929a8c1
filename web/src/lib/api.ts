/** What the pages read of the JSON API. Fields they do not use are left out; unknown fields are ignored. */

export type AssetState = 'uploading' | 'received' | 'probed' | 'processing' | 'ready' | 'failed' | 'deleted';

export interface Chapter {
  start_seconds: number;
  end_seconds: number;
  title: string | null;
}

export interface RenditionProgress {
  id: string;
  kind: string;
  segments_done: number;
  segments_total: number;
  share: number;
  seconds_left: number | null;
}

/** A part of the source that could not be made, and why. */
export interface LeftOut {
  kind: string;
  rendition: string | null;
  codec?: string;
  reason: { code: string; message: string };
}

export interface Playback {
  playback_id: string;
  hls: string;
  watch: string;
  poster: string | null;
  preview: string | null;
  storyboard: string | null;
  chapters: string | null;
}

export interface VideoFacts {
  codec: string | null;
  width: number;
  height: number;
  frame_rate: string | number | null;
}

export interface Asset {
  id: string;
  state: AssetState;
  file_name: string | null;
  title: string | null;
  created_at: string;
  size: string | null;
  duration_seconds: number | null;
  duration: string | null;
  container: string | null;
  video: VideoFacts | null;
  audio_languages: string[];
  subtitle_languages: string[];
  has_subtitles: boolean;
  chapters: Chapter[];
  playback: Playback | null;
  renditions: RenditionProgress[];
  progress: number;
  seconds_left: number | null;
  left_out: LeftOut[];
  failure: { code: string; message: string } | null;
  reprocessing: { generation: number; progress: number; seconds_left: number | null } | null;
  reprocess_failure: { code: string; message: string } | null;
}

/** The server's refusal, in its own words where it gave any. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    /** What programs match on. */
    readonly code: string = '',
  ) {
    super(message);
  }
}

export async function asset(id: string, signal?: AbortSignal): Promise<Asset> {
  return (await get(`/api/v1/assets/${encodeURIComponent(id)}`, signal)) as Asset;
}

/** The asset that is served under a playback id; `null` if there is none. */
export async function assetOfPlayback(playbackId: string, signal?: AbortSignal): Promise<Asset | null> {
  const found = list(await get(`/api/v1/assets?playback_id=${encodeURIComponent(playbackId)}`, signal));
  return found[0] ?? null;
}

/** The latest assets, newest first. */
export async function recentAssets(limit: number, signal?: AbortSignal): Promise<Asset[]> {
  return list(await get(`/api/v1/assets?limit=${limit}`, signal));
}

export async function deleteAsset(id: string): Promise<void> {
  const response = await fetch(`/api/v1/assets/${encodeURIComponent(id)}`, { method: 'DELETE' });
  if (!response.ok && response.status !== 404) throw await refusal(response);
}

/** True once nothing about the asset will change by itself. */
export function isFinal(asset: Asset): boolean {
  return asset.state === 'ready' || asset.state === 'failed' || asset.state === 'deleted';
}

export function nameOf(asset: Asset): string {
  return asset.title ?? asset.file_name ?? 'Untitled video';
}

async function get(path: string, signal?: AbortSignal): Promise<unknown> {
  const response = await fetch(path, { headers: { accept: 'application/json' }, signal: signal ?? null });
  if (!response.ok) throw await refusal(response);
  return response.json();
}

export async function refusal(response: Response): Promise<ApiError> {
  const problem: unknown = await response.json().catch(() => null);
  const words = problem as { detail?: unknown; title?: unknown; code?: unknown } | null;
  const message = [words?.detail, words?.title].find((text) => typeof text === 'string' && text !== '');
  const code = typeof words?.code === 'string' ? words.code : '';
  const told = typeof message === 'string' ? message : `the server answered ${response.status}`;
  return new ApiError(response.status, told, code);
}

function list(body: unknown): Asset[] {
  const data = (body as { data?: unknown }).data;
  return Array.isArray(data) ? (data as Asset[]) : [];
}
