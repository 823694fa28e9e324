// Between Python and the kernels: loads the library of the best instruction set, and calls it with raw pointers.
// It neither includes nor links torch, so one build serves every version.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <dlfcn.h>
#include <pthread.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "abi.h"
#include "call.h"

namespace nb = nanobind;
using gruvy::Call, gruvy::Cell, gruvy::Tensor;

namespace {

struct Library {
    int (*run_float)(const void*, const void*, int) = nullptr;
    int (*run_double)(const void*, const void*, int) = nullptr;
    void* (*take)(std::size_t) = nullptr;
    void (*give)(void*) = nullptr;
} library;

bool forked = false;  // the threads of the parent are not there in a child

void* symbol(void* handle, const char* name) {
    void* found = dlsym(handle, name);
    if (!found) throw std::runtime_error(dlerror());
    return found;
}

void load(const std::string& path) {
    void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!handle) throw std::runtime_error(dlerror());
    auto as = [&](auto& function, const char* name) { function = reinterpret_cast<std::decay_t<decltype(function)>>(symbol(handle, name)); };
    as(library.run_float, "gruvy_run_float");
    as(library.run_double, "gruvy_run_double");
    as(library.take, "gruvy_take");
    as(library.give, "gruvy_give");
}

std::vector<std::string> instruction_sets() {
    std::vector<std::string> found;
#if defined(__x86_64__)
    __builtin_cpu_init();
    auto has = [](bool feature) { return feature; };
    if (has(__builtin_cpu_supports("avx512f")) && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        found.push_back("x86-64-v4");
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2"))
        found.push_back("x86-64-v3");
    if (__builtin_cpu_supports("sse4.2")) found.push_back("x86-64-v2");
#elif defined(__aarch64__)
    found.push_back("armv8-a");
#endif
    return found;
}

// The call's arguments in one flat sequence of integers; pointers as addresses.
class Reader {
  public:
    explicit Reader(nb::handle sequence) : fast_(nb::steal(PySequence_Fast(sequence.ptr(), "expected a sequence"))) {}
    std::int64_t next() {
        if (at_ >= PySequence_Fast_GET_SIZE(fast_.ptr())) throw std::runtime_error("too few arguments");
        return PyLong_AsLongLong(PySequence_Fast_GET_ITEM(fast_.ptr(), at_++));
    }
    template <class P>
    P* pointer() { return reinterpret_cast<P*>(static_cast<std::uintptr_t>(next())); }
    bool done() const { return at_ == PySequence_Fast_GET_SIZE(fast_.ptr()); }

  private:
    nb::object fast_;
    Py_ssize_t at_ = 0;
};

template <class T>
void run(std::uintptr_t address, bool backward, nb::handle arguments, int (*kernel)(const void*, const void*, int)) {
    const auto* cell = reinterpret_cast<const Cell<T>*>(address);
    Reader read(arguments);
    Call<T> call{};
    call.threads = static_cast<int>(read.next());
    if (forked) call.threads = 1;
    call.steps = static_cast<int>(read.next());
    call.batch = static_cast<int>(read.next());
    call.lengths = read.pointer<const std::int64_t>();
    call.reverse = read.next();
    call.recording = read.next();
    call.saved = read.pointer<T>();
    std::vector<int> units(cell->domains);
    for (int& n : units) n = static_cast<int>(read.next());
    const int once = cell->inputs + cell->states;
    std::vector<Tensor<T>> user(backward ? 2 * once + 2 + cell->states : once + 1 + cell->states + cell->gates);
    for (auto& tensor : user) {
        tensor.data = read.pointer<T>();
        tensor.time = read.next();
        tensor.row = read.next();
    }
    std::vector<const T*> matrix(cell->matrices), vector(cell->vectors);
    std::vector<T*> matrix_gradient(backward ? cell->matrices : 0), vector_gradient(backward ? cell->vectors : 0);
    for (auto& p : matrix) p = read.pointer<const T>();
    for (auto& p : vector) p = read.pointer<const T>();
    for (auto& p : matrix_gradient) p = read.pointer<T>();
    for (auto& p : vector_gradient) p = read.pointer<T>();
    if (!read.done()) throw std::runtime_error("too many arguments");
    if (PyErr_Occurred()) throw nb::python_error();
    call.units = units.data();
    call.user = user.data();
    call.matrix = matrix.data();
    call.vector = vector.data();
    call.matrix_gradient = matrix_gradient.data();
    call.vector_gradient = vector_gradient.data();
    int failed;
    {
        nb::gil_scoped_release release;
        failed = kernel(cell, &call, backward);
    }
    if (failed) throw std::bad_alloc();
}

using Bytes = nb::ndarray<nb::numpy, std::uint8_t, nb::ndim<1>, nb::device::cpu>;

// Memory of the pool that goes back to it when the last reference is gone; it holds anything.
nb::ndarray<std::uint8_t, nb::ndim<1>, nb::device::cpu> take(std::size_t bytes) {
    void* block = library.take(bytes);
    if (!block) throw std::bad_alloc();
    nb::capsule owner(block, [](void* p) noexcept { library.give(p); });
    return nb::ndarray<std::uint8_t, nb::ndim<1>, nb::device::cpu>(block, {bytes}, owner);
}

}  // namespace

NB_MODULE(_fused, m) {
    pthread_atfork(nullptr, nullptr, [] { forked = true; });
    m.def("instruction_sets", &instruction_sets, "What this processor can run, the best first.");
    m.def("load", &load, nb::arg("path"), "Load the library of kernels; OSError-like RuntimeError when it cannot be.");
    m.def("take", &take, nb::arg("bytes"), "Uninitialised memory from the pool, as a DLPack array.");
    m.def(
        "run",
        [](bool is_double, std::uintptr_t cell, bool backward, nb::handle arguments) {
            is_double ? run<double>(cell, backward, arguments, library.run_double)
                      : run<float>(cell, backward, arguments, library.run_float);
        },
        nb::arg("is_double"), nb::arg("cell"), nb::arg("backward"), nb::arg("arguments"), "Run a pass of a cell.");
}
