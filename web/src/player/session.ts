/** Joins one `<video>` with one HLS address: through hls.js where MediaSource is there, else natively. */

import Hls, { type ErrorData, type HlsConfig } from 'hls.js';

import { t } from '../lib/i18n.svelte';
import { AudioTrackList, RenditionList } from './trackLists';

/** What the player shows of a session, as it changes. */
export interface Report {
  /** Height of the rendition on the screen, `null` until known. */
  height: number | null;
  /** Language of the audio that is playing, as the playlist names it. */
  audio: string | null;
  /** A fault that ended the session, in words for the viewer. */
  fault: string | null;
}

export interface Session {
  destroy(): void;
}

/** Attempts to carry on after a fatal error before it is shown. */
const RECOVERIES_MAX = 3;

/** How long after a change of the host the first fragment may take before it is asked for again. */
const ELSEWHERE_WAIT_MS = 4000;

const CONFIG: Partial<HlsConfig> = {
  // Segments are CMAF and need no transmuxing: a worker would only ask for a wider content security policy.
  enableWorker: false,
  capLevelToPlayerSize: true,
  maxBufferLength: 30,
  backBufferLength: 60,
  startLevel: -1,
};

/** Starts loading `source` into `video`. `report` is called with every change. */
export function start(video: HTMLVideoElement, source: string, startAt: number, report: (report: Report) => void): Session {
  if (Hls.isSupported()) return startHls(video, source, startAt, report);
  if (video.canPlayType('application/vnd.apple.mpegurl') !== '') return startNative(video, source, startAt, report);
  report({ height: null, audio: null, fault: t('player.noHls') });
  return { destroy: () => undefined };
}

function startHls(video: HTMLVideoElement, source: string, startAt: number, report: (report: Report) => void): Session {
  const hls = new Hls({ ...CONFIG, startPosition: startAt > 0 ? startAt : -1 });
  const renditions = new RenditionList(hls);
  const audioTracks = new AudioTrackList(hls);
  // Own properties: Safari has a read-only `audioTracks` on the prototype.
  Object.defineProperty(video, 'videoRenditions', { value: renditions, configurable: true });
  Object.defineProperty(video, 'audioTracks', { value: audioTracks, configurable: true });

  const state: Report = { height: null, audio: null, fault: null };
  const change = (part: Partial<Report>) => report(Object.assign(state, part));
  const audioLanguage = () => hls.audioTracks[hls.audioTrack]?.lang ?? null;

  hls.on(Hls.Events.MANIFEST_PARSED, () => renditions.load());
  hls.on(Hls.Events.LEVELS_UPDATED, () => renditions.load());
  hls.on(Hls.Events.AUDIO_TRACKS_UPDATED, () => audioTracks.load());
  hls.on(Hls.Events.AUDIO_TRACK_SWITCHED, () => {
    audioTracks.dispatchEvent(new Event('change'));
    change({ audio: audioLanguage() });
  });
  hls.on(Hls.Events.LEVEL_SWITCHED, (_event, data) => change({ height: hls.levels[data.level]?.height ?? null }));
  goOnElsewhere(hls);
  hls.on(Hls.Events.ERROR, recover(hls, (fault) => change({ fault })));
  hls.loadSource(source);
  hls.attachMedia(video);
  return { destroy: () => hls.destroy() };
}

/**
 * Begins to load anew where nothing comes after a change of the host (content steering): hls.js 1.7.4 drops a fragment of
 * the old host that arrives just then, and would wait for it for ever.
 */
function goOnElsewhere(hls: Hls): void {
  let pathway: string | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const wait = (timesLeft: number) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      hls.startLoad();
      if (timesLeft > 1) wait(timesLeft - 1);
    }, ELSEWHERE_WAIT_MS);
  };
  hls.on(Hls.Events.LEVEL_SWITCHING, (_event, data) => {
    const next = hls.levels[data.level]?.pathwayId;
    if (pathway !== undefined && next !== pathway) wait(RECOVERIES_MAX);
    pathway = next;
  });
  hls.on(Hls.Events.FRAG_BUFFERED, (_event, data) => {
    if (data.frag.type === 'main') clearTimeout(timer);
  });
  hls.on(Hls.Events.DESTROYING, () => clearTimeout(timer));
}

/** Goes on after fatal errors: of the network until nothing arrives any more, of the media a few times in all. */
function recover(hls: Hls, giveUp: (fault: string) => void): (event: unknown, data: ErrorData) => void {
  let mediaRecoveries = 0;
  let networkRecoveries = 0;
  hls.on(Hls.Events.FRAG_BUFFERED, () => (networkRecoveries = 0));
  return (_event, data) => {
    if (!data.fatal) return;
    if (data.type === Hls.ErrorTypes.MEDIA_ERROR && mediaRecoveries < RECOVERIES_MAX) {
      mediaRecoveries += 1;
      hls.recoverMediaError();
    } else if (data.type === Hls.ErrorTypes.NETWORK_ERROR && hls.levels.length > 0 && networkRecoveries < RECOVERIES_MAX) {
      // A segment that is still being made is answered late, or not yet.
      networkRecoveries += 1;
      hls.startLoad();
    } else {
      giveUp(words(data));
    }
  };
}

function words(data: ErrorData): string {
  const status = data.response?.code;
  if (status === 404) return t('player.gone');
  if (data.type === Hls.ErrorTypes.NETWORK_ERROR) return t('player.network');
  return t('player.broken', { reason: data.details });
}

function startNative(video: HTMLVideoElement, source: string, startAt: number, report: (report: Report) => void): Session {
  const onLoaded = () => {
    if (startAt > 0) video.currentTime = startAt;
    report({ height: video.videoHeight || null, audio: null, fault: null });
  };
  const onError = () => report({ height: null, audio: null, fault: t('player.broken', { reason: video.error?.message ?? '' }) });
  video.addEventListener('loadedmetadata', onLoaded);
  video.addEventListener('error', onError);
  video.src = source;
  return {
    destroy: () => {
      video.removeEventListener('loadedmetadata', onLoaded);
      video.removeEventListener('error', onError);
      video.removeAttribute('src');
      video.load();
    },
  };
}
