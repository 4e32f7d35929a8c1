/** Resumable uploads: a queue over tus, a few files at a time, each with its own state. */

import { DetailedError, Upload, defaultOptions, type PreviousUpload } from 'tus-js-client';

import { language, t } from './i18n.svelte';
import { rememberAsset, recallAsset, forgetAsset } from './uploadMemory';

const ENDPOINT = '/uploads';
/** Files on the wire at a time; browsers open six connections to a server and the pages need some of them. */
const UPLOADS_AT_ONCE_MAX = 3;
const RETRY_DELAYS_MS = [0, 1_000, 3_000, 5_000, 10_000, 20_000, 30_000];
/** Speed is the mean over this much of the past. */
const SPEED_WINDOW_MS = 8_000;

export type Phase = 'queued' | 'uploading' | 'paused' | 'offline' | 'uploaded' | 'failed';

/** One file on its way. */
export class UploadItem {
  phase = $state<Phase>('queued');
  sent = $state(0);
  /** Bytes that an earlier visit had already brought to the server. */
  resumedFrom = $state(0);
  bytesPerSecond = $state(0);
  error = $state('');
  assetId = $state<string | null>(null);

  private upload: Upload;
  private samples: { at: number; sent: number }[] = [];

  constructor(
    readonly key: number,
    readonly file: File,
    private readonly settled: () => void,
  ) {
    this.upload = new Upload(file, {
      endpoint: ENDPOINT,
      metadata: { filename: file.name, ...(file.type ? { filetype: file.type } : {}) },
      retryDelays: RETRY_DELAYS_MS,
      headers: { 'Accept-Language': language() },
      removeFingerprintOnSuccess: true,
      onProgress: (sent) => this.progress(sent),
      onUploadUrlAvailable: () => this.learnAsset(),
      onAfterResponse: (request, response) => {
        const location = response.getHeader('Asset-Location');
        if (location) this.assetId = location.slice(location.lastIndexOf('/') + 1);
        // Asking for the offset is how every continuation begins.
        if (request.getMethod() === 'HEAD') this.resumedFrom = Number(response.getHeader('Upload-Offset') ?? 0);
      },
      onSuccess: () => this.finish('uploaded'),
      onError: (error) => this.stop(error),
    });
  }

  /** Seconds until the last byte at the present speed; `null` while that is unknown. */
  get secondsLeft(): number | null {
    return this.bytesPerSecond > 0 ? (this.file.size - this.sent) / this.bytesPerSecond : null;
  }

  get share(): number {
    return this.file.size === 0 ? 0 : this.sent / this.file.size;
  }

  /** Starts, or goes on where the server's offset is; an upload of an earlier visit is found by its fingerprint. */
  async start(): Promise<void> {
    this.phase = 'uploading';
    this.error = '';
    this.samples = [];
    if (!this.upload.url) {
      const [previous] = await this.upload.findPreviousUploads();
      if (this.phase !== 'uploading') return;
      if (previous) this.upload.resumeFromPreviousUpload(previous);
    }
    this.upload.start();
  }

  async pause(): Promise<void> {
    this.phase = 'paused';
    this.bytesPerSecond = 0;
    await this.upload.abort();
    this.settled();
  }

  /** Ends the upload here and on the server. */
  async cancel(): Promise<void> {
    this.phase = 'paused';
    if (this.upload.url) forgetAsset(this.upload.url);
    await this.upload.abort(true).catch(() => undefined);
    this.settled();
  }

  private progress(sent: number): void {
    const now = performance.now();
    this.sent = sent;
    this.samples.push({ at: now, sent });
    while (this.samples[0] && now - this.samples[0].at > SPEED_WINDOW_MS) this.samples.shift();
    const first = this.samples[0];
    if (first && now - first.at > 250) this.bytesPerSecond = ((sent - first.sent) / (now - first.at)) * 1000;
  }

  /** A new upload answers with its asset; a resumed one is looked up in what this browser remembers. */
  private learnAsset(): void {
    const url = this.upload.url;
    if (!url) return;
    if (this.assetId) rememberAsset(url, this.assetId);
    else this.assetId = recallAsset(url);
  }

  private finish(phase: Phase): void {
    this.phase = phase;
    this.bytesPerSecond = 0;
    if (phase === 'uploaded') {
      this.sent = this.file.size;
      if (this.upload.url) forgetAsset(this.upload.url);
    }
    this.settled();
  }

  private stop(error: Error | DetailedError): void {
    if (this.phase === 'paused') return;
    this.error = sentence(error);
    this.finish(navigator.onLine ? 'failed' : 'offline');
  }
}

/** Uploads, started in order, a few at a time. */
export class UploadQueue {
  items = $state<UploadItem[]>([]);
  /** What an earlier visit left unfinished: choosing the same file again continues it. */
  interrupted = $state<PreviousUpload[]>([]);
  private nextKey = 0;

  add(files: Iterable<File>): void {
    for (const file of files) {
      this.interrupted = this.interrupted.filter(
        (left) => left.metadata['filename'] !== file.name || left.size !== file.size,
      );
      this.items.unshift(new UploadItem(this.nextKey++, file, () => this.pump()));
    }
    this.pump();
  }

  resume(item: UploadItem): void {
    item.phase = 'queued';
    this.pump();
  }

  async cancel(item: UploadItem): Promise<void> {
    this.items = this.items.filter((other) => other.key !== item.key);
    await item.cancel();
  }

  dismiss(item: UploadItem): void {
    this.items = this.items.filter((other) => other.key !== item.key);
  }

  async loadInterrupted(): Promise<void> {
    const left = await defaultOptions.urlStorage.findAllUploads();
    const isHere = ({ metadata, size }: PreviousUpload) =>
      this.items.some(({ file, phase }) => phase !== 'uploaded' && file.name === metadata['filename'] && file.size === size);
    this.interrupted = left.filter((each) => !isHere(each));
  }

  async forget(left: PreviousUpload): Promise<void> {
    this.interrupted = this.interrupted.filter((other) => other.urlStorageKey !== left.urlStorageKey);
    await defaultOptions.urlStorage.removeUpload(left.urlStorageKey);
    if (!left.uploadUrl) return;
    forgetAsset(left.uploadUrl);
    await Upload.terminate(left.uploadUrl, { retryDelays: null }).catch(() => undefined);
  }

  /** Called when the network is back. */
  wakeOffline(): void {
    for (const item of this.items) if (item.phase === 'offline') item.phase = 'queued';
    this.pump();
  }

  private pump(): void {
    let free = UPLOADS_AT_ONCE_MAX - this.items.filter((item) => item.phase === 'uploading').length;
    for (const item of [...this.items].reverse()) {
      if (free <= 0) return;
      if (item.phase !== 'queued') continue;
      free -= 1;
      void item.start();
    }
  }
}

/** The uploads of this visit: they go on while the reader looks at other pages. */
export const queue = new UploadQueue();
addEventListener('online', () => queue.wakeOffline());

/** The server's own words where it gave any; never the library's dump of request and response. */
function sentence(error: Error | DetailedError): string {
  const response = error instanceof DetailedError ? error.originalResponse : null;
  if (!response) return t(navigator.onLine ? 'problem.away' : 'upload.youAreOffline');
  try {
    const problem = JSON.parse(response.getBody()) as { detail?: unknown; title?: unknown };
    for (const text of [problem.detail, problem.title]) if (typeof text === 'string' && text) return text;
  } catch {
    // Not a problem document: the status has to do.
  }
  return t('upload.refused', { status: response.getStatus() });
}
