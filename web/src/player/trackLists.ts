/**
 * The lists that media-chrome's menus read off a media element: `videoRenditions` (a proposal, nowhere native) and
 * `audioTracks` (native in Safari alone). Here they are thin views of an hls.js instance.
 */

import type Hls from 'hls.js';

/** An event target that can be iterated and indexed like the lists of the DOM. */
class DomList<Item extends object> extends EventTarget {
  [index: number]: Item;
  private items: Item[] = [];

  get length(): number {
    return this.items.length;
  }

  [Symbol.iterator](): Iterator<Item> {
    return this.items[Symbol.iterator]();
  }

  replace(items: Item[], added: string, removed: string): void {
    for (let at = items.length; at < this.items.length; at += 1) delete this[at];
    this.items = items;
    items.forEach((item, at) => (this[at] = item));
    this.dispatchEvent(new Event(items.length === 0 ? removed : added));
  }
}

export interface Rendition {
  id: string;
  width: number;
  height: number;
  bitrate: number;
  codec: string;
  frameRate: number;
}

export class RenditionList extends DomList<Rendition> {
  constructor(private readonly hls: Hls) {
    super();
  }

  load(): void {
    const renditions = this.hls.levels.map((level, at) => ({
      id: String(at),
      width: level.width,
      height: level.height,
      bitrate: level.bitrate,
      codec: level.videoCodec ?? '',
      frameRate: level.frameRate,
    }));
    this.replace(renditions, 'addrendition', 'removerendition');
  }

  /** The rendition that was chosen by hand; -1 while hls.js chooses. */
  get selectedIndex(): number {
    return this.hls.autoLevelEnabled ? -1 : this.hls.nextLevel;
  }

  set selectedIndex(index: number) {
    // From the next segment on: what is on the screen keeps playing.
    this.hls.nextLevel = index;
    this.dispatchEvent(new Event('change'));
  }
}

class AudioTrackView {
  readonly kind: string;
  readonly label: string;
  readonly language: string;

  // Private to the language, not to TypeScript alone: media-chrome turns the tracks into JSON.
  readonly #list: AudioTrackList;

  constructor(
    readonly id: string,
    list: AudioTrackList,
    track: { name: string; lang?: string | undefined; default: boolean },
  ) {
    this.#list = list;
    this.kind = track.default ? 'main' : 'alternative';
    this.label = track.name;
    this.language = track.lang ?? '';
  }

  get enabled(): boolean {
    return this.#list.selected === Number(this.id);
  }

  set enabled(value: boolean) {
    if (value) this.#list.selected = Number(this.id);
  }
}

export class AudioTrackList extends DomList<AudioTrackView> {
  constructor(private readonly hls: Hls) {
    super();
  }

  load(): void {
    const views = this.hls.audioTracks.map((track, at) => new AudioTrackView(String(at), this, track));
    this.replace(views, 'addtrack', 'removetrack');
  }

  get selected(): number {
    return this.hls.audioTrack;
  }

  set selected(index: number) {
    if (this.hls.audioTrack !== index) this.hls.audioTrack = index;
    this.dispatchEvent(new Event('change'));
  }
}
