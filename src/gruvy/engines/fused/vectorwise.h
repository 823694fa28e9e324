// Products of a matrix, as it stands in the caller's memory, with a single vector.
#pragma once

#include "product.h"

namespace gruvy {
namespace {

// The sums of neighbouring lanes, those of a before those of b.
template <class T>
GRUVY_INLINE vec<T> fold(vec<T> a, vec<T> b) {
    constexpr int lanes = Vector<T>::lanes;
    mask<T> even, odd;
    for (int i = 0; i < lanes; ++i) even[i] = 2 * i, odd[i] = 2 * i + 1;
    return __builtin_shuffle(a, b, even) + __builtin_shuffle(a, b, odd);
}

// to[i] is the sum of the lanes of x[i].
template <class T, int COUNT>
GRUVY_INLINE void sums(vec<T> (&x)[COUNT], T* to) {
#if defined(__clang__)
    for (int i = 0; i < COUNT; ++i) to[i] = sum_lanes(x[i]);
#else
    constexpr int lanes = Vector<T>::lanes, together = lanes < COUNT ? lanes : COUNT;
#pragma GCC unroll 8
    for (int first = 0; first < COUNT; first += together) {
#pragma GCC unroll 8
        for (int left = lanes, n = together; left > 1; left /= 2) {
            if (n == 1) {
                x[first] = fold<T>(x[first], x[first]);
                continue;
            }
            n /= 2;
#pragma GCC unroll 8
            for (int i = 0; i < n; ++i) x[first + i] = fold<T>(x[first + 2 * i], x[first + 2 * i + 1]);
        }
        if constexpr (together == lanes) store(to + first, x[first]);
        else store_part(to + first, x[first], together);
    }
#endif
}

// result[i] = row i of the matrix * x, for rows first..last.
template <class T>
__attribute__((noinline)) void dots(const T* matrix, int columns, const T* x, int first, int last, T* result) {
    constexpr int lanes = Vector<T>::lanes, count = 8;
    const int whole = columns / lanes * lanes;
    int i = first;
    for (; i + count <= last; i += count) {
        const T* rows = matrix + static_cast<std::ptrdiff_t>(i) * columns;
        vec<T> sum[count];
#pragma GCC unroll 8
        for (int r = 0; r < count; ++r) sum[r] = splat<T>(0);
        int k = 0;
        for (; k < whole; k += lanes) {
            const vec<T> right = load<T>(x + k);
#pragma GCC unroll 8
            for (int r = 0; r < count; ++r)
                sum[r] += load<T>(rows + static_cast<std::ptrdiff_t>(r) * columns + k) * right;
        }
        if (k < columns) {
            const vec<T> right = load_part<T>(x + k, columns - k);
#pragma GCC unroll 8
            for (int r = 0; r < count; ++r)
                sum[r] += load_part<T>(rows + static_cast<std::ptrdiff_t>(r) * columns + k, columns - k) * right;
        }
        sums<T, count>(sum, result + i);
    }
    for (; i < last; ++i) {
        const T* row = matrix + static_cast<std::ptrdiff_t>(i) * columns;
        vec<T> sum = splat<T>(0);
        int k = 0;
        for (; k < whole; k += lanes) sum += load<T>(row + k) * load<T>(x + k);
        if (k < columns) sum += load_part<T>(row + k, columns - k) * load_part<T>(x + k, columns - k);
        result[i] = sum_lanes(sum);
    }
}

}  // namespace
}  // namespace gruvy
