// What the runtime (runtime.h) and the generated code of a cell know of one another.
//
// A cell has a forward and a backward pass. A pass computes a step as a few stages; a stage is matrix products
// followed by a pointwise function, for one size of vectors at a time. Everything a pass reads or writes is an Array.
#pragma once

#include <cstddef>

namespace gruvy {

// Where an array lives, and so where the row of a sequence is found at a step.
enum Storage : int {
    USER,       // a tensor of the caller: rows at their own offsets
    STATE_OLD,  // a state (backward: its adjoint) as the step finds it,
    STATE_NEW,  //   and as the step leaves it
    CHUNK,      // kept for a chunk of steps
    SAVED,      // kept from forward to backward
    STEP,       // kept from one stage to a later one
    SCRATCH,    // product results, for the pointwise function that follows
    VECTOR,     // a parameter: the same row for all
    SUM,        // the gradient of a parameter: summed over all rows
};

constexpr int kScalar = 0;  // the domain of single numbers; a vector that has one unit is none of them

struct Array {
    int storage;
    int index;   // which of its kind
    int domain;  // which size its rows have
    int before;  // USER: when not -1, the row of the step before, and at the first step that of the tensor `before`
};

struct Product {  // result (+)= argument * matrix^T, or argument * matrix when transposed
    int matrix, transposed, argument, result, add;
};

template <class T>
struct Frame {  // the arrays as a pointwise function sees them at one step
    T** p;
    const std::ptrdiff_t** offset;  // USER and SAVED: of each row
    const std::ptrdiff_t* ld;       // the others: from row to row
    const int* units;               // of each domain
    bool saving, recording;         // whether SAVED arrays and gates are wanted
};

template <class T>
using Pointwise = void (*)(const Frame<T>&, int row0, int row1, int column0, int column1);

template <class T>
struct Block {
    int domain, first, last;  // its products
    Pointwise<T> pointwise;
};

struct Stage {
    int first, last;  // its blocks
    int barrier;      // its products read whole rows that other threads may have written
};

struct Gradient {  // of a matrix: adjoint^T * argument, summed over steps and sequences
    int matrix, adjoint, argument;
};

template <class T>
struct Pass {
    int arrays, befores, stages, afters, gradients, chunks, saved, steps, scratch, reduces;
    const Array* array;
    const Product* before;  // products of inputs, for all steps of a chunk at once
    const Stage* stage;
    const Block<T>* block;
    const Product* product;
    const Product* after;  // gradients of inputs, for all steps of a chunk at once
    const Gradient* gradient;
};

template <class T>
struct Cell {
    int domains, inputs, states, matrices, vectors, gates, output;  // output: its domain
    const int *input, *state, *vector, *gate;                       // domains
    const int *rows, *columns;                                      // domains, of each matrix
    Pass<T> forward, backward;
};

}  // namespace gruvy
