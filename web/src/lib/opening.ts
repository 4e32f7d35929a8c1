/** How a visitor plays an asset: as everybody does, or by a ticket that their account gives them. */

import type { Playback } from './api';
import { api, document } from './client';

/** The same addresses behind what they begin with for this visitor. */
export function behind(prefix: string, told: Playback): Playback {
  const opened = (path: string | null) => (path?.startsWith('/v/') ? `${prefix}${path}` : path);
  return {
    ...told,
    hls: `${prefix}${told.hls}`,
    poster: opened(told.poster),
    preview: opened(told.preview),
    storyboard: opened(told.storyboard),
    storyboard_json: opened(told.storyboard_json),
    chapters: opened(told.chapters),
  };
}

/** Where this visitor plays it; `null` where they may not. */
export async function opened(told: Playback, signal: AbortSignal | null = null): Promise<Playback | null> {
  const isThere = async (hls: string, credentials: RequestCredentials) =>
    (await fetch(hls, { signal, cache: 'no-store', credentials })).ok;
  // Without what the browser knows, so that it asks its user for no password where an account is enough.
  if (await isThere(told.hls, 'omit')) return told;
  const path = { playback: told.playback_id };
  const ticket = document(api.POST('/api/v1/playback/{playback}/ticket', { params: { path }, signal }));
  const prefix = await ticket.then((found) => found.prefix, () => null);
  const behindIt = prefix === null ? null : behind(prefix, told);
  if (behindIt && (await isThere(behindIt.hls, 'same-origin'))) return behindIt;
  // Now it may: of an asset with a password, or a cookie of a CDN.
  return (await isThere(told.hls, 'same-origin')) ? told : null;
}
