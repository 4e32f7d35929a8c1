/** Who is logged in on these pages. The session is a cookie that scripts cannot read; here is only what it stands for. */

import { ApiError, refusal } from './api';

export type Role = 'guest' | 'user' | 'uploader' | 'moderator' | 'admin';

export interface Person {
  id: string;
  email: string | null;
  name: string;
  role: Role;
  is_email_verified: boolean;
}

export interface AccessMode {
  access: 'open' | 'accounts';
  is_registration_open: boolean;
}

/** How this server is used, and by whom; `me` is null for nobody, and where nobody is asked. */
export interface Visit {
  mode: AccessMode;
  me: Person | null;
}

const OPEN: AccessMode = { access: 'open', is_registration_open: false };

export async function visit(): Promise<Visit> {
  const mode = await fetch('/api/v1/access', { headers: { accept: 'application/json' } });
  // An older server, or one without the API, asks nobody.
  if (!mode.ok) return { mode: OPEN, me: null };
  const known = (await mode.json()) as AccessMode;
  if (known.access === 'open') return { mode: known, me: null };
  const me = await fetch('/api/v1/me', { headers: { accept: 'application/json' } });
  return { mode: known, me: me.ok ? ((await me.json()) as Person) : null };
}

export function mayUpload(visit: Visit): boolean {
  if (visit.mode.access === 'open') return true;
  return visit.me !== null && ['uploader', 'moderator', 'admin'].includes(visit.me.role);
}

/** `code` is that of the second factor, for accounts that have one. */
export async function logIn(email: string, password: string, code = ''): Promise<void> {
  await post('/api/v1/auth/login', { email, password, cookie: true, ...(code ? { code } : {}) });
}

/** Whether the password was right and a code is wanted as well. */
export function wantsCode(error: unknown): boolean {
  return error instanceof ApiError && (error.code === 'code_required' || error.code === 'invalid_code');
}

export async function logOut(): Promise<void> {
  await post('/api/v1/auth/logout', null);
}

export async function register(name: string, email: string, password: string): Promise<void> {
  await post('/api/v1/auth/register', { name, email, password, language: navigator.language.slice(0, 2) });
}

export async function forgotPassword(email: string): Promise<void> {
  await post('/api/v1/auth/forgot-password', { email });
}

export async function resetPassword(token: string, password: string): Promise<void> {
  await post('/api/v1/auth/reset-password', { token, password });
}

export async function verifyEmail(token: string): Promise<void> {
  await post('/api/v1/auth/verify-email', { token });
}

export async function setUp(token: string, name: string, email: string, password: string): Promise<void> {
  await post('/api/v1/auth/setup', { token, name, email, password });
}

/** The secret of a link: behind the hash, so that no server or proxy on the way saw it. Taken out of the address bar. */
export function takeToken(): string {
  const token = /^#token=([\w-]+)$/.exec(location.hash)?.[1] ?? '';
  if (token) history.replaceState(null, '', location.pathname);
  return token;
}

async function post(path: string, document: object | null): Promise<Response> {
  return send('POST', path, document);
}

async function send(method: string, path: string, document: object | null): Promise<Response> {
  const response = await fetch(path, {
    method,
    headers: { accept: 'application/json', ...(document ? { 'content-type': 'application/json' } : {}) },
    body: document ? JSON.stringify(document) : null,
  });
  if (!response.ok) throw await refusal(response);
  return response;
}

/** What went wrong, for the one who reads it. */
export function words(error: unknown): string {
  return error instanceof ApiError ? error.message : 'The server cannot be reached; try again.';
}

export interface Session {
  id: string;
  is_current: boolean;
  client: string;
  seen_at: string;
}

export interface ApiKey {
  id: string;
  name: string;
  prefix: string;
  scopes: string[];
  seen_at: string | null;
}

/** What a key for uploading programs needs. */
const UPLOAD_SCOPES = ['uploads:create', 'assets:read'];

export async function changePassword(current: string, password: string): Promise<void> {
  await send('PUT', '/api/v1/me/password', { current, password });
}

export async function sessions(): Promise<Session[]> {
  return rows<Session>('/api/v1/me/sessions');
}

export async function endSession(id: string): Promise<void> {
  await send('DELETE', `/api/v1/me/sessions/${encodeURIComponent(id)}`, null);
}

export async function keys(): Promise<ApiKey[]> {
  return rows<ApiKey>('/api/v1/me/api-keys');
}

/** The key itself: it is told once. */
export async function makeKey(name: string): Promise<string> {
  const made = await post('/api/v1/me/api-keys', { name, scopes: UPLOAD_SCOPES });
  return ((await made.json()) as { key: string }).key;
}

export async function revokeKey(id: string): Promise<void> {
  await send('DELETE', `/api/v1/me/api-keys/${encodeURIComponent(id)}`, null);
}

async function rows<T>(path: string): Promise<T[]> {
  const response = await fetch(path, { headers: { accept: 'application/json' } });
  if (!response.ok) throw await refusal(response);
  return ((await response.json()) as { data: T[] }).data;
}
