/** A list of the API that comes page by page. */

/** A page as every list of the API sends it. */
export interface ListPage<T> {
  data: T[];
  page: { next: string | null; has_more: boolean };
}

export class CursorList<T> {
  items = $state.raw<T[]>([]);
  hasMore = $state(false);
  isLoading = $state(false);
  isLoaded = $state(false);
  error = $state.raw<unknown>(null);
  private next: string | null = null;
  private pages = 0;
  /** Answers to older questions are not listened to. */
  private turn = 0;

  constructor(private readonly ask: (after: string | undefined) => Promise<ListPage<T>>) {}

  /** Begins anew: what is shown stays until the answer is there. */
  async reload(): Promise<void> {
    await this.take(undefined, (data) => data);
  }

  /** Looks again, unless the reader went on to later pages, which would be taken away from under them. */
  async refresh(): Promise<void> {
    if (this.pages <= 1) await this.reload();
  }

  async more(): Promise<void> {
    if (this.next !== null && !this.isLoading) await this.take(this.next, (data) => [...this.items, ...data]);
  }

  private async take(after: string | undefined, join: (data: T[]) => T[]): Promise<void> {
    this.turn += 1;
    const turn = this.turn;
    this.isLoading = true;
    try {
      const { data, page } = await this.ask(after);
      if (turn !== this.turn) return;
      this.items = join(data);
      this.next = page.next;
      this.hasMore = page.has_more;
      this.pages = after === undefined ? 1 : this.pages + 1;
      this.isLoaded = true;
      this.error = null;
    } catch (error) {
      if (turn === this.turn) this.error = error;
    } finally {
      if (turn === this.turn) this.isLoading = false;
    }
  }
}
