/** Which page an address names. */
export type Route = { page: 'upload' } | { page: 'watch'; playbackId: string } | { page: 'none' };

export function route(pathname: string): Route {
  if (pathname === '/' || pathname === '/index.html') return { page: 'upload' };
  const watch = /^\/watch\/(plb_[0-9A-Za-z_-]+)\/?$/.exec(pathname);
  return watch?.[1] ? { page: 'watch', playbackId: watch[1] } : { page: 'none' };
}
