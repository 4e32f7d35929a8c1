/**
 * Appends a file to an upload, with its checksum in a trailer.
 *
 * Usage: node trailer.mjs UPLOAD_URL FILE CHECKSUM
 *
 * Prints the status of the answer.
 */

import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import process from 'node:process';

const [url, file, checksum] = process.argv.slice(2);
const headers = {
  'Tus-Resumable': '1.0.0',
  'Upload-Offset': '0',
  'Content-Type': 'application/offset+octet-stream',
  'Transfer-Encoding': 'chunked',
  Trailer: 'Upload-Checksum',
};
const sending = request(url, { method: 'PATCH', headers }, (answer) => {
  answer.resume();
  process.stdout.write(String(answer.statusCode));
});
sending.write(readFileSync(file));
sending.addTrailers({ 'Upload-Checksum': checksum });
sending.end();
