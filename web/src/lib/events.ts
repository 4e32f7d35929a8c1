/**
 * Tells when assets may have changed: at once through the event stream, and by a slow beat where the stream is
 * cut. Listeners fetch what they show; the events themselves carry no state, so a lost one costs only time.
 */

/** How long a listener waits at most, with and without a working stream. */
const BEAT_MS = { connected: 10_000, cut: 2_000 };
/** Bursts of events (a segment each) are joined into one call per listener and this time. */
const QUIET_MS = 400;
/** A stream that the server closed for good is opened again after this time. */
const REOPEN_MS = 5_000;

type Listener = { asset: string | null; call: () => void; timer: number | null };

const listeners = new Set<Listener>();
let stream: EventSource | null = null;
let reopen: number | null = null;
let beat: number | null = null;

/**
 * Calls `changed` whenever the asset (or any asset, for `null`) may have changed. All listeners of a page share one
 * connection: browsers allow only six to a server, and uploads need them. Returns the way to stop.
 */
export function onChange(asset: string | null, changed: () => void): () => void {
  const listener: Listener = { asset, call: changed, timer: null };
  listeners.add(listener);
  if (!stream) open();
  scheduleBeat();
  return () => {
    listeners.delete(listener);
    if (listener.timer !== null) clearTimeout(listener.timer);
    if (listeners.size === 0) close();
  };
}

function open(): void {
  stream = new EventSource('/api/v1/events');
  stream.onmessage = (event: MessageEvent<string>) => wake(assetIn(event.data));
  stream.onopen = () => wake(null);
  // Events were missed: look at everything.
  stream.addEventListener('reset', () => wake(null));
  stream.onerror = () => {
    // The browser reconnects by itself unless the server refused; then the stream is closed for good.
    if (stream?.readyState !== EventSource.CLOSED || reopen !== null) return;
    reopen = window.setTimeout(() => {
      reopen = null;
      if (listeners.size > 0) open();
    }, REOPEN_MS);
  };
}

function close(): void {
  stream?.close();
  stream = null;
  for (const timer of [reopen, beat]) if (timer !== null) clearTimeout(timer);
  reopen = beat = null;
}

/** Wakes the listeners of one asset, or all of them when it is not known which. */
function wake(asset: string | null): void {
  for (const listener of listeners) {
    const concerned = asset === null || listener.asset === null || listener.asset === asset;
    if (!concerned || listener.timer !== null) continue;
    listener.timer = window.setTimeout(() => {
      listener.timer = null;
      listener.call();
    }, QUIET_MS);
  }
}

function scheduleBeat(): void {
  if (beat !== null) return;
  const connected = stream?.readyState === EventSource.OPEN;
  beat = window.setTimeout(
    () => {
      beat = null;
      if (listeners.size === 0) return;
      wake(null);
      scheduleBeat();
    },
    connected ? BEAT_MS.connected : BEAT_MS.cut,
  );
}

function assetIn(data: string): string | null {
  try {
    const event = JSON.parse(data) as { asset?: unknown; asset_id?: unknown };
    const id = event.asset ?? event.asset_id;
    return typeof id === 'string' ? id : null;
  } catch {
    return null;
  }
}
