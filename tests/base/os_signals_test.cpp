// Signals as calls: each kind that the thread receives, one after another, and none that ends the program.
#include "base/os_signals.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <future>

namespace rafter {
namespace {

TEST(SignalThread, CallsForEachSignalThatTheProcessGets) {
    std::promise<Signal> first, second;
    int n = 0;
    SignalThread thread([&](Signal signal) { (n++ == 0 ? first : second).set_value(signal); });
    kill(getpid(), SIGHUP);
    EXPECT_EQ(first.get_future().get(), Signal::kHangUp);
    kill(getpid(), SIGTERM);
    EXPECT_EQ(second.get_future().get(), Signal::kTerminate);
}

TEST(SignalThread, EndsWithoutASignal) {
    bool called = false;
    {
        const SignalThread thread([&](Signal) { called = true; });
    }
    EXPECT_FALSE(called);
}

}  // namespace
}  // namespace rafter
