/** The JSON API, with the types of its own description: `npm run api` writes them from what the server publishes. */

import createClient, { type Middleware } from 'openapi-fetch';
import type { components, paths } from '../generated/openapi';

/** The documents of the API by their names in its description. */
export type Schemas = components['schemas'];

/** The server's refusal, in its own words where it gave any. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    /** What programs match on. */
    readonly code: string = '',
  ) {
    super(message);
  }
}

const refusals: Middleware = {
  async onResponse({ response }) {
    if (!response.ok) throw await refusal(response);
  },
};

/** Asks this server; fails with an {@link ApiError} where it refuses. */
export const api = createClient<paths>({ headers: { accept: 'application/json' } });
api.use(refusals);

/** The document of an answer that has one. */
export async function document<T>(answer: Promise<{ data?: T }>): Promise<T> {
  const { data } = await answer;
  if (data === undefined) throw new ApiError(0, 'the server sent no document');
  return data;
}

async function refusal(response: Response): Promise<ApiError> {
  const problem: unknown = await response.json().catch(() => null);
  const words = problem as { detail?: unknown; title?: unknown; code?: unknown } | null;
  const message = [words?.detail, words?.title].find((text) => typeof text === 'string' && text !== '');
  const code = typeof words?.code === 'string' ? words.code : '';
  const told = typeof message === 'string' ? message : `the server answered ${response.status}`;
  return new ApiError(response.status, told, code);
}
