/** What somebody changes about their own account. */

import { api, document, tagged, type Schemas, type Tagged } from './client';
import type { Person } from './session';

export type ListedKey = Schemas['ListedKey'];
export type Scope = ListedKey['scopes'][number];
export type Preferences = Schemas['NotificationPreferences'];
export type SecondFactor = Schemas['SecondFactor'];

export const SCOPES: readonly Scope[] = [
  'uploads:create',
  'assets:read',
  'assets:write',
  'account:read',
  'webhooks:admin',
  'users:admin',
  'audit:read',
];

export async function profile(): Promise<Tagged<Person>> {
  return tagged(api.GET('/api/v1/me'));
}

export async function changeProfile(change: Schemas['ProfileChange'], tag: string): Promise<Tagged<Person>> {
  return tagged(api.PATCH('/api/v1/me', { params: { header: { 'If-Match': tag } }, body: change }));
}

/** Makes a picture one's own; the server crops it and writes it anew. */
export async function setAvatar(file: Blob): Promise<Tagged<Person>> {
  return tagged(
    api.PUT('/api/v1/me/avatar', {
      body: file as never,
      bodySerializer: (body: unknown) => body as Blob,
      headers: { 'content-type': 'application/octet-stream' },
    }),
  );
}

export async function removeAvatar(): Promise<void> {
  await api.DELETE('/api/v1/me/avatar');
}

export async function endOtherSessions(): Promise<void> {
  await api.DELETE('/api/v1/me/sessions');
}

/** The key itself is told once. */
export async function createKey(name: string, scopes: Scope[], days: number | null): Promise<string> {
  const body = { name, scopes, ...(days ? { expires_in_days: days } : {}) };
  return (await document(api.POST('/api/v1/me/api-keys', { body }))).key;
}

/** Makes a secret, which counts once a code of it was confirmed. */
export async function beginSecondFactor(password: string): Promise<SecondFactor> {
  return document(api.POST('/api/v1/me/totp', { body: { password } }));
}

/** The recovery codes, which are told once. */
export async function confirmSecondFactor(code: string): Promise<string[]> {
  return (await document(api.PUT('/api/v1/me/totp', { body: { code } }))).recovery_codes;
}

export async function removeSecondFactor(password: string): Promise<void> {
  await api.POST('/api/v1/me/totp/removal', { body: { password } });
}

export async function preferences(): Promise<Preferences> {
  return document(api.GET('/api/v1/me/notification-preferences'));
}

export async function changePreferences(change: Partial<Preferences>): Promise<Preferences> {
  return document(api.PATCH('/api/v1/me/notification-preferences', { body: change }));
}

export async function sendVerification(): Promise<void> {
  await api.POST('/api/v1/me/verification');
}

export async function exported(): Promise<Schemas['Export']> {
  return document(api.GET('/api/v1/me/export'));
}

/** Erases the account; without a password only whoever logged in just now. */
export async function leave(assets: 'transfer' | 'delete', password: string): Promise<void> {
  await api.DELETE('/api/v1/me', { body: { assets, ...(password ? { password } : {}) } });
}

export type Identity = Schemas['Identity'];

/** Whom one may log in by besides the password. */
export async function identities(): Promise<Identity[]> {
  return (await document(api.GET('/api/v1/me/identities'))).data;
}

/** Goes to a provider, to come back with an account there linked to the one here. */
export async function linkIdentity(provider: string, password: string): Promise<void> {
  const body = { provider, ...(password ? { password } : {}) };
  const departure = await document(api.POST('/api/v1/me/identities', { body }));
  location.assign(departure.url);
}

export async function unlinkIdentity(identity: string): Promise<void> {
  await api.DELETE('/api/v1/me/identities/{identity}', { params: { path: { identity } } });
}
