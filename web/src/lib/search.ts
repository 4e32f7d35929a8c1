/** Searching the catalogue: assets, and the second at which something is said. */
import { refusal } from './api';

/** A piece of a text, as it stands there. */
export interface Part {
  text: string;
  is_match: boolean;
}

export interface Moment {
  start_seconds: number;
  parts: Part[];
}

export interface Hit {
  asset: {
    id: string;
    title: string | null;
    file_name: string | null;
    watch: string | null;
    poster: string | null;
  };
  snippets: { field: string; parts: Part[] }[];
  moments: Moment[];
}

export interface Hits {
  data: Hit[];
  is_forgiving: boolean;
  page: { has_more: boolean };
}

/** The best hits; nothing is found by nothing. */
export async function search(text: string, limit: number, signal: AbortSignal): Promise<Hits> {
  const query = new URLSearchParams({ q: text, limit: String(limit) });
  const response = await fetch(`/api/v1/search?${query}`, { headers: { accept: 'application/json' }, signal });
  if (!response.ok) throw await refusal(response);
  return (await response.json()) as Hits;
}
