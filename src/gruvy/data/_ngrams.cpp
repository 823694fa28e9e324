// Hashed token n-grams of many documents. gruvy/data/ngrams.py documents the hash and the layout,
// checks every argument, and holds the NumPy implementation that agrees with this one bit by bit.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <nanobind/nanobind.h>

namespace {

constexpr std::uint64_t golden_gamma = 0x9E3779B97F4A7C15u;

// Finaliser of splitmix64 (Steele, Lea & Flood 2014; variant 13 of Stafford's mixers).
inline std::uint64_t mix(std::uint64_t z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

// Radix sort of numbers from 0 to `largest`, a byte at a time: on the few hundred n-grams of a document,
// six times as fast as std::sort.
void sort_buckets(std::int32_t* first, std::int32_t* last, std::uint32_t largest,
                  std::vector<std::int32_t>& scratch) {
    const std::size_t size = static_cast<std::size_t>(last - first);
    scratch.resize(std::max(scratch.size(), size));
    std::int32_t* from = first;
    std::int32_t* to = scratch.data();
    for (int shift = 0; shift < 32 && largest >> shift != 0; shift += 8) {
        const auto digit = [shift](std::int32_t bucket) { return (bucket >> shift) & 0xFF; };
        std::array<std::size_t, 256> place{};
        for (std::size_t i = 0; i < size; ++i) ++place[digit(from[i])];
        std::size_t below = 0;
        for (std::size_t& count : place) below += std::exchange(count, below);
        for (std::size_t i = 0; i < size; ++i) to[place[digit(from[i])]++] = from[i];
        std::swap(from, to);
    }
    if (from != first) std::copy_n(from, size, first);
}

}  // namespace

// `indices` has room for every n-gram of every document: a row is written, sorted and made unique
// where it belongs, and the next one starts at its end, never past the room its own n-grams have.
extern "C" void gruvy_ngram_features(const std::int32_t* ids, const std::int64_t* offsets,
                                     std::int64_t n_docs, std::int32_t max_n, std::uint64_t num_buckets,
                                     std::int32_t* indices, std::int64_t* indptr) {
    std::vector<std::int32_t> scratch;
    std::int32_t* row = indices;
    indptr[0] = 0;
    for (std::int64_t doc = 0; doc < n_docs; ++doc) {
        const std::int32_t* const end = ids + offsets[doc + 1];
        std::int32_t* out = row;
        for (const std::int32_t* start = ids + offsets[doc]; start < end; ++start) {
            const std::int64_t longest = std::min<std::int64_t>(max_n, end - start);
            std::uint64_t hash = 0;
            for (std::int64_t n = 1; n <= longest; ++n) {
                hash = mix(hash + static_cast<std::uint64_t>(n) * golden_gamma +
                           static_cast<std::uint64_t>(start[n - 1]));
                *out++ = static_cast<std::int32_t>(hash % num_buckets);
            }
        }
        sort_buckets(row, out, static_cast<std::uint32_t>(num_buckets - 1), scratch);
        row = std::unique(row, out);
        indptr[doc + 1] = row - indices;
    }
}

NB_MODULE(_ngrams, module) {
    namespace nb = nanobind;
    module.def(
        "ngram_features",
        [](std::uintptr_t ids, std::uintptr_t offsets, std::int64_t n_docs, std::int32_t max_n,
           std::uint64_t num_buckets, std::uintptr_t indices, std::uintptr_t indptr) {
            gruvy_ngram_features(reinterpret_cast<const std::int32_t*>(ids),
                                 reinterpret_cast<const std::int64_t*>(offsets), n_docs, max_n, num_buckets,
                                 reinterpret_cast<std::int32_t*>(indices),
                                 reinterpret_cast<std::int64_t*>(indptr));
        },
        nb::call_guard<nb::gil_scoped_release>(), nb::arg("ids"), nb::arg("offsets"), nb::arg("n_docs"),
        nb::arg("max_n"), nb::arg("num_buckets"), nb::arg("indices"), nb::arg("indptr"),
        "Addresses of the arrays that gruvy.data.ngrams has checked and allocated.");
}
