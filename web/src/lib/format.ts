/** Sizes, times and languages, as people read them. */

import { language as spoken, number, t } from './i18n.svelte';

const UNITS = ['B', 'K', 'M', 'G', 'T'];

/** `1.4 G`: powers of 1024, as the rest of Headwater prints sizes. */
export function bytes(count: number): string {
  let value = count;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 ? 0 : 1;
  const shown = new Intl.NumberFormat(spoken(), { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return `${shown.format(value)} ${UNITS[unit]}`;
}

/** `4 s`, `3 min 20 s`, `1 h 5 min`. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${whole % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** `1:02:03` or `2:03`: a place in a video. */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const shown = parts[0] ? parts : parts.slice(1);
  return shown.map((part, at) => (at === 0 ? String(part) : String(part).padStart(2, '0'))).join(':');
}

/** The seconds that `1:02:03`, `2:03.5` or `63` name; `null` for any other text. */
export function secondsIn(text: string): number | null {
  const parts = text.trim().replace(',', '.').split(':');
  if (parts.length > 3 || !parts.every((part) => /^\d+(\.\d+)?$/.test(part))) return null;
  return parts.reduce((sum, part) => sum * 60 + Number(part), 0);
}

/** `0:07.25`: a place that can be read back without loss. */
export function exactClock(seconds: number): string {
  const thousandths = Math.round((seconds % 1) * 1000);
  const fraction = thousandths > 0 && thousandths < 1000 ? `.${String(thousandths).padStart(3, '0').replace(/0+$/, '')}` : '';
  return clock(thousandths === 1000 ? seconds + 0.5 : seconds) + fraction;
}

/** `English` for `en` or `eng`; the code itself where the browser knows no name. */
export function language(code: string): string {
  if (code === '' || code === 'und') return t('language.unknown');
  try {
    return new Intl.DisplayNames([spoken()], { type: 'language' }).of(code) ?? code;
  } catch {
    return code;
  }
}

export function languages(codes: string[]): string {
  return codes.map(language).join(', ');
}

/** `just now`, `5 minutes ago`, `yesterday`. */
export function ago(when: string, now: number): string {
  const seconds = (now - Date.parse(when)) / 1000;
  if (!Number.isFinite(seconds)) return '';
  if (seconds < 60) return t('time.now');
  const words = new Intl.RelativeTimeFormat(spoken(), { numeric: 'auto' });
  if (seconds < 3600) return words.format(-Math.floor(seconds / 60), 'minute');
  if (seconds < 86_400) return words.format(-Math.floor(seconds / 3600), 'hour');
  return words.format(-Math.floor(seconds / 86_400), 'day');
}

export function percent(share: number): string {
  return `${number(Math.floor(share * 100))} %`;
}
