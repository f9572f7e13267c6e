import { linear, type Params, type Tensor, tf, tidy } from '../tensor/index.ts'
import { param } from './params.ts'

/**
 * Patch embedding as one product. images [B, H, W, 3] -> tokens [B, h·w, C] with h = ⌊H / P⌋, w = ⌊W / P⌋; what is left
 * at the right and bottom is cut off, as a strided convolution does. The weight [C, 3, P, P] is that of the convolution.
 */
export function patchEmbedding(params: Params, name: string, images: Tensor): Tensor {
  const weight = param(params, `${name}.weight`)
  const [channels, , size] = weight.shape
  return tidy(() => {
    const patches = cutPatches(images, size) // [B, h·w, P·P·3]
    const matrix = tf.reshape(tf.transpose(weight, [0, 2, 3, 1]), [channels, -1]) // [C, P·P·3]
    return linear(patches, matrix, param(params, `${name}.bias`))
  })
}

function cutPatches(images: Tensor, size: number): Tensor {
  const [b, height, width, colours] = images.shape
  const [h, w] = [Math.floor(height / size), Math.floor(width / size)]
  const whole =
    h * size === height && w * size === width
      ? images
      : tf.slice(images, [0, 0, 0, 0], [b, h * size, w * size, colours])
  const lines = tf.reshape(whole, [b * h, size, w, size * colours])
  return tf.reshape(tf.transpose(lines, [0, 2, 1, 3]), [b, h * w, size * size * colours])
}
