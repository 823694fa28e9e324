// One step of a few sequences, for streaming: nothing is packed or kept, the matrices are read where they are.
#pragma once

#ifdef _OPENMP
#include <omp.h>
#endif

#include <algorithm>
#include <vector>

#include "abi.h"
#include "call.h"
#include "vectorwise.h"

namespace gruvy {
namespace {

constexpr double kStepWorkPerThread = 150e3;  // multiplications for which a second thread pays its start

// The arrays of a forward pass for one step of one sequence; used again by the thread's next step.
template <class T>
class Step {
  public:
    void run(const Cell<T>& cell, const Call<T>& call) {
        const Pass<T>& pass = cell.forward;
        lay_out(cell, call);
        double work = 0;
        for (int m = 0; m < cell.matrices; ++m) work += double(call.units[cell.rows[m]]) * call.units[cell.columns[m]];
        const int threads = pass.reduces ? 1 : std::max(1, std::min<int>(call.threads, work / kStepWorkPerThread));
        for (int b = 0; b < call.batch; ++b) {
            point(cell, call, b);
#ifdef _OPENMP
            if (threads > 1) {
#pragma omp parallel num_threads(threads)
                part(cell, call, omp_get_thread_num(), omp_get_num_threads());
            } else
#endif
                part(cell, call, 0, 1);
            give_back(cell, call, b);
        }
    }

  private:
    void lay_out(const Cell<T>& cell, const Call<T>& call) {
        const Pass<T>& pass = cell.forward;
        const int lanes = Vector<T>::lanes;
        p_.resize(pass.arrays);
        own_.resize(pass.arrays);
        offset_.assign(pass.arrays, &zero_);
        ld_.assign(pass.arrays, 0);
        std::size_t total = 0;
        for (int a = 0; a < pass.arrays; ++a) {
            own_[a] = total;
            total += (call.units[pass.array[a].domain] + 2 * lanes) / lanes * lanes + lanes;
        }
        if (space_.size() < total + 64) space_.resize(total + 64);
    }

    bool ragged(const Call<T>& call, int domain) const {
        return domain != kScalar && call.units[domain] % Vector<T>::lanes;
    }

    // The caller's rows where whole vectors may be read and written, own ones elsewhere.
    void point(const Cell<T>& cell, const Call<T>& call, int b) {
        const Pass<T>& pass = cell.forward;
        for (int a = 0; a < pass.arrays; ++a) {
            const Array& array = pass.array[a];
            T* own = space_.data() + own_[a];
            const int n = call.units[array.domain];
            const int state = cell.inputs + array.index;
            switch (array.storage) {
                case USER: {
                    const Tensor<T>& user = call.user[array.index];
                    p_[a] = user.data ? user.data + b * user.row : nullptr;
                    break;
                }
                case STATE_OLD: {
                    T* from = call.user[state].data + b * call.user[state].row;
                    p_[a] = ragged(call, array.domain) ? std::copy_n(from, n, own) - n : from;
                    break;
                }
                case STATE_NEW: {
                    const Tensor<T>& to = call.user[cell.states + 1 + state];
                    p_[a] = ragged(call, array.domain) ? own : to.data + b * to.row;
                    break;
                }
                case VECTOR: {
                    T* from = const_cast<T*>(call.vector[array.index]);
                    p_[a] = ragged(call, array.domain) ? std::copy_n(from, n, own) - n : from;
                    break;
                }
                default: p_[a] = own;
            }
        }
    }

    void give_back(const Cell<T>& cell, const Call<T>& call, int b) {
        const Pass<T>& pass = cell.forward;
        for (int a = 0; a < pass.arrays; ++a) {
            const Array& array = pass.array[a];
            if (array.storage != STATE_NEW || !ragged(call, array.domain)) continue;
            const Tensor<T>& to = call.user[cell.inputs + cell.states + 1 + array.index];
            std::copy_n(p_[a], call.units[array.domain], to.data + b * to.row);
        }
    }

    void part(const Cell<T>& cell, const Call<T>& call, int id, int threads) {
        const Pass<T>& pass = cell.forward;
        const Frame<T> frame{p_.data(), offset_.data(), ld_.data(), call.units, false, call.recording};
        for (int i = 0; i < pass.befores; ++i) product(cell, call, pass.before[i], id, threads);
        for (int s = 0; s < pass.stages; ++s) {
            const Stage& stage = pass.stage[s];
#ifdef _OPENMP
            if (s > 0 && stage.barrier && threads > 1) {
#pragma omp barrier
            }
#endif
            for (int b = stage.first; b < stage.last; ++b) {
                const Block<T>& block = pass.block[b];
                for (int k = block.first; k < block.last; ++k) product(cell, call, pass.product[k], id, threads);
                const auto [first, last] = share(call.units[block.domain], id, threads);
                if (block.pointwise && first < last) block.pointwise(frame, 0, 1, first, last);
            }
        }
    }

    static std::pair<int, int> share(int n, int id, int threads) {
        const int parts = panels<T>(n), width = kColumns<T>;
        return {parts * id / threads * width, std::min(n, parts * (id + 1) / threads * width)};
    }

    void product(const Cell<T>& cell, const Call<T>& call, const Product& product, int id, int threads) {
        const int rows = call.units[cell.rows[product.matrix]], columns = call.units[cell.columns[product.matrix]];
        const auto [first, last] = share(rows, id, threads);
        dots<T>(call.matrix[product.matrix], columns, p_[product.argument], first, last, p_[product.result]);
    }

    std::vector<T*> p_;
    std::vector<std::size_t> own_;
    std::vector<const std::ptrdiff_t*> offset_;
    std::vector<std::ptrdiff_t> ld_;
    std::vector<T> space_;
    static constexpr std::ptrdiff_t zero_ = 0;
};

}  // namespace
}  // namespace gruvy
