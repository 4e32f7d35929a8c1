/** Who is logged in on these pages. The session is a cookie that scripts cannot read; here is only what it stands for. */

import { ApiError, api, document, type Schemas } from './client';
import { language, t, type Key } from './i18n.svelte';

export type Person = Schemas['Person'];
export type AccessMode = Schemas['AccessMode'];
export type Session = Schemas['Session'];
export type ApiKey = Schemas['ListedKey'];
export type Provider = Schemas['ProviderList']['data'][number];

/** How this server is used, and by whom; `me` is null for nobody, and where nobody is asked. */
export interface Visit {
  mode: AccessMode;
  me: Person | null;
}

const OPEN: AccessMode = { access: 'open', is_registration_open: false };

export async function visit(): Promise<Visit> {
  // An older server, or one without the API, asks nobody.
  const mode = await document(api.GET('/api/v1/access')).catch(unlessRefused(OPEN));
  if (mode.access === 'open') return { mode, me: null };
  return { mode, me: await document(api.GET('/api/v1/me')).catch(unlessRefused(null)) };
}

export function mayUpload(visit: Visit): boolean {
  if (visit.mode.access === 'open') return true;
  return visit.me !== null && ['uploader', 'moderator', 'admin'].includes(visit.me.role);
}

/** `code` is that of the second factor, for accounts that have one. */
export async function logIn(email: string, password: string, code = ''): Promise<void> {
  await api.POST('/api/v1/auth/login', { body: { email, password, cookie: true, ...(code ? { code } : {}) } });
}

/** Whether the password was right and a code is wanted as well. */
export function wantsCode(error: unknown): boolean {
  return error instanceof ApiError && (error.code === 'code_required' || error.code === 'invalid_code');
}

/** Whom one may log in by besides; none on a server that knows nothing of it. */
export async function providers(): Promise<Provider[]> {
  const list = await document(api.GET('/api/v1/auth/oidc')).catch(unlessRefused({ data: [] }));
  return list.data;
}

/** Where the way to a provider begins: a page of its own, not a request of this one. */
export function wayTo(provider: Provider): string {
  return `/api/v1/auth/oidc/${encodeURIComponent(provider.name)}`;
}

/** Shows the code of the second factor after coming back from a provider; the page to go to. */
export async function showCode(code: string): Promise<string> {
  return (await document(api.POST('/api/v1/auth/oidc/code', { body: { code } }))).back;
}

/** What went wrong on the way back from a provider, by the code in the address. */
export function strandedBy(code: string | null): string {
  if (!code) return '';
  return t(STRANDED[code] ?? 'stranded.unknown');
}

const STRANDED: Record<string, Key> = {
  account_suspended: 'stranded.account_suspended',
  busy: 'stranded.busy',
  oidc_attempt: 'stranded.oidc_attempt',
  oidc_away: 'stranded.oidc_away',
  oidc_denied: 'stranded.oidc_denied',
  oidc_link_needed: 'stranded.oidc_link_needed',
  oidc_no_account: 'stranded.oidc_no_account',
  oidc_taken: 'stranded.oidc_taken',
  oidc_untrusted: 'stranded.oidc_untrusted',
};

export async function logOut(): Promise<void> {
  await api.POST('/api/v1/auth/logout');
}

export async function register(name: string, email: string, password: string): Promise<void> {
  await api.POST('/api/v1/auth/register', { body: { name, email, password, language: language() } });
}

export async function forgotPassword(email: string): Promise<void> {
  await api.POST('/api/v1/auth/forgot-password', { body: { email } });
}

export async function resetPassword(token: string, password: string): Promise<void> {
  await api.POST('/api/v1/auth/reset-password', { body: { token, password } });
}

export async function verifyEmail(token: string): Promise<void> {
  await api.POST('/api/v1/auth/verify-email', { body: { token } });
}

export async function setUp(token: string, name: string, email: string, password: string): Promise<void> {
  await api.POST('/api/v1/auth/setup', { body: { token, name, email, password } });
}

/** The secret of a link: behind the hash, so that no server or proxy on the way saw it. Taken out of the address bar. */
export function takeToken(): string {
  const token = /^#token=([\w-]+)$/.exec(location.hash)?.[1] ?? '';
  if (token) history.replaceState(null, '', location.pathname);
  return token;
}

/** What went wrong, for the one who reads it. */
export function words(error: unknown): string {
  return error instanceof ApiError ? error.message : t('problem.away');
}

export async function changePassword(current: string, password: string): Promise<void> {
  await api.PUT('/api/v1/me/password', { body: { current, password } });
}

export async function sessions(): Promise<Session[]> {
  return (await document(api.GET('/api/v1/me/sessions'))).data;
}

export async function endSession(session: string): Promise<void> {
  await api.DELETE('/api/v1/me/sessions/{session}', { params: { path: { session } } });
}

export async function keys(): Promise<ApiKey[]> {
  return (await document(api.GET('/api/v1/me/api-keys'))).data;
}

export async function revokeKey(key: string): Promise<void> {
  await api.DELETE('/api/v1/me/api-keys/{key}', { params: { path: { key } } });
}

/** Takes a refusal for `instead`. */
function unlessRefused<T>(instead: T): (error: unknown) => T {
  return (error) => {
    if (error instanceof ApiError) return instead;
    throw error;
  };
}
