import type { RunFolder } from '../run/folder.ts'

/** A worker that was started here. What it does is read from the run's folder; this only tells when it is gone. */
export type Worker = { ended(): boolean }

/** The thing that starts workers. */
export type Launcher = {
  name: string
  /**
   * Starts a worker for a run and returns when it is under way. A worker that ends before it could claim the run is
   * recorded as a failed attempt with the end of what it printed, before `ended()` says so.
   * @param threads kernel threads the worker may use
   * @param force take the run over from a machine that cannot be asked
   */
  start(run: RunFolder, options: { threads: number; force?: boolean }): Promise<Worker>
}
