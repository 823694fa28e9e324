// Walking along a row: whole vectors, then what is left of it.
#pragma once

#include "vector.h"

namespace gruvy {
namespace {

struct Whole {};
struct Part {
    int n;
};

// Calls f(column, Whole) for each whole vector of the columns, and f(column, Part) for the rest.
template <class T, class F>
GRUVY_INLINE void columns(int first, int last, F&& f) {
    int c = first;
    for (; c + Vector<T>::lanes <= last; c += Vector<T>::lanes) f(c, Whole{});
    if (c < last) f(c, Part{last - c});
}

// Rows of the caller's tensors are not padded.
template <class T>
GRUVY_INLINE vec<T> load_row(const T* from, Whole) { return load<T>(from); }
template <class T>
GRUVY_INLINE vec<T> load_row(const T* from, Part part) { return load_part<T>(from, part.n); }
template <class T>
GRUVY_INLINE void store_row(T* to, vec<T> x, Whole) { store(to, x); }
template <class T>
GRUVY_INLINE void store_row(T* to, vec<T> x, Part part) { store_part(to, x, part.n); }

// Comparisons: masks where they are computed, 1 or 0 where they are kept.
template <class T>
GRUVY_INLINE vec<T> as_number(mask<T> m) { return select(m, splat<T>(1), splat<T>(0)); }
template <class T>
GRUVY_INLINE vec<T> as_number(vec<T> x) { return x; }
template <class T>
GRUVY_INLINE mask<T> as_mask(mask<T> m) { return m; }
template <class T>
GRUVY_INLINE mask<T> as_mask(vec<T> x) { return x > splat<T>(0); }

// What counts in a sum: padding may hold anything.
template <class T>
GRUVY_INLINE vec<T> keep(vec<T> x, Whole) { return x; }
template <class T>
GRUVY_INLINE vec<T> keep(vec<T> x, Part part) {
    for (int i = part.n; i < Vector<T>::lanes; ++i) x[i] = 0;
    return x;
}

}  // namespace
}  // namespace gruvy
