/** The accounts of others, for administrators. */

import { api, document, tagged, type Schemas, type Tagged } from './client';
import type { ListPage } from './list.svelte';

export type Person = Schemas['Person'];
export type Role = Person['role'];
export type Terms = Schemas['TermsChange'];

const AT_ONCE = 100;

/** Accounts, newest first; with a text those whose name or mail address begins with it. */
export async function people(text: string, after: string | undefined): Promise<ListPage<Person>> {
  const query = { limit: AT_ONCE, ...(text ? { q: text } : {}), ...(after ? { after } : {}) };
  return document(api.GET('/api/v1/users', { params: { query } }));
}

/** The first accounts whose name or mail address begins with a text. */
export async function findPeople(text: string, signal?: AbortSignal): Promise<Person[]> {
  const params = { query: { limit: AT_ONCE, q: text } };
  return (await document(api.GET('/api/v1/users', { params, signal: signal ?? null }))).data;
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
