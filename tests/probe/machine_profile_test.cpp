// A saved machine profile is used only by the machine, thread count, instruction set and version that it is of; what is measured is saved.
#include "probe/machine_profile.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <ctime>
#include <fstream>

#include "probe/probe.h"

namespace rafter::probe {
namespace {

namespace fs = std::filesystem;

class MachineProfile : public testing::Test {
  protected:
    MachineProfile() { fs::remove_all(folder_); }
    ~MachineProfile() override { fs::remove_all(folder_); }

    void save(const std::string& version) {
        hardware::Profile profile;
        profile.key = profile_key(pool_, isa_, version);
        profile.memory_bytes = 123e9;
        profile.bandwidth = {{.n_threads = 1, .working_set_bytes = 1e6, .bytes_per_s = 30e9, .best_bytes_per_s = 32e9, .spread = 0.1}};
        profile.float_flop_per_s = 1e11;
        profile.int8_flop_per_s = 3e11;
        profile.stream_bytes_per_s = 1e10;
        ASSERT_TRUE(hardware::write_profile(hardware::profile_path(folder_, profile_key(pool_, isa_, "1.0")), profile));
    }
    std::string why_not(const ProfileStore& store) {
        const auto loaded = load_profile(store, pool_, isa_);
        EXPECT_EQ(saved_profile(store, pool_, isa_).has_value(), loaded.has_value());
        return loaded ? "" : loaded.error().message;
    }

    fs::path folder_ = fs::path(testing::TempDir()) / fmt::format("rafter-machine-profile-{}", getpid());
    ProfileStore store_{.folder = folder_, .version = "1.0"};
    ThreadPool pool_{{.n_threads = 1}};
    const std::string_view isa_ = "scalar";
};

TEST_F(MachineProfile, IsFoundAgainAndNotMeasuredAgain) {
    save("1.0");
    const auto measured = [](double /*fraction*/, std::string_view /*what*/) { ADD_FAILURE() << "measured although a profile is saved"; };
    const auto found = find_or_measure_profile(store_, pool_, isa_, measured);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->memory_bytes, 123e9);
    EXPECT_EQ(why_not(store_), "");
}

TEST_F(MachineProfile, OfAnotherVersionOrUnreadableIsNoneAndSaysWhy) {
    EXPECT_EQ(why_not(store_), "this machine has not been measured yet");
    EXPECT_EQ(why_not({.folder = {}, .version = "1.0"}), "this machine has not been measured yet");
    save("0.9");
    EXPECT_NE(why_not(store_).find(": of another machine or version"), std::string::npos) << why_not(store_);
    const fs::path file = hardware::profile_path(folder_, profile_key(pool_, isa_, "1.0"));
    std::ofstream(file) << "{";
    EXPECT_NE(why_not(store_).find(file.string()), std::string::npos) << why_not(store_);
}

TEST_F(MachineProfile, IsMeasuredAndSavedWhereThereIsNone) {
    double last = -1.0;
    const auto measured = find_or_measure_profile(store_, pool_, isa_, [&](double fraction, std::string_view what) {
        EXPECT_GE(fraction, last);
        EXPECT_FALSE(what.empty());
        last = fraction;
    });
    ASSERT_TRUE(measured);
    EXPECT_GE(last, 0.0);
    EXPECT_EQ(measured->key, profile_key(pool_, isa_, "1.0"));
    const auto saved = saved_profile(store_, pool_, isa_);
    ASSERT_TRUE(saved);
    EXPECT_EQ(saved->key, measured->key);
    EXPECT_EQ(saved->time, measured->time);
}

TEST(MachineProfileAge, IsSaidInItsLargestUnit) {
    hardware::Profile profile;
    const auto age = [&](std::int64_t seconds) {
        profile.time = static_cast<std::int64_t>(std::time(nullptr)) - seconds;
        return age_of(profile);
    };
    EXPECT_EQ(age(-100), "less than a minute");  // of a clock that was set back
    EXPECT_EQ(age(30), "less than a minute");
    EXPECT_EQ(age(90), "1 minute");
    EXPECT_EQ(age(3 * 3600 + 60), "3 hours");
    EXPECT_EQ(age(47 * 3600), "47 hours");
    EXPECT_EQ(age(49 * 3600), "2 days");
}

}  // namespace
}  // namespace rafter::probe
