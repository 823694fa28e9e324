// vector_check float|double FUNCTION < in > out: a function of vector.h, element by element, over binary
// numbers. A function of two vectors has its operands in the two halves of the input. `sum` writes one
// number per vector.
//
// Both arrays end where memory ends, so that touching anything beyond a partial vector is a crash.

#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include "vector.h"

using namespace gruvy;

template <class T>
T* array_at_the_end_of_memory(std::size_t size) {
    const std::size_t page = sysconf(_SC_PAGESIZE), bytes = size * sizeof(T);
    const std::size_t pages = (bytes + page - 1) / page * page;
    char* const memory = static_cast<char*>(
        mmap(nullptr, pages + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    mprotect(memory + pages, page, PROT_NONE);
    return reinterpret_cast<T*>(memory + pages - bytes);
}

template <class T>
T* copied(const T* from, std::size_t size) {
    T* const to = array_at_the_end_of_memory<T>(size);
    std::memcpy(to, from, size * sizeof(T));
    return to;
}

template <class T, class F>
int map(const T* x, const T* y, int size, F f) {
    constexpr int lanes = Vector<T>::lanes;
    T* const out = array_at_the_end_of_memory<T>(size);
    int i = 0;
    for (; i + lanes <= size; i += lanes) store(out + i, f(load(x + i), load(y + i)));
    if (i < size) store_part(out + i, f(load_part(x + i, size - i), load_part(y + i, size - i)), size - i);
    std::fwrite(out, sizeof(T), size, stdout);
    return 0;
}

template <class T>
int sums(const T* x, int size) {
    for (int i = 0; i < size; i += Vector<T>::lanes) {
        const T sum = sum_lanes(size - i < Vector<T>::lanes ? load_part(x + i, size - i) : load(x + i));
        std::fwrite(&sum, sizeof sum, 1, stdout);
    }
    return 0;
}

template <class T>
int run(const std::string& function) {
    std::vector<T> in;
    for (T x; std::fread(&x, sizeof x, 1, stdin) == 1;) in.push_back(x);
    const int size = static_cast<int>(in.size());
    const T* const x = copied(in.data(), size);
    if (function == "sum") return sums(x, size);

#define UNARY(name) \
    if (function == #name) return map(x, x, size, [](vec<T> a, vec<T>) { return v_##name(a); })
    UNARY(sigmoid);
    UNARY(tanh);
    UNARY(relu);
    UNARY(exp);
    UNARY(expm1);
    UNARY(log);
    UNARY(sqrt);
    UNARY(softplus);
    UNARY(abs);

    const int half = size / 2;
    const T *const left = copied(x, half), *const right = x + half;
#define BINARY(name, f) \
    if (function == #name) return map(left, right, half, [](vec<T> a, vec<T> b) { return f; })
    BINARY(maximum, v_maximum(a, b));
    BINARY(minimum, v_minimum(a, b));
    BINARY(select, select(a < b, b, a));
    return 2;
}

int main(int, char** arguments) {
    return std::string(arguments[1]) == "float" ? run<float>(arguments[2]) : run<double>(arguments[2]);
}
