/** Where on these pages the reader is. Going from page to page loads no document anew, so uploads go on meanwhile. */

import { route } from './route';

let here = $state.raw({ path: location.pathname, turn: 0 });
/** The address of what is shown. */
let shown = location.pathname + location.search;

export function path(): string {
  return here.path;
}

/** Changes with every step, also from a page to itself. */
export function turn(): number {
  return here.turn;
}

export function go(href: string): void {
  history.pushState(null, '', href);
  show();
  scrollTo(0, 0);
}

/** Writes what is shown into the address, so that it can be kept and sent; the page stays. */
export function keepQuery(query: URLSearchParams): void {
  const text = query.toString();
  shown = text ? `${location.pathname}?${text}` : location.pathname;
  history.replaceState(history.state, '', shown);
}

/** The reader went back or forth; going to a place on the same page is nothing new. */
export function arrive(): void {
  if (location.pathname + location.search !== shown) show();
}

function show(): void {
  shown = location.pathname + location.search;
  here = { path: location.pathname, turn: here.turn + 1 };
}

/** Takes plain clicks on links between pages; everything else is the browser's. */
export function follow(event: MouseEvent): void {
  const isPlain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
  const link = event.target instanceof Element ? event.target.closest('a') : null;
  if (event.defaultPrevented || !isPlain || !link || link.target || link.hasAttribute('download')) return;
  const to = new URL(link.href, location.href);
  if (to.origin !== location.origin || route(to.pathname).page === 'none' || to.hash !== '') return;
  event.preventDefault();
  go(to.pathname + to.search);
}
