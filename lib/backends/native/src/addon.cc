// The surface to JavaScript: every function takes typed arrays and numbers, works synchronously and returns nothing
// unless said. Only Node-API is used, so one binary serves every version of Node. The callers in lib/backends/native
// have checked types and shapes.
#define NAPI_VERSION 8
#include <node_api.h>

#include <new>

#include "ops.h"
#include "pool.h"
#include "profile.h"

using namespace gvx;

namespace {

class Arguments {
 public:
  Arguments(napi_env env, napi_callback_info info) : env_(env) { napi_get_cb_info(env, info, &count_, values_, nullptr, nullptr); }

  /** The next argument as the memory of a typed array; null for null and undefined. */
  template <class T = float>
  T* array(size_t* length = nullptr) {
    napi_typedarray_type type;
    size_t n = 0, offset;
    void* data = nullptr;
    napi_value buffer;
    const bool ok = next_ < count_ && napi_get_typedarray_info(env_, values_[next_], &type, &n, &data, &buffer, &offset) == napi_ok;
    next_++;
    if (length) *length = ok ? n : 0;
    return ok ? static_cast<T*>(data) : nullptr;
  }
  /** The next argument, a list of typed arrays; null for each that is not there. */
  template <class T>
  void arrays(T** out, size_t count) {
    for (size_t i = 0; i < count; i++) {
      napi_typedarray_type type;
      size_t n, offset;
      void* data = nullptr;
      napi_value element, buffer;
      const bool ok = next_ < count_ && napi_get_element(env_, values_[next_], static_cast<uint32_t>(i), &element) == napi_ok &&
                      napi_get_typedarray_info(env_, element, &type, &n, &data, &buffer, &offset) == napi_ok;
      out[i] = ok ? static_cast<T*>(data) : nullptr;
    }
    next_++;
  }
  double number() {
    double value = 0;
    if (next_ < count_) napi_get_value_double(env_, values_[next_], &value);
    next_++;
    return value;
  }
  size_t size() { return static_cast<size_t>(number()); }
  float real() { return static_cast<float>(number()); }
  bool flag() { return number() != 0; }
  template <class E>
  E choice() {
    return static_cast<E>(static_cast<int>(number()));
  }

 private:
  static constexpr size_t MOST = 32;
  napi_env env_;
  napi_value values_[MOST];
  size_t count_ = MOST, next_ = 0;
};

template <void (*Function)(Arguments&)>
napi_value call(napi_env env, napi_callback_info info) {
  try {
    const Inside inside;
    Arguments arguments(env, info);
    Function(arguments);
  } catch (const std::bad_alloc&) {
    napi_throw_error(env, "ERR_OUT_OF_MEMORY", "out of memory");
  }
  return nullptr;
}

template <double (*Function)(Arguments&)>
napi_value call_number(napi_env env, napi_callback_info info) {
  napi_value result = nullptr;
  try {
    const Inside inside;
    Arguments arguments(env, info);
    napi_create_double(env, Function(arguments), &result);
  } catch (const std::bad_alloc&) {
    napi_throw_error(env, "ERR_OUT_OF_MEMORY", "out of memory");
  }
  return result;
}

napi_value instruction_set(napi_env env, napi_callback_info) {
  napi_value name;
  napi_create_string_utf8(env, kernels().name, NAPI_AUTO_LENGTH, &name);
  return name;
}

double cores(Arguments&) { return usable_cores(); }
void set_threads(Arguments& a) { Pool::instance().resize(std::max<int>(1, static_cast<int>(a.number()))); }
/** Bytes from the beginning of an array to the next cache line. */
double misalignment(Arguments& a) { return static_cast<double>((64 - reinterpret_cast<uintptr_t>(a.array()) % 64) % 64); }

void do_profile(Arguments& a) { profile(a.flag()); }
void do_read_profile(Arguments& a) { read_profile(a.array<double>()); }
double do_fma_peak(Arguments&) { return fma_peak(); }
double do_memory_bandwidth(Arguments&) { return memory_bandwidth(); }

void do_gemm(Arguments& a) {
  Gemm g;
  g.A = a.array(), g.a_row = static_cast<ptrdiff_t>(a.number()), g.a_col = static_cast<ptrdiff_t>(a.number());
  const ptrdiff_t a_step = static_cast<ptrdiff_t>(a.number());
  g.B = a.array(), g.b_row = static_cast<ptrdiff_t>(a.number()), g.b_col = static_cast<ptrdiff_t>(a.number());
  const ptrdiff_t b_step = static_cast<ptrdiff_t>(a.number());
  g.C = a.array();
  const size_t batch = a.size();
  g.M = a.size(), g.N = a.size(), g.K = a.size();
  g.ldc = static_cast<ptrdiff_t>(g.N);
  g.epilogue.bias = a.array();
  if (batch == 1) gemm(g);
  else gemm_batch(g, batch, a_step, b_step, static_cast<ptrdiff_t>(g.M * g.N));
}

void do_unary(Arguments& a) {
  const Unary op = a.choice<Unary>();
  size_t n;
  const float* x = a.array(&n);
  float* y = a.array();
  unary(op, x, y, n, a.real());
}

void do_binary(Arguments& a) {
  const Binary op = a.choice<Binary>();
  const float *x = a.array(), *y = a.array();
  float* out = a.array();
  size_t rank;
  const int32_t* shape = a.array<int32_t>(&rank);
  const int32_t* x_strides = a.array<int32_t>();
  const int32_t* y_strides = a.array<int32_t>();
  binary(op, x, y, out, shape, x_strides, y_strides, rank);
}

void do_reduce(Arguments& a) {
  const Reduction kind = a.choice<Reduction>();
  const float* x = a.array();
  float* y = a.array();
  const size_t outer = a.size(), reduced = a.size(), inner = a.size();
  reduce(kind, x, y, outer, reduced, inner);
}

void do_argmax(Arguments& a) {
  const float* x = a.array();
  int32_t* y = a.array<int32_t>();
  const size_t outer = a.size(), reduced = a.size(), inner = a.size();
  argmax(x, y, outer, reduced, inner);
}

void do_softmax(Arguments& a) {
  const float* x = a.array();
  float* y = a.array();
  const size_t outer = a.size(), reduced = a.size(), inner = a.size();
  softmax(x, y, outer, reduced, inner);
}

void do_softmax_grad(Arguments& a) {
  const float *dy = a.array(), *y = a.array();
  float* dx = a.array();
  const size_t outer = a.size(), reduced = a.size(), inner = a.size();
  softmax_grad(dy, y, dx, outer, reduced, inner, a.real());
}

void do_transpose(Arguments& a) {
  const float* x = a.array();
  float* y = a.array();
  size_t rank;
  const int32_t* shape = a.array<int32_t>(&rank);
  transpose(x, y, shape, a.array<int32_t>(), rank);
}

void do_copy_rows(Arguments& a) {
  const float* from = a.array();
  from += a.size();
  const size_t from_stride = a.size();
  float* to = a.array();
  to += a.size();
  const size_t to_stride = a.size(), rows = a.size(), n = a.size();
  copy_rows(from, from_stride, to, to_stride, rows, n);
}

void do_gather(Arguments& a) {
  const float* table = a.array();
  size_t count;
  const int32_t* ids = a.array<int32_t>(&count);
  float* y = a.array();
  gather(table, ids, count, y, a.size());
}

void do_scatter_add(Arguments& a) {
  const float* x = a.array();
  size_t count;
  const int32_t* ids = a.array<int32_t>(&count);
  float* y = a.array();
  const size_t rows = a.size(), width = a.size();
  scatter_add(x, ids, count, y, rows, width);
}

Linear linear_of(Arguments& a) {
  Linear l;
  l.rows = a.size(), l.in = a.size(), l.out = a.size();
  l.activation = a.choice<Activation>();
  return l;
}

void do_linear(Arguments& a) {
  const Linear l = linear_of(a);
  const float *x = a.array(), *w = a.array(), *b = a.array();
  float *pre = a.array(), *y = a.array();
  linear(l, x, w, b, pre, y, a.array());
}

double do_weight_panel(Arguments&) { return static_cast<double>(weight_panel()); }

void do_pack_weight(Arguments& a) {
  float* w = a.array();
  const size_t in = a.size(), out = a.size();
  pack_weight(w, in, out);
}

void do_unpack_weight(Arguments& a) {
  float* w = a.array();
  const size_t in = a.size(), out = a.size();
  unpack_weight(w, in, out);
}

void do_layer_norm(Arguments& a) {
  const float *x = a.array(), *gain = a.array(), *bias = a.array();
  float *y = a.array(), *mean = a.array(), *rstd = a.array();
  const size_t rows = a.size(), n = a.size();
  layer_norm(x, gain, bias, y, mean, rstd, rows, n, a.real());
}

void do_layer_norm_grad(Arguments& a) {
  const float *dy = a.array(), *x = a.array(), *gain = a.array(), *mean = a.array(), *rstd = a.array();
  float *dx = a.array(), *dgain = a.array(), *dbias = a.array();
  const size_t rows = a.size(), n = a.size();
  layer_norm_grad(dy, x, gain, mean, rstd, dx, dgain, dbias, rows, n);
}

void do_l2_normalize(Arguments& a) {
  const float* x = a.array();
  float *y = a.array(), *inverse = a.array();
  const size_t rows = a.size(), n = a.size();
  l2_normalize(x, y, inverse, rows, n, a.real());
}

void do_l2_normalize_grad(Arguments& a) {
  const float *dy = a.array(), *y = a.array(), *inverse = a.array();
  float* dx = a.array();
  const size_t rows = a.size(), n = a.size();
  l2_normalize_grad(dy, y, inverse, dx, rows, n);
}

Attention attention_of(Arguments& a) {
  Attention s;
  s.batch = a.size(), s.heads = a.size(), s.queries = a.size(), s.keys = a.size(), s.head_size = a.size();
  s.scale = a.real();
  s.causal = a.flag();
  return s;
}

void do_attention(Arguments& a) {
  const Attention s = attention_of(a);
  const size_t width = s.heads * s.head_size;
  const Heads q{a.array(), width}, k{a.array(), width}, v{a.array(), width};
  const HeadsOut y{a.array(), width};
  attention(s, q, k, v, y, a.array());
}

void do_attention_grad(Arguments& a) {
  const Attention s = attention_of(a);
  const size_t width = s.heads * s.head_size;
  const Heads dy{a.array(), width}, q{a.array(), width}, k{a.array(), width}, v{a.array(), width};
  const float* log_sum = a.array();
  const HeadsOut dq{a.array(), width}, dk{a.array(), width}, dv{a.array(), width};
  attention_grad(s, dy, q, k, v, log_sum, dq, dk, dv);
}

EncoderLayer encoder_of(Arguments& a) {
  EncoderLayer l;
  l.rows = a.size(), l.channels = a.size(), l.hidden = a.size(), l.heads = a.size(), l.samples = a.size(), l.longest = a.size();
  l.scale = a.real(), l.eps = a.real();
  l.causal = a.flag();
  l.activation = a.choice<Activation>();
  l.sequences.starts = a.array<int32_t>(), l.sequences.prefix_starts = a.array<int32_t>(), l.sequences.prefixes = a.array<int32_t>();
  l.attention_factor = a.array(), l.mlp_factor = a.array();
  return l;
}

template <class Number>
EncoderWeights<Number> encoder_weights(Arguments& a) {
  float* p[16];
  a.arrays(p, 16);
  return {p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7], p[8], p[9], p[10], p[11], p[12], p[13], p[14], p[15]};
}

EncoderSaved encoder_saved(Arguments& a) {
  float* p[7];
  a.arrays(p, 7);
  return {p[0], p[1], p[2], p[3], p[4], p[5], p[6]};
}

void do_encoder_layer(Arguments& a) {
  const EncoderLayer l = encoder_of(a);
  const auto weights = encoder_weights<const float>(a);
  const float* x = a.array();
  float* y = a.array();
  const EncoderSaved saved = encoder_saved(a);
  float* p[6];
  a.arrays(p, 6);
  encoder_layer(l, weights, x, y, saved, {p[0], p[1], p[2], p[3], p[4], p[5]});
}

double do_encoder_grad_work(Arguments& a) { return static_cast<double>(encoder_grad_work(encoder_of(a))); }

void do_encoder_layer_grad(Arguments& a) {
  const EncoderLayer l = encoder_of(a);
  const auto weights = encoder_weights<const float>(a);
  const float *x = a.array(), *dy = a.array();
  const EncoderSaved saved = encoder_saved(a);
  float* dx = a.array();
  const auto gradients = encoder_weights<float>(a);
  encoder_layer_grad(l, weights, x, dy, saved, dx, gradients, a.array());
}

void do_assign(Arguments& a) {
  const float *logits = a.array(), *noise = a.array();
  float *soft = a.array(), *hard = a.array();
  const size_t batch = a.size(), groups = a.size(), tokens = a.size();
  assign_groups(logits, noise, soft, hard, batch, groups, tokens, a.real());
}

double do_cross_entropy(Arguments& a) {
  const float *logits = a.array(), *targets = a.array();
  float* probabilities = a.array();
  const size_t rows = a.size(), n = a.size();
  return cross_entropy(logits, targets, probabilities, rows, n);
}

void do_cross_entropy_grad(Arguments& a) {
  const float *probabilities = a.array(), *targets = a.array();
  const float factor = a.real();
  float* dx = a.array();
  const size_t rows = a.size(), n = a.size();
  cross_entropy_grad(probabilities, targets, factor, dx, rows, n);
}

void do_batch_norm(Arguments& a) {
  const float *x = a.array(), *gain = a.array(), *bias = a.array();
  float *y = a.array(), *unit = a.array(), *inverse = a.array(), *mean = a.array(), *variance = a.array();
  const size_t rows = a.size(), n = a.size();
  batch_norm(x, gain, bias, y, unit, inverse, mean, variance, rows, n, a.real());
}

void do_batch_norm_grad(Arguments& a) {
  const float *dy = a.array(), *unit = a.array(), *inverse = a.array(), *gain = a.array();
  float *dx = a.array(), *dgain = a.array(), *dbias = a.array();
  const size_t rows = a.size(), n = a.size();
  batch_norm_grad(dy, unit, inverse, gain, dx, dgain, dbias, rows, n);
}

double do_sum_of_squares(Arguments& a) {
  size_t n;
  const float* x = a.array(&n);
  return sum_of_squares(x, n);
}

AdamW adamw_of(Arguments& a) {
  AdamW s;
  s.gradient_scale = a.real(), s.step_size = a.real(), s.beta1 = a.real(), s.beta2 = a.real();
  s.eps = a.real(), s.inverse_sqrt_correction2 = a.real(), s.decay = a.real();
  return s;
}

void do_adamw(Arguments& a) {
  size_t n;
  float* parameter = a.array(&n);
  float *first = a.array(), *second = a.array();
  const float* gradient = a.array();
  adamw(adamw_of(a), parameter, first, second, gradient, n);
}

void do_adamw_table(Arguments& a) {
  size_t n, rows;
  float* parameter = a.array(&n);
  float *first = a.array(), *second = a.array();
  const float* gradient = a.array();
  const AdamW s = adamw_of(a);
  const int32_t *moments = a.array<int32_t>(&rows), *gradients = a.array<int32_t>();
  if (rows > 0) adamw_table(s, parameter, first, second, gradient, moments, gradients, rows, n / rows);
}

void do_resize_bilinear(Arguments& a) {
  const float* x = a.array();
  float* y = a.array();
  Resize r;
  r.batch = a.size(), r.height = a.size(), r.width = a.size(), r.channels = a.size(), r.new_height = a.size(), r.new_width = a.size();
  r.align_corners = a.flag(), r.half_pixel_centers = a.flag();
  resize_bilinear(r, x, y);
}

}  // namespace

NAPI_MODULE_INIT() {
  const struct {
    const char* name;
    napi_callback function;
  } functions[] = {
      {"isa", instruction_set},
      {"cores", call_number<cores>},
      {"setThreads", call<set_threads>},
      {"misalignment", call_number<misalignment>},
      {"profile", call<do_profile>},
      {"readProfile", call<do_read_profile>},
      {"fmaPeak", call_number<do_fma_peak>},
      {"memoryBandwidth", call_number<do_memory_bandwidth>},
      {"gemm", call<do_gemm>},
      {"unary", call<do_unary>},
      {"binary", call<do_binary>},
      {"reduce", call<do_reduce>},
      {"argmax", call<do_argmax>},
      {"softmax", call<do_softmax>},
      {"softmaxGrad", call<do_softmax_grad>},
      {"transpose", call<do_transpose>},
      {"copyRows", call<do_copy_rows>},
      {"gather", call<do_gather>},
      {"scatterAdd", call<do_scatter_add>},
      {"linear", call<do_linear>},
      {"weightPanel", call_number<do_weight_panel>},
      {"packWeight", call<do_pack_weight>},
      {"unpackWeight", call<do_unpack_weight>},
      {"layerNorm", call<do_layer_norm>},
      {"layerNormGrad", call<do_layer_norm_grad>},
      {"l2Normalize", call<do_l2_normalize>},
      {"l2NormalizeGrad", call<do_l2_normalize_grad>},
      {"attention", call<do_attention>},
      {"attentionGrad", call<do_attention_grad>},
      {"encoderLayer", call<do_encoder_layer>},
      {"encoderGradWork", call_number<do_encoder_grad_work>},
      {"encoderLayerGrad", call<do_encoder_layer_grad>},
      {"assign", call<do_assign>},
      {"crossEntropy", call_number<do_cross_entropy>},
      {"crossEntropyGrad", call<do_cross_entropy_grad>},
      {"batchNorm", call<do_batch_norm>},
      {"batchNormGrad", call<do_batch_norm_grad>},
      {"sumOfSquares", call_number<do_sum_of_squares>},
      {"adamw", call<do_adamw>},
      {"adamwTable", call<do_adamw_table>},
      {"resizeBilinear", call<do_resize_bilinear>},
  };
  for (const auto& f : functions) {
    napi_value value;
    if (napi_create_function(env, f.name, NAPI_AUTO_LENGTH, f.function, nullptr, &value) != napi_ok) return nullptr;
    napi_set_named_property(env, exports, f.name, value);
  }
  return exports;
}
