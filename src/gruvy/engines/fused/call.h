// What a call of the runtime is given.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gruvy {

template <class T>
struct Tensor {  // strides in elements; the units of a row are contiguous
    T* data;
    std::ptrdiff_t time, row;
};

template <class T>
struct Call {
    int threads, steps, batch;
    int first, last;              // the steps that are run, of all, as each sequence counts them
    const std::int64_t* lengths;  // null when all steps of all sequences are real
    bool reverse;                 // each sequence from its own end
    bool recording;
    const int* units;  // of each domain
    // forward: inputs, initial states, output, final states, gates
    // backward: inputs, initial states, output, gradients of output and of final states, of inputs and initial states
    const Tensor<T>* user;
    const T* const* matrix;
    const T* const* vector;
    T* saved;  // null: nothing is saved
    T* const* matrix_gradient;
    T* const* vector_gradient;
};

}  // namespace gruvy
