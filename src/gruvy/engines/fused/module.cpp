// Between Python and the kernels: loads the library of the best instruction set, and calls it with raw pointers.
// It neither includes nor links torch, so one build serves every version.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
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
    int (*step_float)(const void*, const void*) = nullptr;
    int (*step_double)(const void*, const void*) = nullptr;
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
    as(library.step_float, "gruvy_step_float");
    as(library.step_double, "gruvy_step_double");
    as(library.take, "gruvy_take");
    as(library.give, "gruvy_give");
}

std::vector<std::string> instruction_sets() {
    std::vector<std::string> found;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
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
    call.first = static_cast<int>(read.next());
    call.last = static_cast<int>(read.next());
    call.lengths = read.pointer<const std::int64_t>();
    for (int b = 0; call.lengths && b < call.batch; ++b)
        if (call.lengths[b] < 0 || call.lengths[b] > call.steps)
            throw std::invalid_argument("lengths run outside 0 to " + std::to_string(call.steps) + ", the steps of the input");
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

// One call of a method without arguments, or of a function of one, of torch's.
nb::object method(nb::handle object, nb::handle name) {
    PyObject* result = PyObject_CallMethodNoArgs(object.ptr(), name.ptr());
    if (!result) throw nb::python_error();
    return nb::steal(result);
}
nb::object attribute(nb::handle object, nb::handle name) {
    PyObject* result = PyObject_GetAttr(object.ptr(), name.ptr());
    if (!result) throw nb::python_error();
    return nb::steal(result);
}

// The steps of one layer: from Python's tensors to the kernel and back with as few calls of Python as there can be.
// Parameters are read where they are, so that changed ones count; when one has moved, the step is declined.
class Step {
  public:
    // places: for each matrix, then each vector, the parameter it is in and its distance from its start, in bytes.
    Step(std::uintptr_t cell, std::vector<int> units, std::vector<std::pair<int, std::ptrdiff_t>> places,
         std::vector<std::uintptr_t> parameters, nb::object dtype, bool is_double, nb::object torch)
        : cell_(reinterpret_cast<const void*>(cell)), units_(std::move(units)), parameters_(std::move(parameters)),
          is_double_(is_double), dtype_(std::move(dtype)),
          empty_like_(torch.attr("empty_like")), threads_(torch.attr("get_num_threads")), tensor_(torch.attr("Tensor")),
          address_(nb::str("data_ptr")), type_(nb::str("dtype")), shape_(nb::str("shape")),
          contiguous_(nb::str("is_contiguous")), cpu_(nb::str("is_cpu")) {
        for (const auto& [parameter, at] : places) pointers_.push_back(parameters_.at(parameter) + at);
        for (int n : units_) large_ = large_ || n > kOneThread;
    }

    // The output and the final states; None for what is not taken, False when a parameter has moved.
    nb::object run(nb::handle x, nb::handle states, nb::handle parameters) {
        return is_double_ ? run_as<double>(x, states, parameters) : run_as<float>(x, states, parameters);
    }

  private:
    bool is_tensor(nb::handle object) const { return reinterpret_cast<PyObject*>(Py_TYPE(object.ptr())) == tensor_.ptr(); }
    std::uintptr_t address(nb::handle tensor) const {
        return static_cast<std::uintptr_t>(PyLong_AsUnsignedLongLong(method(tensor, address_).ptr()));
    }
    // Whether a tensor has this type, units in its last dimension, and nothing between its rows.
    bool fits(nb::handle tensor, nb::handle shape, int units) const {
        const Py_ssize_t n = PyTuple_GET_SIZE(shape.ptr());
        return n > 0 && attribute(tensor, cpu_).ptr() == Py_True && PyLong_AsLong(PyTuple_GET_ITEM(shape.ptr(), n - 1)) == units &&
               attribute(tensor, type_).ptr() == dtype_.ptr() && method(tensor, contiguous_).ptr() == Py_True;
    }
    bool unmoved(nb::handle parameters) const {
        Py_ssize_t at = 0;
        PyObject *name, *parameter;
        std::size_t i = 0;
        while (PyDict_Next(parameters.ptr(), &at, &name, &parameter)) {
            if (i == parameters_.size() || parameter == Py_None || address(parameter) != parameters_[i]) return false;
            ++i;
        }
        return i == parameters_.size();
    }

    template <class T>
    nb::object run_as(nb::handle x, nb::handle states, nb::handle parameters) {
        const auto& cell = *static_cast<const Cell<T>*>(cell_);
        if (!unmoved(parameters)) return nb::bool_(false);
        if (!is_tensor(x)) return nb::none();
        const nb::object shape = attribute(x, shape_);
        const Py_ssize_t dimensions = PyTuple_GET_SIZE(shape.ptr());
        if (dimensions < 1 || dimensions > 2 || !fits(x, shape, units_[cell.input[0]])) return nb::none();
        const long batch = dimensions == 1 ? 1 : PyLong_AsLong(PyTuple_GET_ITEM(shape.ptr(), 0));
        if (batch < 1 || batch > kBatch) return nb::none();
        const bool several = PyTuple_Check(states.ptr()) || PyList_Check(states.ptr());
        if ((several ? PySequence_Fast_GET_SIZE(states.ptr()) : 1) != cell.states) return nb::none();

        std::vector<Tensor<T>> user(cell.inputs + 2 * cell.states + 1 + cell.gates);
        user[0] = {reinterpret_cast<T*>(address(x)), 0, units_[cell.input[0]]};
        nb::object finals = several ? nb::steal(PyTuple_New(cell.states)) : nb::object();
        for (int s = 0; s < cell.states; ++s) {
            const nb::handle state = several ? nb::handle(PySequence_Fast_GET_ITEM(states.ptr(), s)) : states;
            const int units = units_[cell.state[s]];
            if (!is_tensor(state)) return nb::none();
            const nb::object wide = attribute(state, shape_);
            const Py_ssize_t n = PyTuple_GET_SIZE(wide.ptr());
            if (n != dimensions + 1 || PyLong_AsLong(PyTuple_GET_ITEM(wide.ptr(), 0)) != 1 || !fits(state, wide, units) ||
                (n == 3 && PyLong_AsLong(PyTuple_GET_ITEM(wide.ptr(), 1)) != batch))
                return nb::none();
            nb::object made = nb::steal(PyObject_CallOneArg(empty_like_.ptr(), state.ptr()));
            if (!made.is_valid()) throw nb::python_error();
            user[1 + s] = {reinterpret_cast<T*>(address(state)), 0, units};
            user[2 + cell.states + s] = {reinterpret_cast<T*>(address(made)), 0, units};
            if (several) PyTuple_SET_ITEM(finals.ptr(), s, made.release().ptr());
            else finals = std::move(made);
        }
        nb::object output;  // a tensor of its own: the caller may change it
        if (units_[cell.output] == units_[cell.input[0]]) {
            output = nb::steal(PyObject_CallOneArg(empty_like_.ptr(), x.ptr()));
            if (!output.is_valid()) throw nb::python_error();
        } else {
            nb::object wanted = nb::steal(PySequence_List(shape.ptr()));
            wanted[nb::int_(dimensions - 1)] = units_[cell.output];
            output = x.attr("new_empty")(wanted);
        }
        user[1 + cell.states] = {reinterpret_cast<T*>(address(output)), 0, units_[cell.output]};

        Call<T> call{};
        call.threads = forked || !large_ ? 1 : nb::cast<int>(threads_());
        call.steps = 1;
        call.batch = static_cast<int>(batch);
        call.units = units_.data();
        call.user = user.data();
        call.matrix = reinterpret_cast<const T* const*>(pointers_.data());
        call.vector = call.matrix + cell.matrices;
        if ((sizeof(T) == 8 ? library.step_double : library.step_float)(&cell, &call)) throw std::bad_alloc();
        return nb::make_tuple(output, finals);
    }

    static constexpr int kOneThread = 96;  // units for which more threads are never worth asking for
    static constexpr long kBatch = 8;  // above, whole sequences of one step are faster
    const void* cell_;
    std::vector<int> units_;
    std::vector<std::uintptr_t> parameters_, pointers_;
    bool is_double_, large_ = false;
    nb::object dtype_, empty_like_, threads_, tensor_, address_, type_, shape_, contiguous_, cpu_;
};

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
    nb::class_<Step>(m, "Step")
        .def(nb::init<std::uintptr_t, std::vector<int>, std::vector<std::pair<int, std::ptrdiff_t>>,
                      std::vector<std::uintptr_t>, nb::object, bool, nb::object>())
        .def("__call__", &Step::run, nb::arg("x"), nb::arg("states"), nb::arg("parameters"))
        .def("__deepcopy__", [](nb::handle, nb::handle) { return nb::none(); })  // a copy prepares its own
        .def("__reduce__", [](nb::handle) { return nb::make_tuple(nb::none().type(), nb::make_tuple()); });
    m.def("instruction_sets", &instruction_sets, "What this processor can run, the best first.");
    m.def("load", &load, nb::arg("path"), "Load the library of kernels; a RuntimeError says why it cannot be.");
    m.def("take", &take, nb::arg("bytes"), "Uninitialised memory from the pool, as a DLPack array.");
    m.def(
        "run",
        [](bool is_double, std::uintptr_t cell, bool backward, nb::handle arguments) {
            is_double ? run<double>(cell, backward, arguments, library.run_double)
                      : run<float>(cell, backward, arguments, library.run_float);
        },
        nb::arg("is_double"), nb::arg("cell"), nb::arg("backward"), nb::arg("arguments"), "Run a pass of a cell.");
}
