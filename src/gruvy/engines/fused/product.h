// Matrix products: a few rows times a packed panel of a matrix, held in registers.
#pragma once

#include <algorithm>

#include "vector.h"

namespace gruvy {
namespace {

// A tile is kRows x 2 vectors of accumulators: as many as the registers hold beside the operands.
#if defined(__AVX512F__)
constexpr int kRows = 8;
#elif defined(__AVX2__)
constexpr int kRows = 6;
#elif defined(__aarch64__)
constexpr int kRows = 8;
#else
constexpr int kRows = 4;
#endif
template <class T>
constexpr int kColumns = 2 * Vector<T>::lanes;

template <class T>
int panels(int columns) {
    return (columns + kColumns<T> - 1) / kColumns<T>;
}

template <class T>
int padded(int columns) {
    return panels<T>(columns) * kColumns<T>;
}

// c (+)= a * panel, for ROWS rows of a (depth long) and one panel (depth x kColumns). With few rows the depth is
// dealt to several accumulators, so that one addition need not wait for the one before.
template <class T, int ROWS>
__attribute__((noinline)) void tile(int depth, const T* a, std::ptrdiff_t lda, const T* panel, T* c, std::ptrdiff_t ldc, bool add) {
    constexpr int lanes = Vector<T>::lanes, ways = ROWS == 1 ? 4 : ROWS <= 3 ? 2 : 1;
    vec<T> sum[ways][ROWS][2];
#pragma GCC unroll 8
    for (int w = 0; w < ways; ++w)
#pragma GCC unroll 8
        for (int i = 0; i < ROWS; ++i) {
            const bool start = add && w == 0;
            sum[w][i][0] = start ? load<T>(c + i * ldc) : splat<T>(0);
            sum[w][i][1] = start ? load<T>(c + i * ldc + lanes) : splat<T>(0);
        }
    int k = 0;
    for (; k + ways <= depth; k += ways) {
#pragma GCC unroll 8
        for (int w = 0; w < ways; ++w) {
            const vec<T> left = load<T>(panel), right = load<T>(panel + lanes);
            panel += kColumns<T>;
#pragma GCC unroll 8
            for (int i = 0; i < ROWS; ++i) {
                const vec<T> x = splat<T>(a[i * lda + k + w]);
                sum[w][i][0] += x * left;
                sum[w][i][1] += x * right;
            }
        }
    }
    if constexpr (ways > 1) {
        for (; k < depth; ++k, panel += kColumns<T>)
#pragma GCC unroll 8
            for (int i = 0; i < ROWS; ++i) {
                const vec<T> x = splat<T>(a[i * lda + k]);
                sum[0][i][0] += x * load<T>(panel);
                sum[0][i][1] += x * load<T>(panel + lanes);
            }
    }
#pragma GCC unroll 8
    for (int w = 1; w < ways; ++w)
#pragma GCC unroll 8
        for (int i = 0; i < ROWS; ++i) {
            sum[0][i][0] += sum[w][i][0];
            sum[0][i][1] += sum[w][i][1];
        }
#pragma GCC unroll 8
    for (int i = 0; i < ROWS; ++i) {
        store(c + i * ldc, sum[0][i][0]);
        store(c + i * ldc + lanes, sum[0][i][1]);
    }
}

// c += a^T * panel: row i of c is column i of a.
template <class T, int ROWS>
__attribute__((noinline)) void outer(int depth, const T* a, std::ptrdiff_t lda, const T* panel, T* c, std::ptrdiff_t ldc) {
    constexpr int lanes = Vector<T>::lanes;
    vec<T> sum[ROWS][2];
#pragma GCC unroll 8
    for (int i = 0; i < ROWS; ++i) {
        sum[i][0] = load<T>(c + i * ldc);
        sum[i][1] = load<T>(c + i * ldc + lanes);
    }
    for (int k = 0; k < depth; ++k, panel += kColumns<T>, a += lda) {
        const vec<T> left = load<T>(panel), right = load<T>(panel + lanes);
#pragma GCC unroll 8
        for (int i = 0; i < ROWS; ++i) {
            const vec<T> x = splat<T>(a[i]);
            sum[i][0] += x * left;
            sum[i][1] += x * right;
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < ROWS; ++i) {
        store(c + i * ldc, sum[i][0]);
        store(c + i * ldc + lanes, sum[i][1]);
    }
}

// Calls f(integral constant) for n in 1..kRows.
template <class F, int N = kRows>
void with_rows(int n, F&& f) {
    if constexpr (N >= 1) {
        if (n == N)
            f(std::integral_constant<int, N>());
        else
            with_rows<F, N - 1>(n, static_cast<F&&>(f));
    }
}

// Any number of rows, in tiles of nearly equal height.
template <class T>
void multiply(int rows, int depth, const T* a, std::ptrdiff_t lda, const T* panel, T* c, std::ptrdiff_t ldc, bool add) {
    for (int tiles = (rows + kRows - 1) / kRows; tiles > 0; --tiles) {
        const int n = (rows + tiles - 1) / tiles;
        with_rows(n, [&](auto count) { tile<T, decltype(count)::value>(depth, a, lda, panel, c, ldc, add); });
        a += n * lda;
        c += n * ldc;
        rows -= n;
    }
}

template <class T>
void multiply_transposed(int rows, int depth, const T* a, std::ptrdiff_t lda, const T* panel, T* c, std::ptrdiff_t ldc) {
    for (int tiles = (rows + kRows - 1) / kRows; tiles > 0; --tiles) {
        const int n = (rows + tiles - 1) / tiles;
        with_rows(n, [&](auto count) { outer<T, decltype(count)::value>(depth, a, lda, panel, c, ldc); });
        a += n;
        c += n * ldc;
        rows -= n;
    }
}

// Rows become columns, of as many rows as a vector has lanes: each pass interleaves the first half with the second.
template <class T>
GRUVY_INLINE void transpose(vec<T> (&x)[Vector<T>::lanes]) {
    constexpr int lanes = Vector<T>::lanes, half = lanes / 2;
    mask<T> low, high;
    for (int i = 0; i < half; ++i) {
        low[2 * i] = i, low[2 * i + 1] = lanes + i;
        high[2 * i] = half + i, high[2 * i + 1] = lanes + half + i;
    }
#pragma GCC unroll 4
    for (int pass = 1; pass < lanes; pass *= 2) {
        vec<T> y[lanes];
#pragma GCC unroll 8
        for (int i = 0; i < half; ++i) {
#if defined(__clang__)
            for (int k = 0; k < lanes; ++k) {
                y[2 * i][k] = k % 2 ? x[i + half][k / 2] : x[i][k / 2];
                y[2 * i + 1][k] = k % 2 ? x[i + half][half + k / 2] : x[i][half + k / 2];
            }
#else
            y[2 * i] = __builtin_shuffle(x[i], x[i + half], low);
            y[2 * i + 1] = __builtin_shuffle(x[i], x[i + half], high);
#endif
        }
#pragma GCC unroll 8
        for (int i = 0; i < lanes; ++i) x[i] = y[i];
    }
}

// One panel of a matrix (rows x columns, row after row) for result = argument * matrix^T: panel[k][j] is
// matrix[row + j][k]; or, transposed, for argument * matrix: matrix[k][row + j]. Missing columns are 0.
template <class T>
void pack(const T* matrix, int rows, int columns, bool transposed, int first, T* panel) {
    constexpr int width = kColumns<T>;
    const int n = std::min(width, (transposed ? columns : rows) - first), depth = transposed ? rows : columns;
    if (transposed) {
        for (int k = 0; k < depth; ++k) {
            const T* from = matrix + static_cast<std::ptrdiff_t>(k) * columns + first;
            T* to = panel + static_cast<std::ptrdiff_t>(k) * width;
            for (int j = 0; j < n; ++j) to[j] = from[j];
            for (int j = n; j < width; ++j) to[j] = 0;
        }
        return;
    }
    constexpr int lanes = Vector<T>::lanes;
    int k = 0;
    for (; n == width && k + lanes <= depth; k += lanes)
        for (int j = 0; j < width; j += lanes) {
            vec<T> square[lanes];
            for (int i = 0; i < lanes; ++i)
                square[i] = load<T>(matrix + static_cast<std::ptrdiff_t>(first + j + i) * columns + k);
            transpose<T>(square);
            for (int i = 0; i < lanes; ++i) store(panel + static_cast<std::ptrdiff_t>(k + i) * width + j, square[i]);
        }
    for (int j = 0; j < width; ++j)
        for (int i = k; i < depth; ++i)
            panel[static_cast<std::ptrdiff_t>(i) * width + j] =
                j < n ? matrix[static_cast<std::ptrdiff_t>(first + j) * columns + i] : T(0);
}

}  // namespace
}  // namespace gruvy
