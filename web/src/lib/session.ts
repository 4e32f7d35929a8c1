/** Who is logged in on these pages. The session is a cookie that scripts cannot read; here is only what it stands for. */

import { ApiError, api, document, type Schemas } from './client';

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
  return STRANDED[code] ?? 'Logging in there did not work; try again.';
}

const STRANDED: Record<string, string> = {
  account_suspended: 'This account is suspended: ask whoever runs the server.',
  busy: 'Too many log in at this moment; try again.',
  oidc_attempt: 'That took too long, or began in another browser; try again.',
  oidc_away: 'The other server does not answer; try again later, or use your password.',
  oidc_denied: 'The other server did not let you in.',
  oidc_link_needed: 'Log in with your password first, then link the other account on your account page.',
  oidc_no_account: 'There is no account for you here: ask whoever runs the server.',
  oidc_taken: 'It is linked to another account already.',
  oidc_untrusted: 'What the other server says of you cannot be trusted; try again, or tell whoever runs this one.',
};

export async function logOut(): Promise<void> {
  await api.POST('/api/v1/auth/logout');
}

export async function register(name: string, email: string, password: string): Promise<void> {
  const language = navigator.language.slice(0, 2);
  await api.POST('/api/v1/auth/register', { body: { name, email, password, language } });
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
  return error instanceof ApiError ? error.message : 'The server cannot be reached; try again.';
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

/** The key itself, for uploading programs: it is told once. */
export async function makeKey(name: string): Promise<string> {
  const scopes: ApiKey['scopes'] = ['uploads:create', 'assets:read'];
  return (await document(api.POST('/api/v1/me/api-keys', { body: { name, scopes } }))).key;
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
