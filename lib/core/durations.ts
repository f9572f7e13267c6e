/** `1 h 02 min`, `3 min 05 s`, `12 s`. */
export function formatDuration(ms: number): string {
  if (!Number.isFinite(ms) || ms < 0) return '–'
  const s = Math.round(ms / 1000)
  if (s < 60) return `${s} s`
  if (s < 3600) return `${Math.floor(s / 60)} min ${String(s % 60).padStart(2, '0')} s`
  return `${Math.floor(s / 3600)} h ${String(Math.floor((s % 3600) / 60)).padStart(2, '0')} min`
}

/** Time left when `done` of `total` took `elapsed` ms; NaN before anything is done. */
export const remaining = (elapsed: number, done: number, total: number): number =>
  done > 0 ? (elapsed / done) * Math.max(0, total - done) : Number.NaN
