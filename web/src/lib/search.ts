/** Searching the catalogue: assets, and the second at which something is said. */
import { api, document, type Schemas } from './client';

/** A piece of a text, as it stands there. */
export type Part = Schemas['Part'];
export type Hits = Schemas['HitPage'];

/** The best hits; nothing is found by nothing. */
export async function search(q: string, limit: number, signal: AbortSignal): Promise<Hits> {
  return document(api.GET('/api/v1/search', { params: { query: { q, limit } }, signal }));
}
