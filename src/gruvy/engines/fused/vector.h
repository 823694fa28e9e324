// Vectors of float or double as wide as the instruction set compiled for, and the functions of cells on them.
//
// Semantics are NumPy's: NaN in gives NaN out, infinities and signed zeros have their limits. Relative
// errors are below 2 eps; results below 2^-125 (float) or 2^-1021 (double) may be flushed to zero.
//
// Compile with -O3 -ffp-contract=fast -fno-math-errno -fno-trapping-math, never with -ffast-math: the
// order of operations written here makes the rounding to integers and the signs of zeros.
//
// Everything has internal linkage, because one shared library holds this header several times, compiled
// for several instruction sets.

#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define GRUVY_INLINE static inline __attribute__((always_inline))

namespace gruvy {
namespace {

#if defined(__AVX512F__)
constexpr int vector_bytes = 64;
#define GRUVY_INTRINSIC(name, ...) _mm512_maskz_##name(-1, __VA_ARGS__)  // unmasked, GCC 12 has warnings for it
#elif defined(__AVX2__)
constexpr int vector_bytes = 32;
#define GRUVY_INTRINSIC(name, ...) _mm256_##name(__VA_ARGS__)
#else
constexpr int vector_bytes = 16;
#define GRUVY_INTRINSIC(name, ...) _mm_##name(__VA_ARGS__)
#endif

template <class T>
struct Vector {
    static constexpr int lanes = vector_bytes / sizeof(T);
    typedef T type __attribute__((vector_size(vector_bytes)));
    using integer = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;
    typedef integer mask_type __attribute__((vector_size(vector_bytes)));
    typedef std::make_unsigned_t<integer> bits_type __attribute__((vector_size(vector_bytes)));
};

template <class T>
using vec = typename Vector<T>::type;
template <class T>
using mask = typename Vector<T>::mask_type;
template <class V>
using element = std::decay_t<decltype(V{}[0])>;
template <class V>
using bits = typename Vector<element<V>>::bits_type;
template <class V>
constexpr bool is_float = sizeof(element<V>) == 4;

constexpr double log2_e = 1.4426950408889634074, ln_2 = 0.69314718055994530942;

// The format of T and the constants of the functions. Coefficients without a source are minimax fits made
// for this file, of the lowest degree whose error adds little to that of rounding.
template <class T>
struct Numbers;

template <>
struct Numbers<float> {
    static constexpr int mantissa = 23, bias = 127;
    static constexpr float ulp = 0x1p-23f, infinity = __builtin_inff(), nan = __builtin_nanf("");
    static constexpr float least_normal = 0x1p-126f;
    // Beyond these, e^x is put together as 0 and as infinity, and tanh(x) as 1.
    static constexpr float exp_low = -87.6f, exp_high = 89.0f, tanh_high = 9.1f;
    // ln 2 in two parts, as in FreeBSD's e_expf.c: n times the first is exact.
    static constexpr float ln2_high = 6.9314575195e-1f, ln2_low = 1.4286067653e-6f;
    // (e^r - 1 - r) / r^2 for |r| <= ln(2)/2
    static constexpr float exp_tail[] = {0.49999993445f, 0.16666520573f, 0.041668388092f, 0.0083687240168f,
                                         0.0013814624452f};
    // (r coth(r/2) - 2) / r^2 as a polynomial in r^2, for |r| <= ln(2)/2
    static constexpr float coth_tail[] = {0.16666617884f, -0.0027660028770f};
    // (tanh(h)/h - 1) / h^2 in h^2, for |h| <= ln(2)/4; here the ends, where rounding adds most, weigh twice
    static constexpr float tanh_tail[] = {-0.33330940861f, 0.13097600628f};
    // (2 atanh(s)/s - 2) / s^2 in s^2, for |s| <= 1/3
    static constexpr float atanh_tail[] = {0.66666416271f, 0.40021527775f, 0.28001799149f, 0.28012009706f};
};

template <>
struct Numbers<double> {
    static constexpr int mantissa = 52, bias = 1023;
    static constexpr double ulp = 0x1p-52, infinity = __builtin_inf(), nan = __builtin_nan("");
    static constexpr double least_normal = 0x1p-1022;
    static constexpr double exp_low = -708.6, exp_high = 710.0, tanh_high = 19.1;
    // As in fdlibm's e_exp.c.
    static constexpr double ln2_high = 6.93147180369123816490e-01, ln2_low = 1.90821492927058770002e-10;
    static constexpr double exp_tail[] = {0.50000000000000106379,   0.1666666666666641226,    0.04166666666653004964,
                                          0.0083333333334945995282, 0.0013888888943662798982, 0.0001984126950635438194,
                                          2.4801493061432251103e-5, 2.7557586504121007846e-6, 2.7630262887871063068e-7,
                                          2.5000043213046382944e-8};
    static constexpr double coth_tail[] = {0.16666666666666555528, -0.0027777777776701787821, 6.6137562513125898037e-5,
                                           -1.6533838216747542119e-6, 4.1360805213831152485e-8};
    static constexpr double tanh_tail[] = {-0.33333333333332484101, 0.13333333332783218928,
                                           -0.053968252781090557908, 0.021869370645743815188,
                                           -0.0088573064627870046497, 0.0034448093347608181321};
    static constexpr double atanh_tail[] = {0.66666666666677694281, 0.39999999996049700156, 0.285714290579987933,
                                            0.2222219290454564157,  0.18182814076003241691, 0.15364295463094397485,
                                            0.13586314855848263043, 0.099028178746896350673, 0.17739765323850590148};
};

// --- memory and lanes -------------------------------------------------------------------------------

template <class T>
GRUVY_INLINE vec<T> splat(T x) {
    return x - vec<T>{};  // x - 0 keeps every x, -0 too
}

template <class T>
GRUVY_INLINE vec<T> load(const T* from) {
    vec<T> x;
    std::memcpy(&x, from, sizeof x);
    return x;
}

template <class V>
GRUVY_INLINE void store(element<V>* to, V x) {
    std::memcpy(to, &x, sizeof x);
}

#if defined(__AVX2__) && !defined(__AVX512F__)
template <class T>
GRUVY_INLINE __m256i first_lanes(int n) {
    if constexpr (sizeof(T) == 4)
        return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    else
        return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
}
#endif

// The first n < lanes elements, and zeros; no memory beyond them is touched.
template <class T>
GRUVY_INLINE vec<T> load_part(const T* from, int n) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4) return _mm512_maskz_loadu_ps((1u << n) - 1, from);
    else return _mm512_maskz_loadu_pd((1u << n) - 1, from);
#elif defined(__AVX2__)
    if constexpr (sizeof(T) == 4) return _mm256_maskload_ps(from, first_lanes<T>(n));
    else return _mm256_maskload_pd(from, first_lanes<T>(n));
#else
    vec<T> x = {};
    for (int i = 0; i < n; ++i) x[i] = from[i];
    return x;
#endif
}

template <class V>
GRUVY_INLINE void store_part(element<V>* to, V x, int n) {
#if defined(__AVX512F__)
    if constexpr (sizeof(*to) == 4) _mm512_mask_storeu_ps(to, (1u << n) - 1, x);
    else _mm512_mask_storeu_pd(to, (1u << n) - 1, x);
#elif defined(__AVX2__)
    if constexpr (sizeof(*to) == 4) _mm256_maskstore_ps(to, first_lanes<float>(n), x);
    else _mm256_maskstore_pd(to, first_lanes<double>(n), x);
#else
    for (int i = 0; i < n; ++i) to[i] = x[i];
#endif
}

// The sum over the lanes: halves are added until one number is left.
template <class V>
GRUVY_INLINE element<V> sum_lanes(V x) {
    constexpr int lanes = Vector<element<V>>::lanes;
#if defined(__clang__)
    for (int half = lanes / 2; half > 0; half /= 2)
        for (int i = 0; i < half; ++i) x[i] += x[i + half];
#else  // the same additions, without leaving the vector unit
    mask<element<V>> lane;
    for (int i = 0; i < lanes; ++i) lane[i] = i;
    for (int half = lanes / 2; half > 0; half /= 2) x += __builtin_shuffle(x, lane ^ half);
#endif
    return x[0];
}

// `m ? a : b` in every lane; m is what comparing two vectors gives.
template <class M, class V>
GRUVY_INLINE V select(M m, V a, V b) {
    return m ? a : b;
}

// --- exact functions --------------------------------------------------------------------------------

// a > b ? a : b, and so b where either is NaN. GCC makes two instructions of that where b is a constant.
template <class V>
GRUVY_INLINE V greater(V a, V b) {
#if defined(__x86_64__)
    if constexpr (is_float<V>) return GRUVY_INTRINSIC(max_ps, a, b);
    else return GRUVY_INTRINSIC(max_pd, a, b);
#else
    return a > b ? a : b;
#endif
}

template <class V>
GRUVY_INLINE V lesser(V a, V b) {
#if defined(__x86_64__)
    if constexpr (is_float<V>) return GRUVY_INTRINSIC(min_ps, a, b);
    else return GRUVY_INTRINSIC(min_pd, a, b);
#else
    return a < b ? a : b;
#endif
}

// x within [low, high]; a NaN stays.
template <class V>
GRUVY_INLINE V clamp(V x, element<V> low, element<V> high) {
    return greater(splat(low), lesser(splat(high), x));
}

template <class V>
GRUVY_INLINE V v_abs(V x) {
    return (V)((bits<V>)x << 1 >> 1);
}

template <class V>
GRUVY_INLINE V v_maximum(V x, V y) {
    return select(x != x, x, greater(x, y));
}

template <class V>
GRUVY_INLINE V v_minimum(V x, V y) {
    return select(x != x, x, lesser(x, y));
}

template <class V>
GRUVY_INLINE V v_relu(V x) {
    return greater(V{}, x);
}

template <class V>
GRUVY_INLINE V v_sqrt(V x) {
#if defined(__x86_64__)
    if constexpr (is_float<V>) return GRUVY_INTRINSIC(sqrt_ps, x);
    else return GRUVY_INTRINSIC(sqrt_pd, x);
#else
    for (int i = 0; i < Vector<element<V>>::lanes; ++i) x[i] = std::sqrt(x[i]);
    return x;
#endif
}

// --- exponentials -----------------------------------------------------------------------------------

// factor * (c[0] + c[1] x + ...)
template <class V, int n>
GRUVY_INLINE V polynomial(const element<V> (&c)[n], V x, element<V> factor = 1) {
    V y = splat(factor * c[n - 1]);
    for (int k = n - 2; k >= 0; --k) y = y * x + factor * c[k];
    return y;
}

template <class V>
struct PowerOfTwo {
    V n, value;
};

// n = round(per_two * x) and 2^(n + shift), which is 0 at n + shift = -bias and infinite at bias + 1.
// Adding 1.5 * 2^mantissa rounds to an integer and leaves it in the low bits. With the bias added too,
// these bits are the exponent of the power.
template <class V>
GRUVY_INLINE PowerOfTwo<V> power_of_two(V x, element<V> per_two, int shift) {
    using N = Numbers<element<V>>;
    const element<V> magic = 1.5 / N::ulp + (N::bias + shift);
    const V t = per_two * x + magic;
    return {t - magic, (V)((bits<V>)t << N::mantissa)};
}

template <class V>
struct Reduced {
    V r, power;
};

// e^(sign x) = 2^n e^(sign r) with |r| <= ln(2)/2; power = 2^(n + shift).
template <int sign, int shift, class V>
GRUVY_INLINE Reduced<V> reduce(V x) {
    using T = element<V>;
    using N = Numbers<T>;
    x = sign > 0 ? clamp(x, N::exp_low, N::exp_high) : clamp(x, -N::exp_high, -N::exp_low);
    const PowerOfTwo<V> p = power_of_two(x, T(sign * log2_e), shift);
    return {x - p.n * (sign * N::ln2_high) - p.n * (sign * N::ln2_low), p.value};
}

// 2^(n - 1) * 2 e^r, because 2^128 is no float but e^88.7 is one
template <class V>
GRUVY_INLINE V v_exp(V x) {
    using T = element<V>;
    const auto [r, power] = reduce<1, -1>(x);
    return power * (T(2) + r * (T(2) + r * polynomial(Numbers<T>::exp_tail, r, 2)));
}

// e^x - 1 = 2^n (e^r - 1) + (2^n - 1), halved until the end
template <class V>
GRUVY_INLINE V v_expm1(V x) {
    using T = element<V>;
    const auto [r, power] = reduce<1, -1>(x);
    const V p = r * (T(1) + r * polynomial(Numbers<T>::exp_tail, r));
    return T(2) * (power * p - (T(0.5) - power));
}

// e^-r = (c - r) / (c + r) with c = r coth(r/2): the quotient needs no further division.
template <class V>
GRUVY_INLINE V v_sigmoid(V x) {
    using T = element<V>;
    const auto [r, power] = reduce<-1, 0>(x);
    const V square = r * r, c = T(2) + square * polynomial(Numbers<T>::coth_tail, square);
    return (c + r) / ((c + r) + power * (c - r));
}

// With 2x = n ln 2 + 2h and t = tanh(h), tanh(x) = (2^n (1 + t) - (1 - t)) / (2^n (1 + t) + (1 - t)). The
// terms are grouped so that nothing cancels at n = 0 and the signs of zeros are kept. n is small and the
// ends are flat: ln 2 needs no second part.
template <class V>
GRUVY_INLINE V v_tanh(V x) {
    using T = element<V>;
    using N = Numbers<T>;
    x = clamp(x, -N::tanh_high, N::tanh_high);
    const auto [n, power] = power_of_two(x, T(2 * log2_e), 0);
    const V h = x - n * T(ln_2 / 2), square = h * h, t = h * (T(1) + square * polynomial(N::tanh_tail, square));
    const V less = T(1) - power, more = power + T(1);
    return (more * t - less) / (more - less * t);
}

// --- logarithms -------------------------------------------------------------------------------------

// f - log(1 + f), for f in [-0.3, 1]: with s = f / (2 + f), log(1 + f) = 2 atanh(s) = 2s + s R(s^2) and
// 2s = f - s f, written (as in fdlibm's e_log.c) so that the error of s counts little.
template <class V>
GRUVY_INLINE V log1p_rest(V f) {
    using T = element<V>;
    const V s = f / (T(2) + f), square = s * s, half = T(0.5) * f * f;
    return half - s * (half + square * polynomial(Numbers<T>::atanh_tail, square));
}

// x = 2^k m with m in [sqrt(1/2), sqrt(2)); k + bias is made a float by putting it into the low bits of
// 2^mantissa.
template <class V>
GRUVY_INLINE V v_log(V x) {
    using T = element<V>;
    using N = Numbers<T>;
    using B = element<bits<V>>;
    constexpr B root = sizeof(T) == 4 ? B(0x3F3504F3) : B(0x3FE6A09E667F3BCD), one = B(N::bias) << N::mantissa;
    const auto denormal = x < splat(N::least_normal);
    const bits<V> shifted = (bits<V>)select(denormal, x / N::ulp, x) + (one - root);
    const V exponent = (V)(shifted >> N::mantissa | (bits<V>)splat(1 / N::ulp));
    const V k = exponent - select(denormal, splat(1 / N::ulp + N::bias + N::mantissa), splat(1 / N::ulp + N::bias));
    const V f = (V)((shifted & ((B(1) << N::mantissa) - 1)) + root) - T(1);
    V y = k * N::ln2_high + (f - (log1p_rest(f) - k * N::ln2_low));
    y = select(x < splat(N::infinity), y, x);  // infinity and NaN
    y = select(x < V{}, splat(N::nan), y);
    return select(x == V{}, splat(-N::infinity), y);
}

// log(1 + e^x) = max(x, 0) + log(1 + e^-|x|)
template <class V>
GRUVY_INLINE V v_softplus(V x) {
    const V e = v_exp(-v_abs(x));
    return v_relu(x) + (e - log1p_rest(e));
}

}  // namespace
}  // namespace gruvy

#undef GRUVY_INTRINSIC
