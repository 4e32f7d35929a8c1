/** What is said about an asset, as a form holds it; and what became of it when two people changed it at once. */

import type { Asset } from './api';
import type { AssetChange } from './studio';

export interface Draft {
  title: string;
  description: string;
  /** With commas between them, like the next two. */
  tags: string;
  genres: string;
  languages: string;
  released_on: string;
  people: { name: string; role: string }[];
  external_ids: { scheme: string; id: string }[];
}

export type FieldName = keyof Draft;
export const FIELDS: readonly FieldName[] = [
  'title',
  'description',
  'tags',
  'genres',
  'languages',
  'released_on',
  'people',
  'external_ids',
];

/** A field that somebody else changed meanwhile. */
export interface Difference {
  field: FieldName;
  theirs: string;
  mine: string;
  /** Both changed it: one has to be chosen. */
  isDisputed: boolean;
}

export function draftOf(asset: Asset): Draft {
  return {
    title: asset.title ?? '',
    description: asset.description ?? '',
    tags: asset.tags.join(', '),
    genres: asset.genres.join(', '),
    languages: asset.languages.join(', '),
    released_on: asset.released_on ?? '',
    people: asset.people.map(({ name, role }) => ({ name, role })),
    external_ids: Object.entries(asset.external_ids).map(([scheme, id]) => ({ scheme, id: String(id) })),
  };
}

/** The fields that differ, as the API wants them: what is empty is taken away. */
export function changeFrom(before: Draft, after: Draft): AssetChange {
  const change: Record<string, unknown> = {};
  for (const field of FIELDS) {
    if (isSame(before, after, field)) continue;
    change[field] = sent(before, after, field);
  }
  return change as AssetChange;
}

/** What somebody else changed since `base`; `mine` takes over what only they changed. */
export function merge(base: Draft, theirs: Draft, mine: Draft): { merged: Draft; differences: Difference[] } {
  const merged = structuredClone(mine);
  const differences: Difference[] = [];
  for (const field of FIELDS) {
    if (isSame(base, theirs, field) || isSame(theirs, mine, field)) continue;
    const isDisputed = !isSame(base, mine, field);
    if (!isDisputed) take(merged, theirs, field);
    differences.push({ field, theirs: text(theirs, field), mine: text(mine, field), isDisputed });
  }
  return { merged, differences };
}

export function take<K extends FieldName>(into: Draft, from: Draft, field: K): void {
  into[field] = structuredClone(from[field]);
}

function isSame(one: Draft, other: Draft, field: FieldName): boolean {
  return text(one, field) === text(other, field);
}

/** The value of a field for people, and to be compared. */
function text(draft: Draft, field: FieldName): string {
  if (field === 'people') return named(draft).map(({ name, role }) => (role ? `${name} (${role})` : name)).join(', ');
  if (field === 'external_ids') return identified(draft).map(({ scheme, id }) => `${scheme}: ${id}`).join(', ');
  return field === 'tags' || field === 'genres' || field === 'languages' ? words(draft[field]).join(', ') : draft[field].trim();
}

function sent(before: Draft, after: Draft, field: FieldName): unknown {
  if (field === 'people') return named(after);
  if (field === 'external_ids') {
    // In a merge patch what is absent stays: schemes that are gone are taken away by name.
    const gone = identified(before).map(({ scheme }) => [scheme, null] as const);
    const kept = identified(after).map(({ scheme, id }) => [scheme, id] as const);
    return Object.fromEntries([...gone, ...kept]);
  }
  if (field === 'tags' || field === 'genres' || field === 'languages') return words(after[field]);
  return after[field].trim() || null;
}

const words = (list: string) => list.split(',').map((word) => word.trim()).filter((word) => word !== '');
const named = (draft: Draft) =>
  draft.people.map(({ name, role }) => ({ name: name.trim(), role: role.trim() })).filter(({ name }) => name !== '');
const identified = (draft: Draft) =>
  draft.external_ids.map(({ scheme, id }) => ({ scheme: scheme.trim(), id: id.trim() })).filter(({ scheme, id }) => scheme && id);
