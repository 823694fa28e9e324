// The functions of the library, built once for each instruction set.
#include "runtime.h"
#include "step.h"

namespace gruvy {
namespace {

template <class T>
int run(const void* cell, const void* call, bool backward) {
    try {
        const auto& c = *static_cast<const Cell<T>*>(cell);
        const auto& with = *static_cast<const Call<T>*>(call);
        const int threads = Run<T>(c, with, backward).useful_threads();
        if (!Run<T>(c, with, backward).go(threads)) Run<T>(c, with, backward).go(1);
        return 0;
    } catch (const std::bad_alloc&) {
        return 1;
    }
}

template <class T>
int step(const void* cell, const void* call) {
    try {
        thread_local Step<T> arrays;
        arrays.run(*static_cast<const Cell<T>*>(cell), *static_cast<const Call<T>*>(call));
        return 0;
    } catch (const std::bad_alloc&) {
        return 1;
    }
}

}  // namespace
}  // namespace gruvy

extern "C" {
__attribute__((visibility("default"))) int gruvy_run_float(const void* cell, const void* call, int backward) {
    return gruvy::run<float>(cell, call, backward);
}
__attribute__((visibility("default"))) int gruvy_run_double(const void* cell, const void* call, int backward) {
    return gruvy::run<double>(cell, call, backward);
}
__attribute__((visibility("default"))) int gruvy_step_float(const void* cell, const void* call) {
    return gruvy::step<float>(cell, call);
}
__attribute__((visibility("default"))) int gruvy_step_double(const void* cell, const void* call) {
    return gruvy::step<double>(cell, call);
}
__attribute__((visibility("default"))) void* gruvy_take(std::size_t bytes) {
    try {
        return gruvy::take(bytes);
    } catch (const std::bad_alloc&) {
        return nullptr;
    }
}
__attribute__((visibility("default"))) void gruvy_give(void* block) { gruvy::give(block); }
}
