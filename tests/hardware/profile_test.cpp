// A profile's look-ups give exact numbers between known readings, and its file is trusted in nothing.
#include "hardware/profile.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

namespace rafter::hardware {
namespace {

using tensor::DType;

Profile small_profile() {
    Profile p;
    p.key = {.cpu = "Test CPU 3000", .n_threads = 2, .isa = "avx2", .version = "1.2.3"};
    p.time = 1'700'000'000;
    p.caches = {{.level = 1, .size_bytes = 32768, .shared = false}, {.level = 3, .size_bytes = 33554432, .shared = true}};
    p.memory_bytes = 8e9;
    p.bandwidth = {{.n_threads = 1, .working_set_bytes = 1e6, .bytes_per_s = 30e9, .best_bytes_per_s = 32e9, .spread = 0.1},
                   {.n_threads = 2, .working_set_bytes = 1e8, .bytes_per_s = 10e9, .best_bytes_per_s = 12e9, .spread = 0.1},
                   {.n_threads = 2, .working_set_bytes = 1e6, .bytes_per_s = 40e9, .best_bytes_per_s = 48e9, .spread = 0.1}};
    p.float_flop_per_s = 1e11;
    p.int8_flop_per_s = 3e11;
    p.stream_bytes_per_s = 1e10;
    p.barrier_seconds = 1e-7;
    p.handover_seconds = 2e-7;
    p.matrices = {
        {.weights = DType::kQ4_0, .activations = "q8", .n_columns = 4, .from_memory = false, .seconds_per_weight = 4e-12, .spread = 0.1},
        {.weights = DType::kQ4_0, .activations = "q8", .n_columns = 1, .from_memory = false, .seconds_per_weight = 1e-12, .spread = 0.1}};
    p.tiles = {{.weights = DType::kQ4_0, .min_columns = 12}};
    p.int8_unit = "AMX int8 (K = 32)";
    p.rows = {{.kind = "add", .seconds_per_row = 1e-8, .seconds_per_element = 1e-10}};
    p.attention = {
        {.kv_type = "f16", .n_queries = 1, .head_dim = 64, .n_positions = 256, .from_memory = false, .seconds = 1e-6, .spread = 0.0}};
    p.noise = 0.05;
    return p;
}

TEST(Profile, BandwidthIsReadOffBetweenReadingsInLogarithms) {
    const Profile p = small_profile();
    EXPECT_NEAR(bandwidth_at(p, 1e6, 2), 40e9, 1);
    EXPECT_NEAR(bandwidth_at(p, 1e8, 2), 10e9, 1);
    EXPECT_NEAR(bandwidth_at(p, 1e7, 2), 20e9, 1);  // the geometric mean, half way in logarithms
    EXPECT_NEAR(best_bandwidth_at(p, 1e7, 2), 24e9, 1);
}

TEST(Profile, BandwidthBeyondTheReadingsIsThatOfTheLast) {
    const Profile p = small_profile();
    EXPECT_NEAR(bandwidth_at(p, 1.0, 2), 40e9, 1);
    EXPECT_NEAR(bandwidth_at(p, 0.0, 2), 40e9, 1);
    EXPECT_NEAR(bandwidth_at(p, 1e15, 2), 10e9, 1);
    EXPECT_EQ(bandwidth_at(Profile{}, 1e6, 2), 0.0);
}

TEST(Profile, AnotherNumberOfThreadsTakesTheNearestThatWasMeasured) {
    const Profile p = small_profile();
    EXPECT_NEAR(bandwidth_at(p, 1e6, 1), 30e9, 1);
    EXPECT_NEAR(bandwidth_at(p, 1e6, 64), 40e9, 1);
}

TEST(Profile, LevelsOfEachThreadCountOnceAThread) {
    const Profile p = small_profile();
    EXPECT_EQ(level_at(p, 65536), "L1 cache");
    EXPECT_EQ(level_at(p, 65537), "L3 cache");
    EXPECT_EQ(level_at(p, 33554432), "L3 cache");
    EXPECT_EQ(level_at(p, 33554433), "memory");
}

TEST(Profile, MatricesAreLinearInColumnsAndInProportionBeyond) {
    const Profile p = small_profile();
    EXPECT_DOUBLE_EQ(*matrix_seconds(p, DType::kQ4_0, "q8", 1, false), 1e-12);
    EXPECT_DOUBLE_EQ(*matrix_seconds(p, DType::kQ4_0, "q8", 2, false), 2e-12);
    EXPECT_DOUBLE_EQ(*matrix_seconds(p, DType::kQ4_0, "q8", 8, false), 8e-12);
    EXPECT_FALSE(matrix_seconds(p, DType::kQ4_0, "q8", 1, true).has_value());
    EXPECT_FALSE(matrix_seconds(p, DType::kQ4_0, "f32", 1, false).has_value());
    EXPECT_FALSE(matrix_seconds(p, DType::kQ4_K, "q8", 1, false).has_value());
}

// 1 ns a column by vectors; a tile takes 8 ns however full it is, and less in long rows of them.
Profile tiled_profile(unsigned min_columns) {
    Profile p = small_profile();
    p.tiles = {{.weights = DType::kQ4_0, .min_columns = min_columns}};
    p.matrices.clear();
    const auto add = [&](unsigned n_columns, double seconds, bool from_memory = false) {
        p.matrices.push_back({.weights = DType::kQ4_0,
                              .activations = "q8",
                              .n_columns = n_columns,
                              .from_memory = from_memory,
                              .seconds_per_weight = seconds,
                              .spread = 0.0});
    };
    for (const unsigned n : {1U, 4U}) add(n, n * 1e-9);
    add(8, min_columns <= 8 ? 7.9e-9 : 8e-9);
    add(16, min_columns <= 16 ? 8e-9 : 16e-9);
    add(64, 28e-9);
    for (const unsigned n : {1U, 4U}) add(n, n * 2e-9, true);
    add(16, 10e-9, true);
    return p;
}

TEST(Profile, ColumnsAreSharedByTilesAndVectorsAsTheKernelsDo) {
    const auto seconds = [](unsigned min_columns, double n, bool from_memory = false) {
        return *matrix_seconds(tiled_profile(min_columns), DType::kQ4_0, "q8", n, from_memory);
    };
    for (const double n : {8.0, 9.0, 15.0, 16.0}) EXPECT_DOUBLE_EQ(seconds(8, n), 8e-9) << n;
    EXPECT_DOUBLE_EQ(seconds(8, 7), 7e-9);                 // by vectors, beyond their last reading
    EXPECT_DOUBLE_EQ(seconds(16, 15), 15e-9);              // the same
    EXPECT_DOUBLE_EQ(seconds(8, 20), 8e-9 + 4e-9);         // a tile, and vectors
    EXPECT_NEAR(seconds(8, 24), 8e-9 + 20e-9 / 3, 1e-18);  // two tiles: a third of the way from one to four
    EXPECT_DOUBLE_EQ(seconds(8, 128), 56e-9);
    EXPECT_DOUBLE_EQ(seconds(17, 16), 16e-9);             // one tile alone loses
    EXPECT_DOUBLE_EQ(seconds(17, 17), 28e-9 / 4 + 1e-9);  // and more columns have their tiles
    EXPECT_DOUBLE_EQ(seconds(8, 16, true), 10e-9);
    EXPECT_DOUBLE_EQ(seconds(8, 2, true), 4e-9);
}

TEST(Profile, FloatsAndWeightsWithoutATileReadingAreNotOfTiles) {
    Profile p = tiled_profile(8);
    for (MatrixReading& r : p.matrices) r.activations = "f32";
    EXPECT_DOUBLE_EQ(*matrix_seconds(p, DType::kQ4_0, "f32", 12, false), (7.9e-9 + 8e-9) / 2);
    p = tiled_profile(8);
    p.tiles.front().weights = DType::kQ8_0;
    EXPECT_DOUBLE_EQ(*matrix_seconds(p, DType::kQ4_0, "q8", 12, false), (7.9e-9 + 8e-9) / 2);
}

TEST(Profile, ARoofIsNamedByTheArithmeticThatTakesMostOfTheTime) {
    const Profile p = small_profile();
    EXPECT_EQ(arithmetic_name(p, 1.0, 0.1), "AMX int8 (K = 32)");
    EXPECT_EQ(arithmetic_name(p, 0.1, 1.0), "float32");
    EXPECT_EQ(arithmetic_name(p, 1.0, 0.2), "AMX int8 (K = 32) and float32");
    EXPECT_EQ(arithmetic_name(p, 0.0, 0.0), "float32");
}

TEST(Profile, AFileGivesBackWhatWasWritten) {
    const Profile p = small_profile();
    const auto back = profile_from_json(to_json(p));
    ASSERT_TRUE(back.has_value()) << back.error().message;
    EXPECT_EQ(back->key, p.key);
    EXPECT_EQ(to_json(*back), to_json(p));
}

// Each key is taken away and given a wrong value, at every depth: always one line, never a profile and never a crash.
TEST(Profile, ASpoiltFileIsRefusedInOneLine) {
    const std::string good = to_json(small_profile());
    for (const char* text :
         {"", "{", "[]", "null", "{}", "\x80\xff", "{\"rafter_profile\": 0}", "{\"rafter_profile\": \"1\"}", "{\"rafter_profile\": 1}"}) {
        const auto result = profile_from_json(text);
        ASSERT_FALSE(result.has_value()) << text;
        EXPECT_EQ(result.error().message.find('\n'), std::string::npos);
    }
    std::size_t n_spoilt = 0;
    for (std::size_t at = good.find("\": "); at != std::string::npos; at = good.find("\": ", at + 1)) {
        const std::size_t begin = good.rfind('"', at - 1);
        const std::string key = good.substr(begin + 1, at - begin - 1);
        std::string without = good;
        without.replace(begin + 1, key.size(), "x");
        EXPECT_FALSE(profile_from_json(without).has_value()) << key << " renamed";
        for (const char* value : {"\"text\": ", "-1e999, \"y\": ", "[[]], \"y\": ", "{}, \"y\": ", "null, \"y\": "}) {
            if (std::string(value).front() == '"' && (key == "cpu" || key == "isa" || key == "version" || key == "doubt" || key == "kind" ||
                                                      key == "int8_unit" || key == "activations" || key == "kv_type")) {
                continue;
            }
            std::string wrong = good;
            wrong.replace(at, 3, std::string("\": ") + (std::string(value).front() == '"' ? "\"text\", \"y\": " : value));
            const auto result = profile_from_json(wrong);
            EXPECT_FALSE(result.has_value()) << key << " = " << value;
            ++n_spoilt;
        }
    }
    EXPECT_GT(n_spoilt, 100U);
}

TEST(Profile, NumbersThatCannotBeAreNamed) {
    std::string text = to_json(small_profile());
    const std::size_t at = text.find("\"working_set_bytes\": ");
    text.replace(at, 21, "\"working_set_bytes\": -");
    const auto result = profile_from_json(text);
    ASSERT_FALSE(result.has_value());
    EXPECT_NE(result.error().message.find("bandwidth[0].working_set_bytes: expected a positive number"), std::string::npos)
        << result.error().message;
}

TEST(Profile, ThePathIsMadeOfTheKeyAndStaysInItsFolder) {
    EXPECT_EQ(profile_path("/c", small_profile().key), "/c/profiles/test-cpu-3000-2-threads-avx2.json");
    const ProfileKey hostile{.cpu = "../../etc/passwd \n\t\xff", .n_threads = 1, .isa = "a/b", .version = "1"};
    EXPECT_EQ(profile_path("/c", hostile), "/c/profiles/etc-passwd-1-threads-a-b.json");
}

TEST(Profile, AFileThatIsNotThereOrCannotBeWrittenIsAnError) {
    EXPECT_FALSE(read_profile("/nonexistent/profile.json").has_value());
    EXPECT_FALSE(write_profile("/proc/rafter/profile.json", small_profile()).has_value());
}

}  // namespace
}  // namespace rafter::hardware
