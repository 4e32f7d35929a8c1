/** Who reads these pages, and what they may: what they may not is not offered. The server decides all the same. */

import { followAccount } from './i18n.svelte';
import { visit as ask, type Person, type Visit } from './session';

const RANKS = { guest: 0, user: 1, uploader: 2, moderator: 3, admin: 4 } as const;

/** What needs a role, and the least one for it. */
const LEAST = {
  follow: 'guest',
  collect: 'user',
  upload: 'uploader',
  makeChannels: 'uploader',
  keepWebhooks: 'uploader',
  review: 'moderator',
  administer: 'admin',
} as const;
export type Right = keyof typeof LEAST;
/** What there is only where there are accounts. */
const PERSONAL: readonly Right[] = ['follow', 'makeChannels', 'administer'];

let known = $state.raw<Visit | null>(null);
let isAway = $state(false);

export async function learn(): Promise<void> {
  try {
    known = await ask();
    isAway = false;
    await followAccount(known.me?.language ?? null);
  } catch {
    isAway = true;
  }
}

/** `null` until the server has told. */
export function visit(): Visit | null {
  return known;
}

export function serverIsAway(): boolean {
  return isAway;
}

/** The account that is logged in. */
export function me(): Person | null {
  return known?.me ?? null;
}

/** Shows a changed account everywhere. */
export function meChanged(person: Person): void {
  if (known) known = { ...known, me: person };
}

/** Whether the server asks nobody for a name. */
export function isOpen(): boolean {
  return known?.mode.access === 'open';
}

export function may(right: Right): boolean {
  if (!known) return false;
  if (known.mode.access === 'open') return !PERSONAL.includes(right);
  return known.me !== null && RANKS[known.me.role] >= RANKS[LEAST[right]];
}

/** Whether somebody may do with what is `owner`'s what only owners and moderators may. */
export function owns(owner: string | null): boolean {
  return isOpen() || may('review') || (known?.me !== null && known?.me?.id === owner);
}
