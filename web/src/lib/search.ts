/** Searching the catalogue: assets, and the second at which something is said. */
import { api, document, type Schemas } from './client';

/** A piece of a text, as it stands there. */
export type Part = Schemas['Part'];
export type Hit = Schemas['Hit'];
export type Hits = Schemas['HitPage'];
export type Facets = Schemas['Facets'];
/** By what a search is narrowed. */
export type Narrowing = 'type' | 'tag' | 'genre' | 'language';

/** The best hits; nothing is found by nothing. */
export async function search(q: string, limit: number, signal: AbortSignal): Promise<Hits> {
  return document(api.GET('/api/v1/search', { params: { query: { q, limit } }, signal }));
}

/** Hits page by page; the first page comes with how many there are of which kind, tag, genre and language. */
export async function searchPage(q: string, by: Record<Narrowing, string>, after: string | undefined): Promise<Hits> {
  const narrowed = Object.fromEntries(Object.entries(by).filter(([, value]) => value !== ''));
  const query = { q, ...(after ? { after } : { facets: true }), ...narrowed };
  return document(api.GET('/api/v1/search', { params: { query } }));
}
