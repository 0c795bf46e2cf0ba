// Workers: order within a size, small jobs beside large ones, what throws, and what ends early.
#include "server/worker.h"

#include <gtest/gtest.h>

#include <future>
#include <mutex>
#include <stdexcept>
#include <thread>

namespace rafter::server {
namespace {

// A server's thread: runs what is posted.
class Loop {
  public:
    void post(std::function<void()> work) {
        if (n_failures_ > 0) {
            --n_failures_;
            throw std::bad_alloc();
        }
        const std::lock_guard lock(mutex_);
        posted_.push_back(std::move(work));
        changed_.notify_one();
    }
    void run_one() {
        std::function<void()> work;
        {
            std::unique_lock lock(mutex_);
            changed_.wait(lock, [this] { return !posted_.empty(); });
            work = std::move(posted_.front());
            posted_.pop_front();
        }
        work();
    }
    void fail(int n) { n_failures_ = n; }

  private:
    std::atomic<int> n_failures_ = 0;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::function<void()>> posted_;
};

std::unique_ptr<Workers> start(Loop& loop) {
    auto workers = Workers::start([&loop](std::function<void()> work) { loop.post(std::move(work)); });
    EXPECT_TRUE(workers);
    return *std::move(workers);
}

TEST(Workers, JobsOfOneSizeEndInOrderOnTheServersThread) {
    Loop loop;
    const auto workers = start(loop);
    std::vector<int> done;
    for (int i = 0; i < 10; ++i) {
        workers->run(
            JobSize::kSmall, [] {},
            [&done, i, server = std::this_thread::get_id()] {
                EXPECT_EQ(std::this_thread::get_id(), server);
                done.push_back(i);
            });
    }
    for (int i = 0; i < 10; ++i) loop.run_one();
    EXPECT_EQ(done, (std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
}

TEST(Workers, ASmallJobDoesNotWaitForALargeOne) {
    Loop loop;
    const auto workers = start(loop);
    std::promise<void> release;
    workers->run(
        JobSize::kLarge, [future = release.get_future().share()] { future.wait(); }, [] {});
    bool small = false;
    workers->run(
        JobSize::kSmall, [] {}, [&small] { small = true; });
    loop.run_one();
    EXPECT_TRUE(small);
    release.set_value();
    loop.run_one();
}

TEST(Workers, AJobThatThrowsAndAPostWithoutMemoryLoseNothing) {
    Loop loop;
    const auto workers = start(loop);
    loop.fail(3);
    int n = 0;
    workers->run(
        JobSize::kSmall, [] { throw std::bad_alloc(); }, [&n] { ++n; });
    workers->run(
        JobSize::kSmall, [] { throw std::runtime_error("x"); }, [&n] { ++n; });
    loop.run_one();
    loop.run_one();
    EXPECT_EQ(n, 2);
}

TEST(Workers, JobsThatHaveNotBegunAreDropped) {
    Loop loop;
    std::promise<void> begun, release;
    auto held = std::make_shared<int>(1);
    {
        const auto workers = start(loop);
        workers->run(
            JobSize::kSmall,
            [&begun, future = release.get_future().share()] {
                begun.set_value();
                future.wait();
            },
            [] {});
        for (int i = 0; i < 5; ++i)
            workers->run(
                JobSize::kSmall, [] {}, [held] {});
        begun.get_future().wait();
        std::thread late([&release] { release.set_value(); });
        late.detach();
    }
    // Those that were posted before the end wait in the loop; the others are gone.
    EXPECT_LE(held.use_count(), 6);
}

}  // namespace
}  // namespace rafter::server
