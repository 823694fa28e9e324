// Runs a cell's passes over a batch of sequences: threads, chunks of time, unequal lengths, matrix products.
//
// Sequences are dealt to groups, which never wait for one another within a chunk; the threads of a group share the
// units between them and meet at a barrier before every product of a computed vector. Within a group sequences stand
// by falling length, so the ones still running at a step are its first rows, and no work is done on padding.
#pragma once

#ifdef _OPENMP
#include <omp.h>
#endif
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <numeric>
#include <vector>

#include "abi.h"
#include "call.h"
#include "memory.h"
#include "product.h"

namespace gruvy {

namespace {

constexpr int kColumnBlock = 2;   // panels between two calls of a pointwise function,
constexpr int kRowBlock = 48;     //   and rows
constexpr std::ptrdiff_t kChunkBytes = 768 * 1024;  // of a group's rows in a chunk of steps: they stay in the cache
constexpr double kGroupBytes = 2.5e6;  // of matrices that every group may read for itself
constexpr int kSpins = 300;  // before a thread that waits for another lets others run
constexpr int kDepthBlock = 192;  // rows of a panel when gradients of matrices are summed
constexpr double kWorkPerThread = 40e3;  // multiplications a step for which a further thread pays

class Barrier {
  public:
    void wait(int members) {
        if (members == 1) return;
        const int round = round_.load(std::memory_order_relaxed);
        if (waiting_.fetch_add(1, std::memory_order_acq_rel) == members - 1) {
            waiting_.store(0, std::memory_order_relaxed);
            round_.store(round + 1, std::memory_order_release);
            return;
        }
        for (int spins = 0; round_.load(std::memory_order_acquire) == round; ++spins) {
#if defined(__x86_64__)
            __builtin_ia32_pause();
#endif
            if (spins > kSpins) sched_yield();  // another program may have the core that this waits for
        }
    }

  private:
    alignas(64) std::atomic<int> waiting_{0};
    alignas(64) std::atomic<int> round_{0};
};

struct Group {
    int first, rows, steps;
    const int* active;  // sequences still running, by step
    const int* start;   // rows of the group before a step's, by step
};

// Which sequences run in which group, and in which order.
struct Geometry {
    std::vector<int> order, length, rank, table;  // rank: place among all sequences by falling length
    std::vector<Group> groups;
    const int* start;  // rows of all groups before a step's, by step

    template <class T>
    Geometry(const Call<T>& call, int count) : order(call.batch), length(call.batch), rank(call.batch) {
        std::vector<int> sorted(call.batch);
        std::iota(sorted.begin(), sorted.end(), 0);
        auto steps = [&](int b) { return call.lengths ? static_cast<int>(call.lengths[b]) : call.steps; };
        if (call.lengths) std::stable_sort(sorted.begin(), sorted.end(), [&](int a, int b) { return steps(a) > steps(b); });
        std::vector<std::vector<int>> dealt(count);
        if (!call.lengths) {
            for (int b = 0; b < call.batch; ++b) dealt[static_cast<std::int64_t>(b) * count / call.batch].push_back(b);
        } else {  // the longest of those left to the group with the least to do
            std::vector<std::int64_t> load(count, 0);
            for (int b : sorted) {
                const auto least = std::min_element(load.begin(), load.end()) - load.begin();
                dealt[least].push_back(b);
                load[least] += steps(b) + 1;
            }
        }
        std::vector<int> place_of(call.batch);
        for (int i = 0; i < call.batch; ++i) place_of[sorted[i]] = i;
        table.assign((2 * count + 1) * (call.steps + 1), 0);
        int* all = table.data() + 2 * count * (call.steps + 1);
        start = all;
        int place = 0;
        for (int g = 0; g < count; ++g) {
            int* active = table.data() + 2 * g * (call.steps + 1);
            int* start = active + call.steps + 1;
            Group group{place, static_cast<int>(dealt[g].size()), 0, active, start};
            for (int b : dealt[g]) {
                order[place] = b;
                rank[place] = place_of[b];
                length[place++] = steps(b);
                group.steps = std::max(group.steps, steps(b));
            }
            int n = group.rows, before = 0;
            for (int t = 0; t <= call.steps; ++t) {
                while (n > 0 && length[group.first + n - 1] <= t) --n;
                active[t] = n;
                start[t] = before;
                all[t] += before;
                before += n;
            }
            groups.push_back(group);
        }
    }
};

template <class T>
class Workspace {  // hands out pieces of one block; counts first, then gives
  public:
    void add(T** place, std::ptrdiff_t count) {
        wanted_.push_back({place, (count + 15) / 16 * 16 + 16});
    }
    void allocate() {
        std::ptrdiff_t total = 0;
        for (auto& w : wanted_) total += w.second;
        block_ = static_cast<T*>(take(total * sizeof(T) + 64));
        T* next = block_;
        for (auto& w : wanted_) {
            *w.first = next;
            next += w.second;
        }
    }
    ~Workspace() { give(block_); }

  private:
    std::vector<std::pair<T**, std::ptrdiff_t>> wanted_;
    T* block_ = nullptr;
};

template <class T>
class Run {
  public:
    Run(const Cell<T>& cell, const Call<T>& call, bool backward)
        : cell_(cell), call_(call), pass_(backward ? cell.backward : cell.forward), backward_(backward) {}

    // False when the threads that were prepared for did not come; nothing has been computed then.
    bool go(int threads) {
        prepare(threads);
        threads = groups_ * members_;
        bool came = true;
        if (threads == 1) work(0);
#ifdef _OPENMP
        if (threads > 1) {
#pragma omp parallel num_threads(threads)
            {
                if (omp_get_num_threads() == threads)
                    work(omp_get_thread_num());
                else if (omp_get_thread_num() == 0)
                    came = false;
            }
        }
#endif
        if (came && backward_) give_vector_gradients();
        return came;
    }

    int useful_threads() const {
        double work = 0;
        for (int m = 0; m < cell_.matrices; ++m) work += double(units(cell_.rows[m])) * units(cell_.columns[m]);
#ifdef _OPENMP
        const int threads = std::min<double>(call_.threads, work * call_.batch / kWorkPerThread);
#else
        const int threads = 1;
#endif
        return std::max(1, pass_.reduces ? std::min(threads, call_.batch) : threads);
    }

  private:
    struct Pack {
        int matrix, transposed;
        T* panels;
        std::ptrdiff_t size;  // of one panel
        int count;
    };
    struct Shared {  // of a group
        Barrier barrier;
        std::vector<T*> chunk_slot, step_slot, state_slot, gathered;
    };
    struct Private {  // of a thread
        T* panel = nullptr;  // of an argument, while gradients of matrices are summed
        std::vector<T*> scratch_slot, sum_slot;
        std::vector<double> total;
        std::vector<T*> p;
        std::vector<const std::ptrdiff_t*> offset;
    };
    struct Moving {
        int array;
        T* base;
        std::ptrdiff_t time, row;
    };

    int units(int domain) const { return call_.units[domain]; }

    // Groups of sequences or shares of the units: a group too small leaves tiles half empty, and each group reads all
    // matrices itself.
    int choose_groups(int threads) const {
        if (pass_.reduces) return threads;
        double bytes = 0;
        for (int m = 0; m < cell_.matrices; ++m)
            bytes += double(units(cell_.rows[m])) * units(cell_.columns[m]) * sizeof(T);
        for (int groups = threads; groups > 1; --groups)
            if (threads % groups == 0 && call_.batch / groups >= kRows && bytes <= kGroupBytes) return groups;
        return 1;
    }

    // An own row is padded so that whole vectors can be read and written, and whole panels where products are stored.
    std::ptrdiff_t ld(int array) const {
        const Array& a = pass_.array[array];
        return row_length(a.storage, a.domain);
    }
    std::ptrdiff_t row_length(int storage, int domain) const {
        const int n = units(domain), lanes = Vector<T>::lanes;
        switch (storage) {
            case SAVED: return domain == kScalar ? 1 : (n + lanes - 1) / lanes * lanes;
            case CHUNK: return padded<T>(n) + 16;  // not a power of two: rows fall into different sets of the cache
            case SCRATCH: return kColumnBlock * kColumns<T>;
            default: return padded<T>(n);
        }
    }

    void prepare(int threads) {
        groups_ = choose_groups(threads);
        members_ = threads / groups_;
        geometry_ = std::make_unique<Geometry>(call_, groups_);
        length_of_chunk();
        find_packs();
        const int lanes = Vector<T>::lanes;
        vector_.resize(cell_.vectors);
        for (int v = 0; v < cell_.vectors; ++v) space_.add(&vector_[v], padded<T>(units(cell_.vector[v])) + lanes);
        for (auto& pack : packs_) space_.add(&pack.panels, pack.size * pack.count);
        shared_ = std::make_unique<Shared[]>(groups_);
        private_ = std::make_unique<Private[]>(groups_ * members_);
        for (int g = 0; g < groups_; ++g) prepare_group(shared_[g], geometry_->groups[g]);
        for (int i = 0; i < groups_ * members_; ++i) prepare_thread(private_[i]);
        space_.allocate();
        offsets();
        for (int v = 0; v < cell_.vectors; ++v) {
            const int n = units(cell_.vector[v]);
            std::copy(call_.vector[v], call_.vector[v] + n, vector_[v]);
            std::fill(vector_[v] + n, vector_[v] + padded<T>(n), T(0));
        }
        lds_.resize(pass_.arrays);
        for (int a = 0; a < pass_.arrays; ++a) lds_[a] = pass_.array[a].storage == VECTOR ? 0 : ld(a);
    }

    void length_of_chunk() {
        std::ptrdiff_t bytes = 0;
        for (int a = 0; a < pass_.arrays; ++a)
            if (pass_.array[a].storage == CHUNK) bytes += ld(a) * sizeof(T);
        for (int i = 0; i < cell_.inputs; ++i) bytes += units(cell_.input[i]) * sizeof(T);
        const int rows = std::max(1, (call_.batch + groups_ - 1) / groups_);
        const std::ptrdiff_t fit = kChunkBytes / std::max<std::ptrdiff_t>(1, bytes * rows);
        chunk_ = std::max(1, std::min<int>(call_.last - call_.first, std::max<std::ptrdiff_t>(fit, (kRows + rows - 1) / rows)));
    }

    void find_packs() {
        pack_of_.assign(2 * cell_.matrices, -1);
        auto want = [&](const Product* product, int count) {
            for (int i = 0; i < count; ++i) {
                const int key = 2 * product[i].matrix + product[i].transposed;
                if (pack_of_[key] >= 0) continue;
                pack_of_[key] = static_cast<int>(packs_.size());
                const int rows = units(cell_.rows[product[i].matrix]), columns = units(cell_.columns[product[i].matrix]);
                const int depth = product[i].transposed ? rows : columns, width = product[i].transposed ? columns : rows;
                packs_.push_back({product[i].matrix, product[i].transposed, nullptr,
                                  static_cast<std::ptrdiff_t>(depth) * kColumns<T>, panels<T>(width)});
            }
        };
        int products = 0;
        for (int s = 0; s < pass_.stages; ++s)
            for (int b = pass_.stage[s].first; b < pass_.stage[s].last; ++b)
                products = std::max(products, pass_.block[b].last);
        want(pass_.before, pass_.befores);
        want(pass_.product, products);
        want(pass_.after, pass_.afters);
    }

    void prepare_group(Shared& shared, const Group& group) {
        const std::ptrdiff_t rows = group.rows, chunk_rows = rows * chunk_ + kRows;
        shared.chunk_slot.resize(pass_.chunks);
        shared.step_slot.resize(pass_.steps);
        shared.state_slot.resize(cell_.states);
        shared.gathered.assign(cell_.inputs, nullptr);
        for (int s = 0; s < cell_.states; ++s)
            space_.add(&shared.state_slot[s], 3 * rows * row_length(STATE_OLD, cell_.state[s]));
        for (int a = 0; a < pass_.arrays; ++a) {
            const Array& array = pass_.array[a];
            if (array.storage == CHUNK) space_.add(&shared.chunk_slot[array.index], chunk_rows * ld(a));
            if (array.storage == STEP) space_.add(&shared.step_slot[array.index], 2 * rows * ld(a));
        }
        for (int i = 0; i < cell_.inputs; ++i)
            space_.add(&shared.gathered[i], chunk_rows * padded<T>(units(cell_.input[i])));
    }

    void prepare_thread(Private& own) {
        own.scratch_slot.resize(pass_.scratch);
        own.sum_slot.assign(cell_.vectors, nullptr);
        own.p.resize(pass_.arrays);
        own.offset.resize(pass_.arrays);
        for (auto& slot : own.scratch_slot) space_.add(&slot, kRowBlock * row_length(SCRATCH, 0));
        if (!backward_) return;
        std::ptrdiff_t total = 0;
        for (int v = 0; v < cell_.vectors; ++v) {
            space_.add(&own.sum_slot[v], padded<T>(units(cell_.vector[v])));
            total += units(cell_.vector[v]);
        }
        own.total.assign(total, 0.0);
        space_.add(&own.panel, (kDepthBlock + kRows) * kColumns<T>);
    }

    // Of each sequence's row in the caller's tensors; time then moves the base alone.
    void offsets() {
        const int count = users();
        offset_.assign(count, {});
        for (int u = 0; u < count; ++u) {
            offset_[u].resize(call_.batch);
            for (int r = 0; r < call_.batch; ++r) {
                std::ptrdiff_t at = geometry_->order[r] * call_.user[u].row;
                if (call_.reverse) at += std::max(0, geometry_->length[r] - 1) * call_.user[u].time;
                offset_[u][r] = at;
            }
        }
        saved_offset_.assign(pass_.saved, {});
        saved_base_.assign(pass_.saved, nullptr);
        T* base = call_.saved;
        for (int a = 0; a < pass_.arrays && base; ++a) {  // slot after slot, each with the rows of all steps
            if (pass_.array[a].storage != SAVED) continue;
            auto& offset = saved_offset_[pass_.array[a].index];
            offset.resize(call_.batch);
            for (int r = 0; r < call_.batch; ++r) offset[r] = geometry_->rank[r] * ld(a);
            saved_base_[pass_.array[a].index] = base;
            base += ((geometry_->start[call_.last] - geometry_->start[call_.first]) * ld(a) + 15) / 16 * 16;
        }
    }
    int users() const {
        const int once = cell_.inputs + cell_.states;
        return backward_ ? 2 * once + 2 + cell_.states : once + 1 + cell_.states + cell_.gates;
    }
    int direction() const { return call_.reverse ? -1 : 1; }

    void work(int id) {
        const int threads = groups_ * members_;
        pack_matrices(id, threads);
        everyone_.wait(threads);
        const int g = id / members_, member = id % members_;
        Member m(*this, g, id, member);
        m.begin();
        if (backward_)
            m.run_backward();
        else
            m.run_forward();
        m.end();
    }

    void pack_matrices(int id, int threads) {
        int task = 0;
        for (auto& pack_to : packs_)
            for (int j = 0; j < pack_to.count; ++j)
                if (task++ % threads == id)
                    pack<T>(call_.matrix[pack_to.matrix], units(cell_.rows[pack_to.matrix]),
                            units(cell_.columns[pack_to.matrix]), pack_to.transposed, j * kColumns<T>,
                            pack_to.panels + j * pack_to.size);
    }

    void give_vector_gradients() {
        std::ptrdiff_t at = 0;
        for (int v = 0; v < cell_.vectors; at += units(cell_.vector[v]), ++v) {
            if (!call_.vector_gradient[v]) continue;
            for (int c = 0; c < units(cell_.vector[v]); ++c) {
                double total = 0;
                for (int i = 0; i < groups_ * members_; ++i) total += private_[i].total[at + c];
                call_.vector_gradient[v][c] += static_cast<T>(total);
            }
        }
    }

    // One thread's part of the work.
    struct Member {
        Run& run;
        const Group& group;
        Shared& shared;
        Private& own;
        const int id, member;
        Member(Run& run, int g, int id, int member)
            : run(run), group(run.geometry_->groups[g]), shared(run.shared_[g]), own(run.private_[id]), id(id), member(member) {}

        std::vector<Moving> moving;
        std::vector<int> olds, news, step_arrays;
        Frame<T> frame{};
        int t0 = 0, t1 = 0;  // of the chunk

        const Pass<T>& pass() const { return run.pass_; }
        void meet() { shared.barrier.wait(run.members_); }
        int active(int t) const { return t < group.steps ? group.active[t] : 0; }

        // This thread's panels of vectors of a domain.
        std::pair<int, int> share(int domain) const {
            const int n = panels<T>(run.units(domain));
            return {n * member / run.members_, n * (member + 1) / run.members_};
        }

        void begin() {
            frame.p = own.p.data();
            frame.offset = own.offset.data();
            frame.ld = run.lds_.data();
            frame.units = run.call_.units;
            frame.saving = run.call_.saved != nullptr;
            frame.recording = run.call_.recording;
            for (int a = 0; a < pass().arrays; ++a) {
                const Array& array = pass().array[a];
                const std::ptrdiff_t ld = run.lds_[a];
                own.p[a] = nullptr;
                switch (array.storage) {
                    case USER: {
                        const Tensor<T>& user = run.call_.user[array.index];
                        own.offset[a] = run.offset_[array.index].data() + group.first;
                        if (user.data) moving.push_back({a, user.data, run.direction() * user.time, 0});
                        break;
                    }
                    case STATE_OLD: olds.push_back(a); break;
                    case STATE_NEW: news.push_back(a); break;
                    case CHUNK: moving.push_back({a, shared.chunk_slot[array.index], 0, ld}); break;
                    case SAVED:
                        own.offset[a] = run.saved_offset_[array.index].data() + group.first;
                        if (run.call_.saved) moving.push_back({a, run.saved_base_[array.index], 0, ld});
                        break;
                    case STEP: step_arrays.push_back(a); break;
                    case SCRATCH: break;
                    case VECTOR: own.p[a] = run.vector_[array.index]; break;
                    case SUM: own.p[a] = own.sum_slot[array.index]; break;
                }
            }
            states_in();
        }

        // Initial states (backward: the gradients of the final ones) into every slot: a sequence may start late.
        void states_in() {
            const int first = run.backward_ ? run.cell_.inputs + run.cell_.states + 2 : run.cell_.inputs;
            for (int s = 0; s < run.cell_.states; ++s) {
                const Tensor<T>& from = run.call_.user[first + s];
                const int n = run.units(run.cell_.state[s]);
                const std::ptrdiff_t ld = run.row_length(STATE_OLD, run.cell_.state[s]), slot = group.rows * ld;
                for (int r = member; r < group.rows; r += run.members_)
                    for (int k = 0; k < 3; ++k) {
                        T* to = shared.state_slot[s] + k * slot + r * ld;
                        if (from.data)
                            std::copy_n(from.data + run.geometry_->order[group.first + r] * from.row, n, to);
                        else
                            std::fill_n(to, n, T(0));
                        std::fill(to + n, to + ld, T(0));
                    }
            }
            meet();
        }

        // Final states, each where its sequence's last step left it.
        void end() {
            meet();
            const int inputs = run.cell_.inputs, states = run.cell_.states;
            const int first = run.backward_ ? 2 * inputs + 2 * states + 2 : inputs + states + 1;
            for (int s = 0; s < states; ++s) {
                const Tensor<T>& to = run.call_.user[first + s];
                if (!to.data) continue;
                const int n = run.units(run.cell_.state[s]);
                const std::ptrdiff_t ld = run.row_length(STATE_OLD, run.cell_.state[s]), slot = group.rows * ld;
                for (int r = member; r < group.rows; r += run.members_) {
                    const int length = run.geometry_->length[group.first + r];
                    const int from = run.call_.first, until = std::min(run.backward_ ? group.steps : length, run.call_.last);
                    const int at = length <= from ? 0 : (until - from) % 3;
                    std::copy_n(shared.state_slot[s] + at * slot + r * ld, n,
                                to.data + run.geometry_->order[group.first + r] * to.row);
                }
            }
            if (run.call_.lengths) clear_padding();
        }

        void clear_padding() {
            const int inputs = run.cell_.inputs, states = run.cell_.states;
            auto clear = [&](int user, int domain) {
                const Tensor<T>& to = run.call_.user[user];
                if (!to.data) return;
                for (int r = member; r < group.rows; r += run.members_)
                    for (int t = run.geometry_->length[group.first + r]; t < run.call_.steps; ++t)
                        std::fill_n(to.data + t * to.time + run.geometry_->order[group.first + r] * to.row,
                                    run.units(domain), T(0));
            };
            if (run.backward_) {
                for (int i = 0; i < inputs; ++i) clear(inputs + 2 * states + 2 + i, run.cell_.input[i]);
            } else {
                clear(inputs + states, run.cell_.output);
                for (int g = 0; run.call_.recording && g < run.cell_.gates; ++g)
                    clear(inputs + 2 * states + 1 + g, run.cell_.gate[g]);
            }
        }

        // Points the frame at step t, the s-th that runs.
        void set(int t, int s) {
            const std::ptrdiff_t start = group.start[t], chunk = group.start[t0], all = run.geometry_->start[t] - run.geometry_->start[run.call_.first];
            for (const Moving& m : moving) {
                const Array& array = pass().array[m.array];
                if (array.storage == USER && array.before >= 0) {
                    const bool first = t == 0;
                    const Tensor<T>& initial = run.call_.user[array.before];
                    own.p[m.array] = first ? initial.data : m.base + (t - 1) * m.time;
                    own.offset[m.array] = first ? run.offset_[array.before].data() + group.first
                                                : run.offset_[array.index].data() + group.first;
                } else {
                    own.p[m.array] = m.base + t * m.time + (array.storage == CHUNK ? start - chunk : all) * m.row;
                }
            }
            const int old_slot = s % 3, new_slot = (s + 1) % 3, half = s % 2;
            for (int a : olds) own.p[a] = state(a, old_slot);
            for (int a : news) own.p[a] = state(a, new_slot);
            for (int a : step_arrays)
                own.p[a] = shared.step_slot[pass().array[a].index] + half * group.rows * run.lds_[a];
        }
        T* state(int a, int slot) const {
            return shared.state_slot[pass().array[a].index] + slot * group.rows * run.lds_[a];
        }

        void run_forward() {
            const int last = std::min(group.steps, run.call_.last);
            for (t0 = run.call_.first; t0 < last; t0 = t1) {
                t1 = std::min(t0 + run.chunk_, last);
                meet();
                products_of_inputs();
                for (int t = t0; t < t1; ++t) {
                    set(t, t - run.call_.first);
                    step(active(t), t);
                }
            }
        }

        void run_backward() {
            const int threads = run.groups_ * run.members_, last = std::min(group.steps, run.call_.last);
            for (t1 = run.call_.last; t1 > run.call_.first; t1 = t0) {
                t0 = std::max(run.call_.first, t1 - run.chunk_);
                clear_sums();
                for (int t = std::min(t1, group.steps) - 1; t >= t0; --t) {
                    set(t, last - 1 - t);
                    step(active(t), t);
                }
                add_sums();
                run.everyone_.wait(threads);
                gradients_of_inputs();
                gradients_of_matrices(threads);
                run.everyone_.wait(threads);
            }
        }

        void step(int rows, int t) {
            for (int s = 0; s < pass().stages; ++s) {
                const Stage& stage = pass().stage[s];
                if (stage.barrier) meet();
                for (int b = stage.first; b < stage.last; ++b) block(pass().block[b], rows, t & 1);
            }
        }

        // Products and the pointwise function after them, a few columns and rows at a time. Every other step goes
        // from the end, to meet what the caches still hold.
        void block(const Block<T>& block, int rows, bool from_end) {
            const auto [first, last] = share(block.domain);
            const int width = kColumns<T>, units = run.units(block.domain);
            const int together = rows == 1 ? kRowBlock * kColumnBlock : kColumnBlock;
            const int count = (last - first + together - 1) / together;
            for (int i = 0; i < count; ++i) {
                const int j0 = first + (from_end ? count - 1 - i : i) * together;
                const int j1 = std::min(j0 + together, last);
                const int c0 = j0 * width, c1 = std::min(j1 * width, units);
                for (int r0 = 0; r0 < rows; r0 += kRowBlock) {
                    const int r1 = std::min(r0 + kRowBlock, rows);
                    for (int k = block.first; k < block.last; ++k) product(pass().product[k], r0, r1, c0, j0, j1);
                    if (block.pointwise) block.pointwise(frame, r0, r1, c0, c1);
                }
            }
        }

        void product(const Product& product, int r0, int r1, int c0, int j0, int j1) {
            const Pack& pack = run.packs_[run.pack_of_[2 * product.matrix + product.transposed]];
            const int depth = static_cast<int>(pack.size / kColumns<T>);
            const Array& result = pass().array[product.result];
            const std::ptrdiff_t lda = run.lds_[product.argument], ldc = run.lds_[product.result];
            if (result.storage == SCRATCH)  // so that rows and columns of the step index it
                own.p[product.result] = own.scratch_slot[result.index] - r0 * ldc - c0;
            for (int j = j0; j < j1; ++j)
                multiply<T>(r1 - r0, depth, own.p[product.argument] + r0 * lda, lda, pack.panels + j * pack.size,
                            own.p[product.result] + r0 * ldc + j * kColumns<T>, ldc, product.add);
        }

        // All steps of the chunk at once, from the inputs themselves where their rows stand evenly.
        void products_of_inputs() {
            if (!pass().befores) return;
            const int rows = group.start[t1] - group.start[t0];
            bool waits = false;
            for (int i = 0; i < pass().befores; ++i) {
                const int u = pass().array[pass().before[i].argument].index;
                if (!even(u) && shared.gathered[u] && (i == 0 || pass().array[pass().before[i - 1].argument].index != u)) {
                    gather(u);
                    waits = true;
                }
            }
            if (waits) meet();
            for (int i = 0; i < pass().befores; ++i) {
                const Product& product = pass().before[i];
                const Pack& pack = run.packs_[run.pack_of_[2 * product.matrix + product.transposed]];
                const int u = pass().array[product.argument].index, depth = static_cast<int>(pack.size / kColumns<T>);
                const Tensor<T>& user = run.call_.user[u];
                const bool direct = even(u);
                const T* a = direct ? user.data + t0 * user.time + run.offset_[u][group.first] : shared.gathered[u];
                const std::ptrdiff_t lda = direct ? (group.rows == 1 ? user.time : user.row) : padded<T>(depth);
                const Array& result = pass().array[product.result];
                const auto [j0, j1] = share(result.domain);
                for (int j = j0; j < j1; ++j)
                    multiply<T>(rows, depth, a, lda, pack.panels + j * pack.size,
                                shared.chunk_slot[result.index] + j * kColumns<T>, run.lds_[product.result], product.add);
            }
            if (pass().reduces) meet();
        }

        // Whether the group's rows of a tensor stand at equal distances over all steps.
        bool even(int u) const {
            const Tensor<T>& user = run.call_.user[u];
            if (run.call_.reverse || (run.call_.lengths && group.active[group.steps - 1] != group.rows)) return false;
            if (run.call_.lengths && run.call_.batch > 1) return false;  // sequences are not in their order
            return group.rows == 1 || user.time == group.rows * user.row;
        }

        void gather(int u) {
            const int n = run.units(run.cell_.input[u]);
            const std::ptrdiff_t ld = padded<T>(n);
            const Tensor<T>& user = run.call_.user[u];
            for (int t = t0 + member; t < t1; t += run.members_) {
                const T* from = user.data + run.direction() * t * user.time;
                T* to = shared.gathered[u] + (group.start[t] - group.start[t0]) * ld;
                for (int r = 0; r < active(t); ++r) std::copy_n(from + run.offset_[u][group.first + r], n, to + r * ld);
            }
        }

        void clear_sums() {
            for (int v = 0; v < run.cell_.vectors; ++v)
                std::fill_n(own.sum_slot[v], padded<T>(run.units(run.cell_.vector[v])), T(0));
        }
        void add_sums() {
            std::ptrdiff_t at = 0;
            for (int v = 0; v < run.cell_.vectors; ++v)
                for (int c = 0; c < run.units(run.cell_.vector[v]); ++c) own.total[at++] += own.sum_slot[v][c];
        }

        int chunk_rows() const {
            return group.start[std::min(t1, group.steps)] - group.start[std::min(t0, group.steps)];
        }

        // dx = adjoint * matrix for all steps of the chunk, added to what the steps have put there themselves.
        void gradients_of_inputs() {
            const int rows = chunk_rows();
            for (int i = 0; i < pass().afters; ++i) {
                const Product& product = pass().after[i];
                const Array& result = pass().array[product.result];
                const Tensor<T>& user = run.call_.user[result.index];
                if (!user.data || !rows) continue;
                const Pack& pack = run.packs_[run.pack_of_[2 * product.matrix + product.transposed]];
                const int depth = static_cast<int>(pack.size / kColumns<T>), n = run.units(result.domain);
                const bool direct = even(result.index) && n % kColumns<T> == 0;
                const int input = result.index - (run.cell_.inputs + 2 * run.cell_.states + 2);
                const std::ptrdiff_t ldc = direct ? (group.rows == 1 ? user.time : user.row) : padded<T>(n);
                T* c = direct ? user.data + t0 * user.time + run.offset_[result.index][group.first] : shared.gathered[input];
                const T* a = shared.chunk_slot[pass().array[product.argument].index];
                const std::ptrdiff_t lda = run.lds_[product.argument];
                const auto [j0, j1] = share(result.domain);
                const bool first = i == 0 || pass().after[i - 1].result != product.result;
                const bool last = i + 1 == pass().afters || pass().after[i + 1].result != product.result;
                for (int j = j0; j < j1; ++j)
                    multiply<T>(rows, depth, a, lda, pack.panels + j * pack.size, c + j * kColumns<T>, ldc,
                                direct ? product.add : !first);
                if (!direct && last) scatter(result.index, c, ldc, j0 * kColumns<T>, std::min(j1 * kColumns<T>, n),
                                             first_adds(i));
            }
        }
        bool first_adds(int i) const {  // whether the steps have already put something into the gradient
            while (i > 0 && pass().after[i - 1].result == pass().after[i].result) --i;
            return pass().after[i].add;
        }

        void scatter(int u, const T* from, std::ptrdiff_t ld, int c0, int c1, bool add) {
            const Tensor<T>& user = run.call_.user[u];
            for (int t = t0; t < std::min(t1, group.steps); ++t) {
                T* to = user.data + run.direction() * t * user.time;
                for (int r = 0; r < active(t); ++r, from += ld) {
                    T* row = to + run.offset_[u][group.first + r];
                    if (add)
                        for (int c = c0; c < c1; ++c) row[c] += from[c];
                    else
                        std::copy(from + c0, from + c1, row + c0);
                }
            }
        }

        // Panels of arguments are dealt to the threads; each goes through the rows of all groups.
        void gradients_of_matrices(int threads) {
            int task = 0;
            for (int i = 0; i < pass().gradients; ++i) {
                const Gradient& gradient = pass().gradient[i];
                if (i > 0 && pass().gradient[i - 1].argument == gradient.argument) continue;
                const int columns = run.units(run.cell_.columns[gradient.matrix]);
                for (int j = 0; j < panels<T>(columns); ++j)
                    if (task++ % threads == id) gradients_of_panel(i, j, columns);
            }
        }

        void gradients_of_panel(int first, int j, int columns) {
            const int argument = pass().gradient[first].argument, c0 = j * kColumns<T>;
            const int n = std::min(kColumns<T>, columns - c0);
            for (int g = 0; g < run.groups_; ++g) {
                const Group& other = run.geometry_->groups[g];
                const int end = std::min(t1, other.steps), chunk = other.start[std::min(t0, other.steps)];
                for (int t = t0, r = 0; t < end;) {  // rows r.. of step t are next
                    const int from = other.start[t] - chunk + r;
                    int depth = 0;
                    while (t < end && depth < kDepthBlock) {
                        const int count = std::min(other.active[t] - r, kDepthBlock - depth);
                        copy_rows(argument, g, t, r, count, c0, n, own.panel + depth * kColumns<T>);
                        depth += count;
                        r += count;
                        if (r == other.active[t]) r = 0, ++t;
                    }
                    add_products(first, argument, g, from, depth, c0, n);
                }
            }
        }

        // Rows of an argument at step t, from column c0, as rows of a panel.
        void copy_rows(int argument, int g, int t, int row, int rows, int c0, int n, T* to) {
            const Array& array = pass().array[argument];
            const Group& other = run.geometry_->groups[g];
            const T* base = nullptr;
            const std::ptrdiff_t ld = run.lds_[argument];
            const std::ptrdiff_t* offset = nullptr;
            if (array.storage == USER) {
                const bool initial = array.before >= 0 && t == 0;
                const int u = initial ? array.before : array.index;
                const int at = initial ? 0 : array.before >= 0 ? t - 1 : t;
                base = run.call_.user[u].data + run.direction() * at * run.call_.user[u].time;
                offset = run.offset_[u].data() + other.first;
            } else if (array.storage == CHUNK) {
                base = run.shared_[g].chunk_slot[array.index] + (other.start[t] - other.start[t0]) * ld;
            } else if (array.storage == SAVED) {
                base = run.saved_base_[array.index] +
                       (run.geometry_->start[t] - run.geometry_->start[run.call_.first]) * ld;
                offset = run.saved_offset_[array.index].data() + other.first;
            } else {  // VECTOR
                base = run.vector_[array.index];
            }
            for (int r = row; r < row + rows; ++r, to += kColumns<T>) {
                const T* from = base + (offset ? offset[r] : r * ld) + c0;
                if (n == kColumns<T>) {
                    store(to, load<T>(from));
                    store(to + Vector<T>::lanes, load<T>(from + Vector<T>::lanes));
                } else {
                    std::copy_n(from, n, to);
                    std::fill(to + n, to + kColumns<T>, T(0));
                }
            }
        }

        void add_products(int first, int argument, int g, int from, int depth, int c0, int n) {
            for (int i = first; i < pass().gradients && pass().gradient[i].argument == argument; ++i) {
                const Gradient& gradient = pass().gradient[i];
                T* into = run.call_.matrix_gradient[gradient.matrix];
                if (!into) continue;
                const int rows = run.units(run.cell_.rows[gradient.matrix]);
                const int columns = run.units(run.cell_.columns[gradient.matrix]);
                const std::ptrdiff_t lda = run.lds_[gradient.adjoint];
                const T* a = run.shared_[g].chunk_slot[pass().array[gradient.adjoint].index] + from * lda;
                if (n == kColumns<T>) {
                    multiply_transposed<T>(rows, depth, a, lda, own.panel, into + c0, columns);
                    continue;
                }
                T part[kRows * kColumns<T>];
                for (int r = 0; r < rows; r += kRows) {
                    const int count = std::min(kRows, rows - r);
                    std::fill_n(part, kRows * kColumns<T>, T(0));
                    multiply_transposed<T>(count, depth, a + r, lda, own.panel, part, kColumns<T>);
                    for (int k = 0; k < count; ++k)
                        for (int c = 0; c < n; ++c)
                            into[static_cast<std::ptrdiff_t>(r + k) * columns + c0 + c] += part[k * kColumns<T> + c];
                }
            }
        }
    };

    const Cell<T>& cell_;
    const Call<T>& call_;
    const Pass<T>& pass_;
    const bool backward_;
    int groups_ = 1, members_ = 1, chunk_ = 1;
    std::unique_ptr<Geometry> geometry_;
    std::vector<Pack> packs_;
    std::vector<int> pack_of_;
    std::vector<std::ptrdiff_t> lds_;
    std::vector<T*> vector_;
    std::vector<std::vector<std::ptrdiff_t>> offset_, saved_offset_;
    std::vector<T*> saved_base_;
    std::unique_ptr<Shared[]> shared_;
    std::unique_ptr<Private[]> private_;
    Workspace<T> space_;
    Barrier everyone_;
};

}  // namespace
}  // namespace gruvy
