/** Which page an address names. The server answers each of them with the same document (`headwater/src/http/pages.rs`). */

/** The pages on which somebody becomes somebody. */
export type Door = 'login' | 'register' | 'verify' | 'reset' | 'setup';

/** Pages without a name of their own in the address. */
type Plain =
  | 'upload'
  | 'library'
  | 'bin'
  | 'search'
  | 'collections'
  | 'channels'
  | 'reviews'
  | 'notifications'
  | 'webhooks'
  | 'users'
  | 'audit'
  | 'account'
  | 'docs'
  | 'none';

export type Route = { page: Plain | Door } | { page: 'watch' | 'studio' | 'collection' | 'channel' | 'webhook'; id: string };

const DOORS: readonly string[] = ['login', 'register', 'verify', 'reset', 'setup'];

const PLAIN = new Map<string, Plain>(Object.entries({
  '': 'upload',
  'index.html': 'upload',
  library: 'library',
  bin: 'bin',
  search: 'search',
  collections: 'collections',
  channels: 'channels',
  reviews: 'reviews',
  notifications: 'notifications',
  webhooks: 'webhooks',
  'admin/users': 'users',
  'admin/audit': 'audit',
  account: 'account',
  'api/docs': 'docs',
}));

const NAMED = [
  ['watch', /^watch\/(plb_[0-9A-Za-z_-]+)$/],
  ['studio', /^studio\/(ast_[0-9A-Za-z_-]+)$/],
  ['collection', /^collections\/(\w+)$/],
  ['channel', /^channels\/(\w+)$/],
  ['webhook', /^webhooks\/(\w+)$/],
] as const;

export function route(pathname: string): Route {
  const name = pathname.replace(/^\/|\/$/g, '');
  const plain = PLAIN.get(name);
  if (plain) return { page: plain };
  if (DOORS.includes(name)) return { page: name as Door };
  for (const [page, pattern] of NAMED) {
    const id = pattern.exec(name)?.[1];
    if (id) return { page, id };
  }
  return { page: 'none' };
}
