// The pool's threads live in one barrier: idle ones wait in it for the next run(), and run() itself is two passages through it.
#include "base/thread_pool.h"

#include <atomic>
#include <exception>
#include <thread>
#include <vector>

#include "base/check.h"
#include "base/clock.h"
#include "base/os_cpu.h"

namespace rafter {
namespace {

// Longer than a passage takes when all threads run (about 1 us) and than the unequal ends of an op; short enough that an idle team costs
// nothing.
constexpr std::int64_t kSpinNs = 40'000;

inline void pause_cpu() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("isb" ::: "memory");
#endif
}

// Everyone arrives; the last one opens the next generation. A line of its own for each counter, because arrivals write while waiters read.
class Barrier {
  public:
    explicit Barrier(bool spin) : spin_(spin) {}

    // Before the first arrival.
    void set_n_threads(unsigned n) { n_threads_ = static_cast<int>(n); }

    void arrive_and_wait() {
        const int generation = generation_.load(std::memory_order_relaxed);
        if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == n_threads_) {
            arrived_.store(0, std::memory_order_relaxed);
            // Sequentially consistent with the sleepers' increment: either they see the new generation or we see them.
            generation_.store(generation + 1, std::memory_order_seq_cst);
            if (sleepers_.load(std::memory_order_seq_cst) > 0) generation_.notify_all();
            return;
        }
        if (spin_ && spin_until_passed(generation)) return;
        sleepers_.fetch_add(1, std::memory_order_seq_cst);
        while (generation_.load(std::memory_order_seq_cst) == generation) generation_.wait(generation, std::memory_order_seq_cst);
        sleepers_.fetch_sub(1, std::memory_order_relaxed);
    }

  private:
    bool spin_until_passed(int generation) const {
        constexpr int kLooksAtTheClock = 64;  // about 1-3 us
        const std::int64_t end_ns = monotonic_ns() + kSpinNs;
        do {
            for (int i = 0; i < kLooksAtTheClock; ++i) {
                if (generation_.load(std::memory_order_acquire) != generation) return true;
                pause_cpu();
            }
        } while (monotonic_ns() < end_ns);
        return false;
    }

    alignas(64) std::atomic<int> arrived_{0};
    alignas(64) std::atomic<int> generation_{0};  // wraps around, and is only compared for equality
    alignas(64) std::atomic<int> sleepers_{0};
    int n_threads_ = 1;
    const bool spin_;
};

}  // namespace

struct ThreadPool::State {
    explicit State(bool spin) : barrier(spin) {}

    // Written by run()'s caller before a passage of the barrier, read by the others after it.
    const std::function<void(unsigned)>* work = nullptr;  // null: end
    std::atomic<bool> complete = false;                   // all threads that there will be are there
    Barrier barrier;
    std::vector<std::thread> threads;  // [n_threads - 1]: thread 0 is the caller

    void live(unsigned thread) {
        complete.wait(false);
        for (;;) {
            barrier.arrive_and_wait();
            if (work == nullptr) return;
            (*work)(thread);
            barrier.arrive_and_wait();
        }
    }
};

ThreadPool::ThreadPool(const Options& options) {
    const std::vector<unsigned> cpus = allowed_cpus();
    const unsigned n_usable = usable_cpus();
    const unsigned n = options.n_threads > 0 ? options.n_threads : n_usable;
    // Spinning takes the CPU from the very thread that is waited for when there are more threads than CPUs.
    state_ = std::make_unique<State>(n <= n_usable);
    // The caller keeps its affinity: threads that it starts later would inherit it. Fewer threads than CPUs float: two programs that both
    // pinned theirs to the first CPUs would halve each other.
    const bool pin = options.pin && n == cpus.size();
    state_->threads.reserve(n - 1);
    for (unsigned thread = 1; thread < n; ++thread) {
        try {
            state_->threads.emplace_back([state = state_.get(), thread, pin, cpu = pin ? cpus[thread] : 0] {
                name_this_thread("rafter-compute");
                if (pin) pin_this_thread(cpu);
                state->live(thread);
            });
        } catch (const std::exception&) {
            break;  // the system gives no more, or no memory for it: those that there are do the work
        }
    }
    state_->barrier.set_n_threads(n_threads());
    state_->complete = true;
    state_->complete.notify_all();
}

ThreadPool::~ThreadPool() {
    state_->work = nullptr;
    state_->barrier.arrive_and_wait();
    for (std::thread& thread : state_->threads) thread.join();
}

unsigned ThreadPool::n_threads() const { return static_cast<unsigned>(state_->threads.size()) + 1; }

void ThreadPool::run(const std::function<void(unsigned thread)>& work) {
    RAFTER_CHECK(work != nullptr, "a thread pool needs a function to run");
    state_->work = &work;
    state_->barrier.arrive_and_wait();
    work(0);
    state_->barrier.arrive_and_wait();
}

void ThreadPool::barrier() { state_->barrier.arrive_and_wait(); }

}  // namespace rafter
