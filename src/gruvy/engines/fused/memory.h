// Large blocks that are used again: fresh memory is dear, because the system clears every page of it.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include <pthread.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace gruvy {
namespace {

constexpr std::size_t kKept = std::size_t(512) << 20;  // bytes kept at most for later calls

struct Pool {
    std::mutex lock;
    std::vector<std::pair<std::size_t, void*>> free;  // oldest first
    std::size_t bytes = 0;

    static Pool& instance() {
        static Pool* pool = make();  // never destroyed: tensors may outlive static objects
        return *pool;
    }

  private:
    static Pool* make() {
        // No fork while another thread changes the list: the child would find it locked for ever.
        pthread_atfork([] { instance().lock.lock(); }, [] { instance().lock.unlock(); }, [] { instance().lock.unlock(); });
        return new Pool;
    }
};

constexpr std::size_t kHeader = 64;  // before each block, its size; keeps the block aligned

inline std::size_t& size_of(void* block) { return *reinterpret_cast<std::size_t*>(static_cast<char*>(block) - kHeader); }

// At least `bytes`, aligned to 64, holding anything. Throws std::bad_alloc.
inline void* take(std::size_t bytes) {
    Pool& pool = Pool::instance();
    {
        std::lock_guard<std::mutex> guard(pool.lock);
        auto best = pool.free.end();
        for (auto it = pool.free.begin(); it != pool.free.end(); ++it)
            if (it->first >= bytes && it->first <= 2 * bytes + 65536 && (best == pool.free.end() || it->first < best->first))
                best = it;
        if (best != pool.free.end()) {
            void* block = best->second;
            pool.bytes -= best->first;
            pool.free.erase(best);
            return block;
        }
    }
    const std::size_t page = bytes < (std::size_t(1) << 21) ? 4096 : std::size_t(1) << 21;
    const std::size_t total = (bytes + kHeader + page - 1) / page * page;
    void* whole = std::aligned_alloc(page, total);
    if (!whole) throw std::bad_alloc();
#if defined(__linux__)
    if (page > 4096) madvise(whole, total, MADV_HUGEPAGE);
#endif
    void* block = static_cast<char*>(whole) + kHeader;
    size_of(block) = total - kHeader;
    return block;
}

inline void give(void* block) {
    if (!block) return;
    Pool& pool = Pool::instance();
    std::vector<void*> dropped;
    {
        std::lock_guard<std::mutex> guard(pool.lock);
        pool.free.emplace_back(size_of(block), block);
        pool.bytes += size_of(block);
        while (pool.bytes > kKept) {
            dropped.push_back(pool.free.front().second);
            pool.bytes -= pool.free.front().first;
            pool.free.erase(pool.free.begin());
        }
    }
    for (void* old : dropped) std::free(static_cast<char*>(old) - kHeader);
}

}  // namespace
}  // namespace gruvy
