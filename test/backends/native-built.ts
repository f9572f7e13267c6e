import { loadAddon } from '../../lib/backends/native/addon.ts'

/** Whether there is a binary to test: none where no compiler was found at installation. */
export const nativeBuilt = (): boolean => 'addon' in loadAddon()
