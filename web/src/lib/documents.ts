/** Documents of an asset: files for those who play it. */

import { Upload } from 'tus-js-client';

import { api, document, tagged, type Schemas, type Tagged } from './client';
import { language } from './i18n.svelte';

export type AttachedDocument = Schemas['Document'];
export type DocumentChange = Schemas['DocumentChange'];

/** As players are told of it. */
export interface ListedDocument {
  id: string;
  name: string;
  description: string;
  media_type: string;
  size_bytes: number;
  sha256: string;
  /** Relative to the folder of the asset. */
  url: string;
}

/** How long a file may take. */
const PLACE_LIFE_S = 24 * 3600;
const RETRY_DELAYS_MS = [0, 1_000, 3_000, 5_000, 10_000, 20_000];

export async function documents(id: string): Promise<AttachedDocument[]> {
  return (await document(api.GET('/api/v1/assets/{id}/documents', { params: { path: { id } } }))).data;
}

/** Sends a file, over broken connections too; `told` hears how far it is, from 0 to 1. */
export async function addDocument(id: string, file: File, told: (share: number) => void): Promise<void> {
  const place = await document(api.POST('/api/v1/assets/{id}/documents', { params: { path: { id } }, body: { expires_in_s: PLACE_LIFE_S } }));
  await new Promise<void>((done, failed) => {
    const upload = new Upload(file, {
      endpoint: place.url,
      metadata: { filename: file.name },
      retryDelays: RETRY_DELAYS_MS,
      headers: { 'Accept-Language': language() },
      // Its address is good for this one upload, so there is nothing to be found again.
      storeFingerprintForResuming: false,
      onProgress: (sent, total) => told(total ? sent / total : 0),
      onSuccess: () => done(),
      onError: failed,
    });
    upload.start();
  });
}

export async function documentNow(id: string, which: string): Promise<Tagged<AttachedDocument>> {
  return tagged(api.GET('/api/v1/assets/{id}/documents/{document}', { params: { path: { id, document: which } } }));
}

export async function changeDocument(id: string, which: string, change: DocumentChange, tag: string): Promise<void> {
  const params = { path: { id, document: which }, header: { 'If-Match': tag } };
  await api.PATCH('/api/v1/assets/{id}/documents/{document}', { params, body: change });
}

export async function removeDocument(id: string, which: string): Promise<void> {
  await api.DELETE('/api/v1/assets/{id}/documents/{document}', { params: { path: { id, document: which } } });
}

/** What may be had beside what is played from this address; nothing if that is not told. */
export async function documentsBeside(master: string): Promise<(ListedDocument & { href: string })[]> {
  const folder = master.slice(0, master.lastIndexOf('/') + 1);
  const answer = await fetch(`${folder}documents.json`).catch(() => null);
  if (!answer?.ok) return [];
  const told = (await answer.json()) as { documents: ListedDocument[] };
  return told.documents.map((each) => ({ ...each, href: folder + each.url }));
}
