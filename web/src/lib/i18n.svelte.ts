/** The languages of the pages: one catalogue of messages for each, and dates and numbers by the rules of the chosen one. */

import type { en } from './messages/en';

/** The name of a message. */
export type Key = keyof typeof en;
/** A catalogue: a text for every name. */
export type Messages = Record<Key, string>;
/** The names of messages that come in the forms of a number: `found` for `found.one` and `found.other`. */
export type Counted = Key extends infer K ? (K extends `${infer Base}.other` ? Base : never) : never;

export const LANGUAGES = ['en', 'fr'] as const;
export type Language = (typeof LANGUAGES)[number];

const CATALOGUES: Record<Language, () => Promise<Messages>> = {
  en: async () => (await import('./messages/en')).en,
  fr: async () => (await import('./messages/fr')).fr,
};
const KEPT_AS = 'headwater.language';

let spoken = $state.raw<{ language: Language; messages: Partial<Messages> }>({ language: 'en', messages: {} });

/** The language that the pages speak. */
export function language(): Language {
  return spoken.language;
}

/** The message of this name; `{word}` in it is replaced by the value of that name. */
export function t(key: Key, values?: Record<string, string | number>): string {
  const text = spoken.messages[key] ?? key;
  return values ? text.replace(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? '')) : text;
}

/** The message in the form that goes with a number, which is its `{count}`. */
export function counted(base: Counted, count: number, values: Record<string, string | number> = {}): string {
  const isOne = new Intl.PluralRules(spoken.language).select(count) === 'one';
  return t(`${base}.${isOne ? 'one' : 'other'}` as Key, { count: number(count), ...values });
}

export function number(value: number, digits = 0): string {
  return new Intl.NumberFormat(spoken.language, { maximumFractionDigits: digits }).format(value);
}

/** A day and a time, in the time zone of the reader. */
export function moment(when: string): string {
  const at = new Date(when);
  const style = { dateStyle: 'medium', timeStyle: 'short' } as const;
  return Number.isNaN(at.getTime()) ? when : new Intl.DateTimeFormat(spoken.language, style).format(at);
}

/** A day without a time and a zone: `1999-03-31`. */
export function day(when: string): string {
  const at = new Date(`${when}T00:00:00Z`);
  const style = { dateStyle: 'long', timeZone: 'UTC' } as const;
  return Number.isNaN(at.getTime()) ? when : new Intl.DateTimeFormat(spoken.language, style).format(at);
}

/** Begins with the language that was chosen here, or else the browser's. */
export async function begin(): Promise<void> {
  await speak(kept() ?? supported(navigator.languages) ?? 'en');
}

/** Takes on the account's language, unless another was chosen in this browser. */
export async function followAccount(wanted: string | null): Promise<void> {
  const found = wanted && !kept() ? supported([wanted]) : null;
  if (found) await speak(found);
}

/** Chooses a language for this browser; `null` forgets the choice. */
export async function choose(wanted: Language | null): Promise<void> {
  try {
    if (wanted) localStorage.setItem(KEPT_AS, wanted);
    else localStorage.removeItem(KEPT_AS);
  } catch {
    // Storage is full or forbidden: the choice lasts for this visit.
  }
  if (wanted) await speak(wanted);
}

async function speak(wanted: Language): Promise<void> {
  spoken = { language: wanted, messages: await CATALOGUES[wanted]() };
  document.documentElement.lang = wanted;
}

function kept(): Language | null {
  try {
    const found = localStorage.getItem(KEPT_AS);
    return found ? supported([found]) : null;
  } catch {
    return null;
  }
}

function supported(wanted: readonly string[]): Language | null {
  const bases = wanted.map((tag) => tag.slice(0, 2).toLowerCase());
  return bases.map((base) => LANGUAGES.find((each) => each === base)).find((each) => each !== undefined) ?? null;
}
