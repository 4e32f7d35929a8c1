/** Something that a reader has done on the server: busy, then done or refused. One at a time. */
export class Task {
  error = $state.raw<unknown>(null);
  isBusy = $state(false);
  /** What to say once it is done. */
  done = $state('');

  /** Whether it was done. */
  async run(work: () => Promise<unknown>, done = ''): Promise<boolean> {
    if (this.isBusy) return false;
    this.isBusy = true;
    this.error = null;
    this.done = '';
    try {
      await work();
      this.done = done;
      return true;
    } catch (error) {
      this.error = error;
      return false;
    } finally {
      this.isBusy = false;
    }
  }
}
