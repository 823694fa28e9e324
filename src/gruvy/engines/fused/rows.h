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
