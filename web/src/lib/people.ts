/** The accounts of others, for administrators. */

import { api, document, tagged, type Schemas, type Tagged } from './client';
import type { ListPage } from './list.svelte';

export type Person = Schemas['Person'];
export type Role = Person['role'];
export type Terms = Schemas['TermsChange'];

/** The API lists accounts but does not search them: so many are looked through here at most. */
export const LOOKED_THROUGH_MAX = 2_000;
const AT_ONCE = 100;

export async function people(after: string | undefined): Promise<ListPage<Person>> {
  return document(api.GET('/api/v1/users', { params: { query: { limit: AT_ONCE, ...(after ? { after } : {}) } } }));
}

/** Accounts whose name, mail address or id has all words of `text` in it, among the first {@link LOOKED_THROUGH_MAX}. */
export async function findPeople(text: string, signal?: AbortSignal): Promise<Person[]> {
  const words = text.toLocaleLowerCase().split(/\s+/).filter(Boolean);
  const isMeant = (person: Person) => {
    const told = `${person.name} ${person.email ?? ''} ${person.id}`.toLocaleLowerCase();
    return words.every((word) => told.includes(word));
  };
  const found: Person[] = [];
  let after: string | undefined;
  for (let seen = 0; seen < LOOKED_THROUGH_MAX; seen += AT_ONCE) {
    const { data, page } = await people(after);
    found.push(...data.filter(isMeant));
    if (signal?.aborted || !page.next) break;
    after = page.next;
  }
  return found;
}

export async function createPerson(account: Schemas['NewAccount']): Promise<Person> {
  return document(api.POST('/api/v1/users', { body: account }));
}

export async function taggedPerson(user: string): Promise<Tagged<Person>> {
  return tagged(api.GET('/api/v1/users/{user}', { params: { path: { user } } }));
}

/** Changes an account as it is now: what somebody else changed a moment ago is not undone, since only `change` is sent. */
export async function changePerson(user: string, change: Terms): Promise<Person> {
  const { tag } = await taggedPerson(user);
  const params = { path: { user }, header: { 'If-Match': tag } };
  return document(api.PATCH('/api/v1/users/{user}', { params, body: change }));
}

export async function deletePerson(user: string): Promise<void> {
  await api.DELETE('/api/v1/users/{user}', { params: { path: { user } } });
}

export async function removeAvatarOf(user: string): Promise<void> {
  await api.DELETE('/api/v1/users/{user}/avatar', { params: { path: { user } } });
}

export function nameOf(person: Person): string {
  return person.name || person.email || person.id;
}
