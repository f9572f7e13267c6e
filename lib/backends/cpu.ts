import { tf } from '../tensor/tf.ts'

/** The plain JavaScript backend: exact and slow, for tests. */
export async function openCpu(): Promise<void> {
  await tf.setBackend('cpu')
  silenceBanner()
}

/** The backend prints a banner at its first tensor, which would spoil `--json` and the screen. */
function silenceBanner(): void {
  const backend = tf.findBackend('cpu') as unknown as { firstUse: boolean }
  backend.firstUse = false
}
