/** The JSON API, with the types of its own description: `npm run api` writes them from what the server publishes. */

import createClient, { type Middleware } from 'openapi-fetch';
import type { components, paths } from '../generated/openapi';
import { language } from './i18n.svelte';

/** The documents of the API by their names in its description. */
export type Schemas = components['schemas'];

/** What is wrong with a field of what was sent. */
export interface FieldFault {
  /** Where it stands (RFC 6901). */
  pointer: string;
  detail: string;
}

/** What a refusal says besides its sentence. */
export interface RefusalFacts {
  /** The kind of refusal, in the language of the pages. */
  title?: string;
  /** By which the operator finds the request in the log. */
  requestId?: string;
  fields?: FieldFault[];
  /** What would be possible instead. */
  allowed?: string[];
}

/** The server's refusal, in its own words where it gave any. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    /** What programs match on. */
    readonly code: string = '',
    readonly facts: RefusalFacts = {},
  ) {
    super(message);
  }
}

const manners: Middleware = {
  onRequest({ request }) {
    request.headers.set('accept-language', language());
    return request;
  },
  async onResponse({ response }) {
    if (!response.ok) throw await refusal(response);
  },
};

/** Asks this server; fails with an {@link ApiError} where it refuses. */
export const api = createClient<paths>({ headers: { accept: 'application/json' } });
api.use(manners);

/** The document of an answer that has one. */
export async function document<T>(answer: Promise<{ data?: T }>): Promise<T> {
  const { data } = await answer;
  if (data === undefined) throw new ApiError(0, 'the server sent no document');
  return data;
}

/** A document and the version that a change of it has to name. */
export interface Tagged<T> {
  value: T;
  tag: string;
}

export async function tagged<T>(answer: Promise<{ data?: T; response: Response }>): Promise<Tagged<T>> {
  const { data, response } = await answer;
  if (data === undefined) throw new ApiError(0, 'the server sent no document');
  return { value: data, tag: response.headers.get('etag') ?? '' };
}

/** What is there now, if a change was refused because somebody else was faster; any other refusal stays one. */
export async function latestAfter<T>(error: unknown, load: () => Promise<Tagged<T>>): Promise<Tagged<T>> {
  if (!(error instanceof ApiError && error.status === 412)) throw error;
  return load();
}

async function refusal(response: Response): Promise<ApiError> {
  const problem: unknown = await response.json().catch(() => null);
  const words = (problem ?? {}) as Record<string, unknown>;
  const text = (name: string) => (typeof words[name] === 'string' ? (words[name] as string) : '');
  const facts: RefusalFacts = {
    title: text('title'),
    requestId: response.headers.get('x-request-id') ?? '',
    fields: Array.isArray(words['errors']) ? (words['errors'] as FieldFault[]) : [],
    allowed: Array.isArray(words['allowed']) ? (words['allowed'] as string[]) : [],
  };
  const told = text('detail') || text('title') || `the server answered ${response.status}`;
  return new ApiError(response.status, told, text('code'), facts);
}
