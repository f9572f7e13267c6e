// Scalar functions that the compiler turns into vector code inside the loops of rows.inl. They must be inlined: in a
// unit this large GCC would rather call them, and every loop around such a call stays scalar.
#define GVX_MATH static inline __attribute__((always_inline)) GVX_TARGET

/** Cephes' expf, about 1 ulp; 0 and infinity beyond the range, NaN kept. */
GVX_MATH float exp_(float x) {
  float y = x > 88.3762626647950f ? 88.3762626647950f : x;
  y = y < -87.3365447505f ? -87.3365447505f : y;
  float shifted = y * 1.44269504088896341f + 12582912.f;  // 1.5 * 2^23: the integer ends up in the lowest bits
  int32_t n;
  std::memcpy(&n, &shifted, 4);
  n -= 0x4B400000;
  shifted -= 12582912.f;
  float z = y - shifted * 0.693359375f;
  z -= shifted * -2.12194440e-4f;
  float p = 1.9875691500E-4f;
  p = p * z + 1.3981999507E-3f;
  p = p * z + 8.3334519073E-3f;
  p = p * z + 4.1665795894E-2f;
  p = p * z + 1.6666665459E-1f;
  p = p * z + 5.0000001201E-1f;
  p = p * z * z + z + 1.0f;
  const uint32_t bits = static_cast<uint32_t>(n + 127) << 23;
  float power;
  std::memcpy(&power, &bits, 4);
  float result = p * power;
  result = x < -87.3365447505f ? 0.f : result;
  return x > 88.3762626647950f ? __builtin_inff() : result;
}

/** exp of -87 to 0: 2^f by a polynomial (reweighted least squares), the rest goes to the exponent. 1.1 ulp, 1.5 where nothing is fused. */
GVX_MATH float exp_between(float x) {
  float shifted = x * 1.44269504f + 12582912.f;  // as above
  int32_t n;
  std::memcpy(&n, &shifted, 4);
  shifted -= 12582912.f;
#if GVX_FUSED
  const float f = (x * 1.44269504f - shifted) + x * 1.92596299e-8f;
#else  // the product would be rounded: reduced in two steps, as above
  const float f = ((x - shifted * 0.693359375f) - shifted * -2.12194440e-4f) * 1.44269504f;
#endif
  float p = 1.53533620e-4f;
  p = p * f + 1.33988750e-3f;
  p = p * f + 9.61843692e-3f;
  p = p * f + 5.55033237e-2f;
  p = p * f + 2.40226477e-1f;
  p = p * f + 6.93147182e-1f;
  p = p * f + 1.f;
  uint32_t bits;
  std::memcpy(&bits, &p, 4);
  bits += static_cast<uint32_t>(n) << 23;
  float result;
  std::memcpy(&result, &bits, 4);
  return result;
}
/** exp of what is not above 0 but for rounding; NaN kept. */
GVX_MATH float exp_below(float x) {
  const float result = exp_between(x < -87.f ? -87.f : x);
  return x < -87.f ? 0.f : result;
}

/** Cephes' logf; -infinity at 0, NaN below, infinity and NaN kept. */
GVX_MATH float log_(float x) {
  float scaled = x < 1.17549435e-38f ? x * 8388608.f : x;  // denormal numbers
  uint32_t bits;
  std::memcpy(&bits, &scaled, 4);
  float exponent = static_cast<float>(static_cast<int32_t>(bits >> 23) - 126) - (x < 1.17549435e-38f ? 23.f : 0.f);
  const uint32_t mantissa = (bits & 0x007fffffu) | 0x3f000000u;
  float m;
  std::memcpy(&m, &mantissa, 4);
  const bool low = m < 0.707106781186547524f;
  exponent -= low ? 1.f : 0.f;
  m = low ? m + m - 1.f : m - 1.f;
  const float z = m * m;
  float p = 7.0376836292E-2f;
  p = p * m - 1.1514610310E-1f;
  p = p * m + 1.1676998740E-1f;
  p = p * m - 1.2420140846E-1f;
  p = p * m + 1.4249322787E-1f;
  p = p * m - 1.6668057665E-1f;
  p = p * m + 2.0000714765E-1f;
  p = p * m - 2.4999993993E-1f;
  p = p * m + 3.3333331174E-1f;
  p = p * m * z + exponent * -2.12194440e-4f - 0.5f * z;
  float result = m + p + exponent * 0.693359375f;
  result = x == 0.f ? -__builtin_inff() : result;
  result = x < 0.f ? __builtin_nanf("") : result;
  return (x != x || x == __builtin_inff()) ? x : result;
}

/** Abramowitz and Stegun 7.1.26, as the cpu backend has it: 1.5e-7 absolute. */
GVX_MATH float erf_(float x) {
  const float v = std::fabs(x);
  const float t = 1.f / (1.f + 0.3275911f * v);
  const float p = ((((1.061405429f * t - 1.453152027f) * t) + 1.421413741f) * t - 0.284496736f) * t + 0.254829592f;
  return std::copysign(1.f - p * t * exp_(-v * v), x);
}

GVX_MATH float sigmoid_(float x) { return 1.f / (1.f + exp_(-x)); }

GVX_MATH float tanh_(float x) {
  const float a = std::fabs(x), e = exp_(-2.f * a), s = a * a;
  const float far = (1.f - e) / (1.f + e);
  const float near = a - a * s * (1.f / 3.f) + a * s * s * (2.f / 15.f);
  return std::copysign(a < 0.03f ? near : far, x);
}

GVX_MATH float relu_(float x) { return x > 0.f ? x : (x != x ? x : 0.f); }
GVX_MATH float quick_gelu_(float x) { return x * sigmoid_(1.702f * x); }
GVX_MATH float relu_derivative(float x) { return x > 0.f ? 1.f : 0.f; }
/** exp(-x²/2), which the value of GELU and its slope share, and the error function of x/√2 with its help. */
GVX_MATH float gelu_exponential(float x) {
  const float s = x * x;
  return exp_between(-0.5f * (s > 170.f ? 170.f : s));
}
GVX_MATH float gelu_erf(float x, float exponential) {
  const float v = std::fabs(x) * 0.70710678118654752f;
  const float t = 1.f / (1.f + 0.3275911f * v);
  const float p = ((((1.061405429f * t - 1.453152027f) * t) + 1.421413741f) * t - 0.284496736f) * t + 0.254829592f;
  return std::copysign(1.f - p * t * exponential, x);
}
GVX_MATH float gelu_value(float x, float erf) { return 0.5f * x * (1.f + erf); }
GVX_MATH float gelu_slope(float x, float exponential, float erf) { return 0.5f * (1.f + erf) + x * 0.3989422804014327f * exponential; }
GVX_MATH float gelu_(float x) { return gelu_value(x, gelu_erf(x, gelu_exponential(x))); }
GVX_MATH float gelu_derivative(float x) {
  const float e = gelu_exponential(x);
  return gelu_slope(x, e, gelu_erf(x, e));
}
GVX_MATH float quick_gelu_derivative(float x) {
  const float s = sigmoid_(1.702f * x);
  return s * (1.f + 1.702f * x * (1.f - s));
}
