/** The pages on which somebody becomes somebody. */
export type Door = 'login' | 'register' | 'verify' | 'reset' | 'setup';

/** Which page an address names. */
export type Route = { page: 'upload' } | { page: 'watch'; playbackId: string } | { page: 'account' } | { page: 'docs' } | { page: Door } | { page: 'none' };

const DOORS: readonly string[] = ['login', 'register', 'verify', 'reset', 'setup'];

export function route(pathname: string): Route {
  if (pathname === '/' || pathname === '/index.html') return { page: 'upload' };
  const name = pathname.replace(/^\/|\/$/g, '');
  if (name === 'account') return { page: 'account' };
  if (name === 'api/docs') return { page: 'docs' };
  if (DOORS.includes(name)) return { page: name as Door };
  const watch = /^\/watch\/(plb_[0-9A-Za-z_-]+)\/?$/.exec(pathname);
  return watch?.[1] ? { page: 'watch', playbackId: watch[1] } : { page: 'none' };
}
