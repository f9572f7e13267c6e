// Element-wise operations, reductions and copies: cut into pieces and handed to the loops of rows.inl.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "ops.h"
#include "pool.h"

namespace gvx {

namespace {
constexpr size_t GRAIN = 32768;  // cheap numbers a thread should at least get
constexpr size_t COSTLY = 8192;  // the same where each takes an exponential
constexpr size_t PARTIALS = 16;  // pieces of a long sum; fixed, so that it does not depend on the threads

size_t grain(size_t numbers, size_t per_row) { return numbers / (per_row + 1) + 1; }
bool cheap(Unary op) { return op == Unary::square || op == Unary::neg || op == Unary::relu || op == Unary::abs || op == Unary::step; }
}  // namespace

void unary(Unary op, const float* x, float* y, size_t n, float alpha) {
  Pool::instance().range(n, cheap(op) ? GRAIN : COSTLY, [&](size_t begin, size_t end) { kernels().unary(op, x + begin, y + begin, end - begin, alpha); });
}

void binary(Binary op, const float* a, const float* b, float* y, const int32_t* shape, const int32_t* a_strides, const int32_t* b_strides, size_t rank) {
  const size_t inner = shape[rank - 1];
  size_t outer = 1;
  for (size_t i = 0; i + 1 < rank; i++) outer *= shape[i];
  const bool a_varies = a_strides[rank - 1] != 0, b_varies = b_strides[rank - 1] != 0;
  if (outer == 1) {
    Pool::instance().range(inner, GRAIN, [&](size_t begin, size_t end) {
      kernels().binary(op, a + (a_varies ? begin : 0), a_varies, b + (b_varies ? begin : 0), b_varies, y + begin, end - begin);
    });
    return;
  }
  Pool::instance().range(outer, grain(GRAIN, inner), [&](size_t begin, size_t end) {
    for (size_t row = begin; row < end; row++) {
      size_t rest = row, from_a = 0, from_b = 0;
      for (size_t i = rank - 1; i-- > 0;) {
        const size_t c = rest % shape[i];
        rest /= shape[i];
        from_a += c * a_strides[i];
        from_b += c * b_strides[i];
      }
      kernels().binary(op, a + from_a, a_varies, b + from_b, b_varies, y + row * inner, inner);
    }
  });
}

static void reduce_rows(Reduction kind, const float* x, float* y, size_t outer, size_t n) {
  const float factor = kind == Reduction::mean ? 1.f / static_cast<float>(n) : 1.f;
  if (kind != Reduction::max && n >= PARTIALS * 4096 && outer < PARTIALS) {
    for (size_t r = 0; r < outer; r++) {
      double parts[PARTIALS], total = 0;
      Pool::instance().run(PARTIALS, [&](int i) {
        const size_t begin = n * i / PARTIALS, end = n * (i + 1) / PARTIALS;
        parts[i] = kernels().sum(x + r * n + begin, end - begin);
      });
      for (const double part : parts) total += part;
      y[r] = static_cast<float>(total) * factor;
    }
    return;
  }
  Pool::instance().range(outer, grain(GRAIN, n), [&](size_t begin, size_t end) {
    for (size_t r = begin; r < end; r++) y[r] = kind == Reduction::max ? kernels().max(x + r * n, n) : static_cast<float>(kernels().sum(x + r * n, n)) * factor;
  });
}

/** Sum over the rows of one tall matrix, in a fixed number of partial sums. */
static void sum_tall(const float* x, float* y, size_t rows, size_t n) {
  const size_t parts = std::min(PARTIALS, rows * n / 16384 + 1);
  if (parts == 1) return kernels().column_sum(x, rows, n, n, y);
  static thread_local Scratch scratch;
  float* sums = scratch.get(parts * n);
  Pool::instance().run(static_cast<int>(parts), [&](int i) {
    const size_t begin = rows * i / parts, end = rows * (i + 1) / parts;
    kernels().column_sum(x + begin * n, end - begin, n, n, sums + i * n);
  });
  kernels().column_sum(sums, parts, n, n, y);
}

void reduce(Reduction kind, const float* x, float* y, size_t outer, size_t reduced, size_t inner) {
  if (inner == 1) return reduce_rows(kind, x, y, outer, reduced);
  const auto one = [&](size_t r) {
    const float* from = x + r * reduced * inner;
    if (kind == Reduction::max) kernels().column_max(from, reduced, inner, inner, y + r * inner);
    else kernels().column_sum(from, reduced, inner, inner, y + r * inner);
  };
  if (outer == 1 && kind != Reduction::max) {
    sum_tall(x, y, reduced, inner);
  } else {
    Pool::instance().range(outer, grain(GRAIN, reduced * inner), [&](size_t begin, size_t end) {
      for (size_t r = begin; r < end; r++) one(r);
    });
  }
  if (kind == Reduction::mean) kernels().scale(y, 1.f / static_cast<float>(reduced), y, outer * inner);
}

double sum_of_squares(const float* x, size_t n) {
  if (n < PARTIALS * 4096) return kernels().sum_of_squares(x, n);
  double parts[PARTIALS], total = 0;
  Pool::instance().run(PARTIALS, [&](int i) {
    const size_t begin = n * i / PARTIALS, end = n * (i + 1) / PARTIALS;
    parts[i] = kernels().sum_of_squares(x + begin, end - begin);
  });
  for (const double part : parts) total += part;
  return total;
}

void argmax(const float* x, int32_t* y, size_t outer, size_t reduced, size_t inner) {
  Pool::instance().range(outer, grain(COSTLY, reduced * inner), [&](size_t begin, size_t end) {
    std::vector<float> best(inner);
    for (size_t r = begin; r < end; r++) {
      const float* from = x + r * reduced * inner;
      int32_t* to = y + r * inner;
      std::copy(from, from + inner, best.begin());
      std::fill(to, to + inner, 0);
      for (size_t k = 1; k < reduced; k++)
        for (size_t j = 0; j < inner; j++)
          if (from[k * inner + j] > best[j]) {
            best[j] = from[k * inner + j];
            to[j] = static_cast<int32_t>(k);
          }
    }
  });
}

void softmax(const float* x, float* y, size_t outer, size_t reduced, size_t inner) {
  const size_t size = reduced * inner;
  Pool::instance().range(outer, grain(COSTLY, size), [&](size_t begin, size_t end) {
    if (inner == 1) return kernels().softmax_rows(x + begin * size, y + begin * size, end - begin, reduced);
    for (size_t r = begin; r < end; r++) kernels().softmax_columns(x + r * size, y + r * size, reduced, inner);
  });
}

void softmax_grad(const float* dy, const float* y, float* dx, size_t outer, size_t reduced, size_t inner, float factor) {
  const size_t size = reduced * inner;
  Pool::instance().range(outer, grain(GRAIN, size), [&](size_t begin, size_t end) {
    if (inner == 1) return kernels().softmax_grad_rows(dy + begin * size, y + begin * size, dx + begin * size, end - begin, reduced, factor);
    for (size_t r = begin; r < end; r++) kernels().softmax_grad_columns(dy + r * size, y + r * size, dx + r * size, reduced, inner, factor);
  });
}

void copy_rows_serial(const float* from, size_t from_stride, float* to, size_t to_stride, size_t rows, size_t n) {
  if (from_stride == n && to_stride == n) {
    std::memcpy(to, from, rows * n * sizeof(float));
    return;
  }
  for (size_t i = 0; i < rows; i++) std::memcpy(to + i * to_stride, from + i * from_stride, n * sizeof(float));
}

void copy_rows(const float* from, size_t from_stride, float* to, size_t to_stride, size_t rows, size_t n) {
  Pool::instance().range(rows, grain(2 * GRAIN, n), [&](size_t begin, size_t end) { copy_rows_serial(from + begin * from_stride, from_stride, to + begin * to_stride, to_stride, end - begin, n); });
}

void transpose(const float* x, float* y, const int32_t* shape, const int32_t* permutation, size_t rank) {
  constexpr size_t MOST = 8;
  size_t stride[MOST], out_shape[MOST], from[MOST], to[MOST], total = 1;
  for (size_t i = rank; i-- > 0;) {
    stride[i] = total;
    total *= shape[i];
  }
  size_t step = 1;
  for (size_t i = rank; i-- > 0;) {
    out_shape[i] = shape[permutation[i]];
    from[i] = stride[permutation[i]];
    to[i] = step;
    step *= out_shape[i];
  }
  if (total == 0) return;
  const size_t last = rank - 1;
  // The output axis along which the input is contiguous: the last one (rows are copied) or another one (tiles are turned).
  size_t turned = last;
  for (size_t i = 0; i < rank; i++)
    if (from[i] == 1 && (out_shape[i] > 1 || i == last)) turned = i;
  const size_t rows = out_shape[turned], columns = out_shape[last];
  const size_t block = turned == last ? columns : rows * columns;
  Pool::instance().range(total / block, grain(16384, block), [&](size_t begin, size_t end) {
    size_t at[MOST], rest = begin, in = 0, out = 0;
    for (size_t i = last; i-- > 0;) {
      if (i == turned) continue;
      at[i] = rest % out_shape[i];
      rest /= out_shape[i];
      in += at[i] * from[i];
      out += at[i] * to[i];
    }
    for (size_t q = begin; q < end; q++) {
      if (turned == last) std::memcpy(y + out, x + in, columns * sizeof(float));
      else kernels().transpose(x + in, y + out, columns, rows, static_cast<ptrdiff_t>(from[last]), static_cast<ptrdiff_t>(to[turned]));
      for (size_t i = last; i-- > 0;) {  // the next place: a division for each would take longer than a short row
        if (i == turned) continue;
        in += from[i], out += to[i];
        if (++at[i] < out_shape[i]) break;
        in -= at[i] * from[i], out -= at[i] * to[i];
        at[i] = 0;
      }
    }
  });
}

void gather(const float* table, const int32_t* ids, size_t count, float* y, size_t width) {
  Pool::instance().range(count, grain(GRAIN, width), [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; i++) std::memcpy(y + i * width, table + static_cast<size_t>(ids[i]) * width, width * sizeof(float));
  });
}

void scatter_add(const float* x, const int32_t* ids, size_t count, float* y, size_t rows, size_t width) {
  // Each piece of work owns some columns, so the order of the sums does not depend on the threads.
  const size_t pieces = count * width < GRAIN ? 1 : std::max<size_t>(1, width / 32);
  Pool::instance().run(static_cast<int>(pieces), [&](int piece) {
    const size_t begin = width * piece / pieces, end = width * (piece + 1) / pieces;
    for (size_t i = 0; i < count; i++) {
      if (ids[i] < 0 || static_cast<size_t>(ids[i]) >= rows) continue;
      float* to = y + static_cast<size_t>(ids[i]) * width;
      const float* from = x + i * width;
      for (size_t j = begin; j < end; j++) to[j] += from[j];
    }
  });
}

void adamw(const AdamW& a, float* parameter, float* first, float* second, const float* gradient, size_t n) {
  Pool::instance().range(n, 16384, [&](size_t b, size_t e) { kernels().adamw(a, parameter + b, first + b, second + b, gradient + b, e - b); });
}

void adamw_table(const AdamW& a, float* parameter, float* first, float* second, const float* gradient, const int32_t* moments, const int32_t* gradients, size_t rows, size_t width) {
  const std::vector<float> zeros(width);
  Pool::instance().range(rows, grain(16384, width), [&](size_t begin, size_t end) {
    for (size_t r = begin; r < end;) {
      float* row = parameter + r * width;
      size_t next = r + 1;
      if (moments[r] >= 0) {
        const size_t at = static_cast<size_t>(moments[r]) * width;
        const float* g = gradients[r] < 0 ? zeros.data() : gradient + static_cast<size_t>(gradients[r]) * width;
        kernels().adamw(a, row, first + at, second + at, g, width);
      } else {
        while (next < end && moments[next] < 0) next++;  // rows that only decay are done together
        if (a.decay != 1.f) kernels().scale(row, a.decay, row, (next - r) * width);
      }
      r = next;
    }
  });
}

void resize_bilinear(const Resize& r, const float* x, float* y) {
  const auto ratio = [&](size_t in, size_t out) {
    const bool align = r.align_corners && out > 1;
    return static_cast<double>(align ? in - 1 : in) / static_cast<double>(align ? out - 1 : out);
  };
  const double by_y = ratio(r.height, r.new_height), by_x = ratio(r.width, r.new_width);
  const auto source = [&](size_t i, double by) { return r.half_pixel_centers ? by * (static_cast<double>(i) + 0.5) - 0.5 : by * static_cast<double>(i); };
  const auto limit = [](double v, size_t n) { return static_cast<size_t>(std::max(0.0, std::min(v, static_cast<double>(n - 1)))); };
  const size_t row = r.width * r.channels, rows = r.batch * r.new_height;
  Pool::instance().range(rows, grain(GRAIN, r.new_width * r.channels), [&](size_t begin, size_t end) {
    for (size_t q = begin; q < end; q++) {
      const size_t b = q / r.new_height;
      const double at_y = source(q % r.new_height, by_y);
      const float part_y = static_cast<float>(at_y - std::max(0.0, std::floor(at_y)));
      const float* image = x + b * r.height * row;
      const float* top = image + limit(std::floor(at_y), r.height) * row;
      const float* bottom = image + limit(std::ceil(at_y), r.height) * row;
      float* out = y + q * r.new_width * r.channels;
      for (size_t c = 0; c < r.new_width; c++, out += r.channels) {
        const double at_x = source(c, by_x);
        const float part_x = static_cast<float>(at_x - std::max(0.0, std::floor(at_x)));
        const size_t left = limit(std::floor(at_x), r.width) * r.channels, right = limit(std::ceil(at_x), r.width) * r.channels;
        for (size_t d = 0; d < r.channels; d++) {
          const float t = top[left + d] + (top[right + d] - top[left + d]) * part_x;
          const float u = bottom[left + d] + (bottom[right + d] - bottom[left + d]) * part_x;
          out[d] = t + (u - t) * part_y;
        }
      }
    }
  });
}

}  // namespace gvx
