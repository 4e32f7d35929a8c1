/**
 * Uploads a file with tus-js-client in Node.
 *
 * Usage: node tus.mjs BASE_URL FILE OPTIONS
 *
 * OPTIONS is JSON: `protocol`, `chunkSize`, `parallelUploads`, `uploadDataDuringCreation` as tus-js-client has them;
 * `stream: true` sends a stream of unknown length; `memory: PATH` keeps the upload's address there; `dieAt: N` ends the
 * process, as a crash would, once the server has acknowledged N bytes. Prints one line of JSON with the requests that
 * were made; exits 1 with a reason.
 */

import { createReadStream } from 'node:fs';
import { basename } from 'node:path';
import { PassThrough } from 'node:stream';
import process from 'node:process';

import { Upload } from 'tus-js-client';
// @ts-expect-error The types leave out what only Node has.
import { FileUrlStorage } from 'tus-js-client';

const [baseUrl, file, given] = process.argv.slice(2);
if (!baseUrl || !file || !given) {
  process.stderr.write('usage: node tus.mjs BASE_URL FILE OPTIONS\n');
  process.exit(2);
}
const { stream, memory, dieAt, ...options } = JSON.parse(given);

/** @type {{ method: string, status: number, offset: string | undefined }[]} */
const requests = [];
let resumedFrom = 0;

const report = (/** @type {object} */ outcome) =>
  process.stdout.write(`${JSON.stringify({ ...outcome, resumedFrom, requests })}\n`);

const source = stream ? createReadStream(file).pipe(new PassThrough()) : createReadStream(file);

const upload = new Upload(source, {
  endpoint: `${baseUrl}/uploads`,
  metadata: { filename: basename(file), filetype: 'video/mp4' },
  retryDelays: [0, 100, 1000],
  ...(stream ? { uploadLengthDeferred: true } : {}),
  ...(memory ? { urlStorage: new FileUrlStorage(memory), storeFingerprintForResuming: true } : {}),
  ...options,
  onAfterResponse: (request, response) => {
    const offset = response.getHeader('Upload-Offset');
    requests.push({ method: request.getMethod(), status: response.getStatus(), offset });
    if (request.getMethod() === 'HEAD') resumedFrom = Number(offset ?? 0);
  },
  onChunkComplete: (_, acknowledged) => {
    if (dieAt !== undefined && acknowledged >= dieAt) {
      report({ died: acknowledged });
      process.kill(process.pid, 'SIGKILL');
    }
  },
  onSuccess: () => {
    report({ url: upload.url });
    process.exit(0);
  },
  onError: (error) => {
    report({ reason: String(error) });
    process.exit(1);
  },
});

if (memory) {
  const [previous] = await upload.findPreviousUploads();
  if (previous) upload.resumeFromPreviousUpload(previous);
}
upload.start();
