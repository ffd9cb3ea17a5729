// vec_math.h: exp, log, tanh, erf, and the activations with their derivatives, on vectors.
//
// All consist of additions, multiplications, vec_fma and at most one division, in a fixed order, so
// every vector width gives the same bits. An instruction set without a fused multiply-add (generic)
// rounds more often and may differ from the others in the last places. NaN in gives NaN out.
// Polynomials and rational functions are minimax fits, made by an exchange algorithm in 200 bits;
// coefficients were rounded to float one at a time and the others fitted again. Comments give what
// was fitted, over which range, and the largest error found with the rounded coefficients.
#ifndef DIECAST_VEC_MATH_H
#define DIECAST_VEC_MATH_H

#include "runtime/kernel/vec.h"

// exp(y) = p * 2^n.
struct exp_parts {
    vec p, n;      // p = exp(r), |r| <= ln 2 / 2
    vec_uint bits; // n + bias, in the low nine bits
};

VEC_INLINE struct exp_parts exp_split(vec y, float bias) {
    const float magic = 12582912.0f + bias; // 1.5 * 2^23: adding it rounds to a whole number
    const vec whole = vec_fma(y, vec_splat(1.44269504f), vec_splat(magic)), n = whole - magic;
    vec r = vec_fma(n, vec_splat(-0.693359375f), y); // ln 2 in two parts; the first has ten bits
    r = vec_fma(n, vec_splat(2.12194440e-4f), r);
    // (exp(r) - 1 - r) / r^2; relative error of exp(r): 4e-9.
    vec p = vec_fma(r, vec_splat(0.0013840472f), vec_splat(0.008369354f));
    p = vec_fma(p, r, vec_splat(0.041668084f));
    p = vec_fma(p, r, vec_splat(0.16666515f));
    p = vec_fma(p, r, vec_splat(0.49999994f));
    p = vec_fma(vec_fma(p, r, vec_splat(1.0f)), r, vec_splat(1.0f));
    return (struct exp_parts){p, n, (vec_uint)whole};
}

// exp(-inf) is 0.
VEC_INLINE vec vec_exp(vec x) {
    // NaN passes through both: each returns its second operand.
    const vec y = vec_min(vec_splat(89.0f), vec_max(vec_splat(-104.5f), x));
    const struct exp_parts e = exp_split(y, 2 * 127);
#if defined(__AVX512F__)
    return (vec)_mm512_scalef_ps((__m512)e.p, (__m512)e.n);
#else
    // 2^n in two factors: 2^128 and 2^-151 are outside the range of normal floats.
    const vec_uint half = e.bits >> 1;
    return e.p * (vec)(half << 23) * (vec)((e.bits - half) << 23);
#endif
}

// Faster than vec_exp, with the same bits for x <= 40; for larger x the result is undefined.
VEC_INLINE vec vec_exp_to_40(vec x) {
    const struct exp_parts e = exp_split(vec_max(vec_splat(-104.5f), x), 64 + 127);
#if defined(__AVX512F__)
    return (vec)_mm512_scalef_ps((__m512)e.p, (__m512)e.n);
#else
    return e.p * (vec)(e.bits << 23) * 0x1p-64f;
#endif
}

// 2^x for x <= 127; for larger x the result is undefined, for x < -126 it is 2^-126.
VEC_INLINE vec vec_exp2(vec x) {
    const float magic = 12582912.0f + 127; // 1.5 * 2^23: adding it rounds to a whole number
    const vec y = vec_max(vec_splat(-126.0f), x);
    const vec n = y + magic; // with the exponent's bias: the low bits are those of 2^n
    const vec f = y - (n - magic);
    // (2^f - 1) / f for |f| <= 1/2; relative error of 2^f: 6e-9.
    vec p = vec_fma(f, vec_splat(0.000158205075f), vec_splat(0.00134182035f));
    p = vec_fma(f, p, vec_splat(0.00961706322f));
    p = vec_fma(f, p, vec_splat(0.0555027239f));
    p = vec_fma(f, p, vec_splat(0.240226552f));
    p = vec_fma(f, p, vec_splat(0.693147242f));
    p = vec_fma(f, p, vec_splat(1.0f));
    return p * (vec)((vec_uint)n << 23);
}

VEC_INLINE vec vec_log(vec x) {
    const uint32_t two_thirds = 0x3f2aaaab;
    const vec_int tiny = x < 1.17549435e-38f; // denormal
    const vec_uint bits = (vec_uint)vec_select(tiny, x * 33554432.0f, x) - two_thirds;
    const vec n = __builtin_convertvector(((vec_int)bits >> 23) - (tiny & 25), vec);
    // (log(1 + f) - f + f^2 / 2) / f^3 for f from -1/3 to 1/3; relative error of log: 6e-9.
    const vec f = (vec)((bits & 0x7fffff) + two_thirds) - 1.0f;
    const vec f2 = f * f;
    vec even = vec_splat(0.12007054f), odd = vec_splat(-0.12845166f);
    even = vec_fma(even, f2, vec_splat(0.10754271f));
    odd = vec_fma(odd, f2, vec_splat(-0.12195725f));
    even = vec_fma(even, f2, vec_splat(0.14304467f));
    odd = vec_fma(odd, f2, vec_splat(-0.16679597f));
    even = vec_fma(even, f2, vec_splat(0.19999586f));
    odd = vec_fma(odd, f2, vec_splat(-0.24999823f));
    even = vec_fma(even, f2, vec_splat(0.33333334f));
    vec low = vec_fma(vec_fma(odd, f, even), f, vec_splat(-0.5f)) * f2;
    low = vec_fma(n, vec_splat(-2.12194440e-4f), low);
    const vec log = vec_fma(n, vec_splat(0.693359375f), low + f);
    const vec other = vec_select(x > 0.0f, x, vec_splat(NAN));
    return vec_select((x > 0.0f) & (x < INFINITY), log,
                      vec_select(x == 0.0f, vec_splat(-INFINITY), other));
}

#define VEC_SIGN ((int32_t)0x80000000)

VEC_INLINE vec vec_tanh(vec x) {
    // (tanh(x) / x - 1) / x^2 as a polynomial in x^2, |x| <= 0.7; relative error of tanh: 2e-8.
    const vec s = x * x;
    vec p = vec_splat(-0.0051404308f);
    p = vec_fma(p, s, vec_splat(0.020094313f));
    p = vec_fma(p, s, vec_splat(-0.05355996f));
    p = vec_fma(p, s, vec_splat(0.13329132f));
    p = vec_fma(p, s, vec_splat(-0.3333319f));
    const vec_int sign = (vec_int)x & VEC_SIGN;
    const vec a = (vec)((vec_int)x ^ sign);
    const vec near = vec_fma(p * s, a, a);
    const vec far = 1.0f - 2.0f / (vec_exp(a + a) + 1.0f);
    return (vec)((vec_int)vec_select(a < 0.7f, near, far) | sign);
}

// Between -cap and cap: x near 0, with a slope of 1 - (y / cap)^2 where it is y.
VEC_INLINE vec softcap(vec x, const float cap) {
    return vec_tanh(x * (1.0f / cap)) * cap;
}

VEC_INLINE vec vec_erf(vec x) {
    // erf(x) / x - 1 as a polynomial in x^2, |x| <= 1.1; relative error of erf: 5e-9.
    const vec s = x * x;
    vec p = vec_splat(7.2462586e-05f);
    p = vec_fma(p, s, vec_splat(-0.00078283605f));
    p = vec_fma(p, s, vec_splat(0.0051682f));
    p = vec_fma(p, s, vec_splat(-0.026843779f));
    p = vec_fma(p, s, vec_splat(0.11283369f));
    p = vec_fma(p, s, vec_splat(-0.3761261f));
    p = vec_fma(p, s, vec_splat(0.12837917f));
    const vec_int sign = (vec_int)x & VEC_SIGN;
    const vec a = (vec)((vec_int)x ^ sign);
    const vec near = vec_fma(p, a, a);
    // The fourth root of 1 - erf(a) as a polynomial in a - 2.5, a from 1.1 to 3.95; error of erf:
    // 2e-8. It keeps falling beyond that range, and at 4.05 erf rounds to 1 in float.
    const vec t = vec_min(vec_splat(4.05f), a) - 2.5f;
    vec r = vec_splat(-0.00017495228f);
    r = vec_fma(r, t, vec_splat(0.00010911936f));
    r = vec_fma(r, t, vec_splat(0.0027572527f));
    r = vec_fma(r, t, vec_splat(-0.006502906f));
    r = vec_fma(r, t, vec_splat(-0.012327468f));
    r = vec_fma(r, t, vec_splat(0.093629755f));
    r = vec_fma(r, t, vec_splat(-0.19006127f));
    r = vec_fma(r, t, vec_splat(0.14203279f));
    r *= r;
    const vec far = vec_fma(-r, r, vec_splat(1.0f));
    return (vec)((vec_int)vec_select(a < 1.1f, near, far) | sign);
}

// ---- activations and their derivatives ----------------------------------------------------------

// x Phi(x), where Phi is the normal distribution, as x (1/2 + x d(x^2)). d = (Phi(x) - 1/2) / x is
// fitted for |x| <= 5.3; error of Phi: 2e-8. Beyond, |x d| stays above 1/2, so the bound x or 0
// applies; if d overflows to NaN, vec_min returns the bound.
VEC_INLINE vec gelu_erf(vec x) {
    const vec s = x * x;
    vec p = vec_fma(s, vec_splat(2.2214872e-06f), vec_splat(-0.00041168003f));
    vec q = s + 30.922646f;
    p = vec_fma(p, s, vec_splat(0.055199f));
    q = vec_fma(q, s, vec_splat(506.9393f));
    p = vec_fma(p, s, vec_splat(2.677651f));
    q = vec_fma(q, s, vec_splat(4588.5815f));
    p = vec_fma(p, s, vec_splat(79.68219f));
    q = vec_fma(q, s, vec_splat(18304.098f));
    p = vec_fma(p, s, vec_splat(613.5414f));
    p = vec_fma(p, s, vec_splat(7302.2773f));
    const vec distribution = vec_fma(x, p / q, vec_splat(0.5f));
    return vec_min(x * distribution, vec_max(vec_splat(0.0f), x));
}

// Phi(x) + x phi(x), where phi is the density, as 1/2 + x d(x^2). d is fitted for |x| <= 5.75;
// error of x d: 4e-8 times the larger of 1 and |x|. The fit is a little low at the end, so that x d
// is exactly 1/2 at 5.704; beyond, the derivative is 1 or 0.
VEC_INLINE vec gelu_erf_grad(vec x) {
    const vec y = vec_min(vec_splat(5.704f), vec_max(vec_splat(-5.704f), x));
    const vec s = y * y;
    vec p = vec_fma(s, vec_splat(4.045049e-05f), vec_splat(0.015319242f));
    vec q = s + 24.756153f;
    p = vec_fma(p, s, vec_splat(4.502362f));
    q = vec_fma(q, s, vec_splat(459.38934f));
    p = vec_fma(p, s, vec_splat(-0.28125128f));
    q = vec_fma(q, s, vec_splat(5473.773f));
    p = vec_fma(p, s, vec_splat(1930.0334f));
    q = vec_fma(q, s, vec_splat(39877.59f));
    p = vec_fma(p, s, vec_splat(-4483.95f));
    q = vec_fma(q, s, vec_splat(136491.27f));
    p = vec_fma(p, s, vec_splat(108904.3f));
    return y * (p / q) + 0.5f;
}

// exp(-2u), u = sqrt(2 / pi) (x + 0.044715 x^3), so that (1 + tanh(u)) / 2 is 1 / (1 + exp(-2u)).
VEC_INLINE vec gelu_tanh_exp(vec x) {
    const vec slope = vec_fma(x * x, vec_splat(-0.0713548163f), vec_splat(-1.59576912f));
    return vec_exp(x * slope);
}

VEC_INLINE vec gelu_tanh(vec x) {
    // From -10.25 down the exponential is infinite in float.
    const vec z = vec_max(vec_splat(-10.25f), x);
    return z / (1.0f + gelu_tanh_exp(z));
}

VEC_INLINE vec gelu_tanh_grad(vec x) {
    const vec z = vec_min(vec_splat(10.75f), vec_max(vec_splat(-10.75f), x));
    const vec e = gelu_tanh_exp((vec)((vec_int)z & ~VEC_SIGN)); // 0 at 10.75
    const vec s = 1.0f / (1.0f + e);
    const vec slope = vec_fma(z * z, vec_splat(3.0f * 0.0713548163f), vec_splat(1.59576912f));
    return vec_fma(z * slope, e * s * s, vec_select(x < 0.0f, e * s, s));
}

VEC_INLINE vec relu(vec x) {
    return vec_max(vec_splat(0.0f), x); // NaN passes through
}

VEC_INLINE vec relu_grad(vec x) {
    return vec_select(x > 0.0f, vec_splat(1.0f), vec_splat(0.0f));
}

// The square of relu.
VEC_INLINE vec relu2(vec x) {
    const vec r = relu(x);
    return r * r;
}

VEC_INLINE vec relu2_grad(vec x) {
    return 2.0f * relu(x);
}

VEC_INLINE vec silu(vec x) {
    return x / (1.0f + vec_exp(-x));
}

VEC_INLINE vec silu_grad(vec x) {
    const vec e = vec_exp((vec)((vec_int)x | VEC_SIGN));
    const vec s = 1.0f / (1.0f + e);
    return vec_fma(x, e * s * s, vec_select(x < 0.0f, e * s, s));
}

#endif
