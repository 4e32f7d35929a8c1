/** Times of day in fields (`2026-11-29T10:30`, in the reader's zone) and on the wire (RFC 3339, in UTC). */

export function localOf(instant: string | null): string {
  if (!instant) return '';
  const at = new Date(instant);
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

export function instantOf(local: string): string | null {
  return local ? new Date(local).toISOString() : null;
}
