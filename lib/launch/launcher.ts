import type { RunFolder } from '../run/folder.ts'

/** The thing that starts workers. What becomes of them is read from the run's folder, whoever started them. */
export type Launcher = {
  name: string
  /**
   * Starts a worker for a run and returns when it is under way. A worker that ends before it could claim the run is
   * recorded as a failed attempt with the end of what it printed.
   * @param threads kernel threads the worker may use
   */
  start(run: RunFolder, options: { threads: number; force?: boolean }): Promise<void>
}
