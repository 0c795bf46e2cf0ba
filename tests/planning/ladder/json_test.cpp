// A ladder's JSON comes back as it was, and what is not such a file is refused in one line that says where.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <random>
#include <set>

#include "planning/ladder/report.h"
#include "tests/support/made_up_ladder.h"

namespace rafter::planning {
namespace {

using nlohmann::ordered_json;

std::string message_of(const std::string& text) {
    const Result<Ladder> read = read_ladder(text, "old.json");
    EXPECT_FALSE(read.has_value()) << text.substr(0, 200);
    return read.has_value() ? "" : read.error().message;
}

ordered_json sample() { return ordered_json::parse(ladder_json(tests::made_up_ladder())); }

TEST(LadderJson, ComesBackAsItWas) {
    for (const bool predicted : {false, true}) {
        Ladder ladder = tests::made_up_ladder();
        if (predicted) tests::make_predicted(ladder);
        const Result<Ladder> again = read_ladder(ladder_json(ladder), "old.json");
        ASSERT_TRUE(again.has_value()) << again.error().message;
        EXPECT_TRUE(*again == ladder);
        EXPECT_EQ(ladder_json(*again), ladder_json(ladder));
    }
}

class Random {
  public:
    explicit Random(unsigned seed) : random_(seed) {}
    std::uint64_t whole(std::uint64_t most) { return random_() % (most + 1); }
    bool flag() { return whole(1) == 1; }
    double number() { return whole(9) == 0 ? 0.0 : std::exp(std::uniform_real_distribution<double>(-200.0, 200.0)(random_)); }
    std::string text() {
        static const std::vector<std::string> kParts{"",  "a",  "\"",   "\\",        "\n",   "\x01", "\x7f",
                                                     "é", "漢", "🛶", "</script>", "null", " "};
        std::string made;
        for (std::uint64_t n = whole(5); n > 0; --n) made += kParts[whole(kParts.size() - 1)];
        return made;
    }
    std::vector<std::string> texts() {
        std::vector<std::string> made(whole(3));
        for (std::string& one : made) one = text();
        return made;
    }
    LadderPoint point() {
        LadderPoint p;
        for (double* field : {&p.tokens, &p.n_sequences, &p.n_context, &p.predicted_seconds, &p.spread, &p.flops, &p.bytes, &p.roof_seconds,
                              &p.roof_rate, &p.memory_bytes}) {
            *field = number();
        }
        if (flag()) p.measured_seconds = number();
        p.roof = static_cast<roofline::PriceBound>(whole(2));
        p.level = text();
        return p;
    }
    LadderRung rung() {
        LadderRung r;
        for (std::string* field : {&r.id, &r.name, &r.options, &r.load, &r.why}) *field = text();
        r.before = point();
        r.after = point();
        r.on_path = flag();
        r.check.kind = static_cast<OutputCheck::Kind>(whole(3));
        r.check.passed = flag();
        r.check.n_tokens = whole(1ULL << 53U);
        r.check.against = text();
        r.check.mean_kl = flag() ? number() : -number();
        r.check.max_kl = number();
        r.check.same_top = static_cast<double>(whole(1000)) / 1000.0;
        r.notes = texts();
        if (flag()) r.skipped = text();
        return r;
    }
    Ladder ladder() {
        Ladder l;
        for (std::string* field : {&l.model, &l.file, &l.version, &l.command, &l.hardware}) *field = text();
        for (double* field : {&l.parameters, &l.seconds, &l.bytes_per_s, &l.noise}) *field = number();
        for (bool* field : {&l.measured, &l.complete, &l.quick, &l.trusted}) *field = flag();
        l.time = static_cast<std::int64_t>(whole(1ULL << 53U));
        l.n_probes = static_cast<unsigned>(whole(1'000'000));
        for (std::uint64_t n = whole(4); n > 0; --n) l.rungs.push_back(rung());
        for (std::uint64_t n = whole(3); n > 0; --n) l.roofs.push_back({text(), number()});
        for (std::uint64_t n = whole(3); n > 0; --n)
            l.aims.push_back({.what = text(), .wanted = number(), .reached = number(), .is_share = flag(), .reason = text()});
        l.warnings = texts();
        l.method = texts();
        l.caveats = texts();
        return l;
    }

  private:
    std::mt19937_64 random_;
};

TEST(LadderJson, ComesBackWhateverItHolds) {
    for (unsigned seed = 0; seed < 300; ++seed) {
        const Ladder ladder = Random(seed).ladder();
        const Result<Ladder> again = read_ladder(ladder_json(ladder), "old.json");
        ASSERT_TRUE(again.has_value()) << again.error().message;
        ASSERT_TRUE(*again == ladder) << "seed " << seed << "\n" << ladder_json(ladder);
    }
}

TEST(LadderJson, IsReadWithKeysThatNobodyKnows) {
    ordered_json file = sample();
    file["later"] = {1, 2};
    file["rungs"][0]["after"]["later"] = "x";
    const Result<Ladder> read = read_ladder(file.dump(), "old.json");
    ASSERT_TRUE(read.has_value()) << read.error().message;
    EXPECT_TRUE(*read == tests::made_up_ladder());
}

TEST(LadderJson, OfAnotherFormatIsRefused) {
    ordered_json file = sample();
    for (const ordered_json& format : {ordered_json(2), ordered_json(0), ordered_json("1"), ordered_json(1.5), ordered_json::array()}) {
        file["format"] = format;
        const std::string message = message_of(file.dump());
        EXPECT_TRUE(message.starts_with("old.json: format: expected 1, found ")) << message;
        EXPECT_EQ(message.find('\n'), std::string::npos);
    }
    file.erase("format");
    EXPECT_EQ(message_of(file.dump()), "old.json: format: expected 1, found no such key: not a file of rafter ladder --json");
}

TEST(LadderJson, SaysWhereSomethingElseStands) {
    const auto refused = [](const char* pointer, const ordered_json& value, const char* message) {
        ordered_json file = sample();
        file[ordered_json::json_pointer(pointer)] = value;
        EXPECT_EQ(message_of(file.dump()), message);
    };
    refused("/rungs/1/after/bytes", -1, "old.json: rungs[1]: after: bytes: expected a number of at least 0, found -1");
    refused("/rungs/1/after/bytes", "many", "old.json: rungs[1]: after: bytes: expected a number of at least 0, found \"many\"");
    refused("/rungs/2/before/roof", "sky",
            "old.json: rungs[2]: before: roof: expected \"memory\", \"compute\" or \"overhead\", found \"sky\"");
    refused("/rungs/0/check/kind", "felt",
            "old.json: rungs[0]: check: kind: expected \"none\", \"same_bits\", \"same_tokens\" or \"divergence\", found \"felt\"");
    refused("/rungs/0/check/n_tokens", 1.5, "old.json: rungs[0]: check: n_tokens: expected a whole number, found 1.5");
    refused("/rungs/3/notes/0", 7, "old.json: rungs[3]: notes[0]: expected a text, found 7");
    refused("/rungs", "none", "old.json: rungs: expected a list, found \"none\"");
    refused("/rungs/4", 3, "old.json: rungs[4]: expected an object, found 3");
    refused("/measured", 1, "old.json: measured: expected true or false, found 1");
    refused("/model/name", nullptr, "old.json: model: name: expected a text, found no such key");
    refused("/machine/roofs/0/flop_per_s", false, "old.json: machine: roofs[0]: flop_per_s: expected a number of at least 0, found false");
    refused("/machine/n_probes", -2, "old.json: machine: n_probes: expected a whole number from 0 to 4294967295, found -2");
    refused("/aims/0/is_share", "no", "old.json: aims[0]: is_share: expected true or false, found \"no\"");
}

TEST(LadderJson, NeedsEveryKeyThatIsNoResultOfOthers) {
    const auto erased_is_refused = [](const char* parent, const std::string& key) {
        ordered_json file = sample();
        file[ordered_json::json_pointer(parent)].erase(key);
        const std::string message = message_of(file.dump());
        EXPECT_NE(message.find(key), std::string::npos) << message;
        EXPECT_NE(message.find("no such key"), std::string::npos) << message;
    };
    const ordered_json file = sample();
    for (const auto& [key, value] : file.items()) erased_is_refused("", key);
    const std::set<std::string> kDerived{"tokens_per_second",
                                         "predicted_tokens_per_second",
                                         "intensity_flops_per_byte",
                                         "roof_fraction",
                                         "prediction_error",
                                         "measured_seconds",
                                         "gain",
                                         "predicted_gain",
                                         "skipped",
                                         "met"};
    for (const char* parent : {"/model", "/machine", "/machine/roofs/0", "/rungs/1", "/rungs/1/after", "/rungs/1/check", "/aims/0"}) {
        for (const auto& [key, value] : file[ordered_json::json_pointer(parent)].items()) {
            if (!kDerived.contains(key)) erased_is_refused(parent, key);
        }
    }
}

TEST(LadderJson, IsNoOtherText) {
    for (const char* text : {"", "null", "[]", "7", "{", "{\"format\":1}", "{\"format\":1,\"rungs\":[]}", "NaN"}) {
        const std::string message = message_of(text);
        EXPECT_TRUE(message.starts_with("old.json: ")) << message;
        EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    }
}

TEST(LadderJson, CutAnywhereIsRefused) {
    const std::string whole = ladder_json(tests::made_up_ladder());
    for (std::size_t size = 0; size + 3 < whole.size(); size += 997) EXPECT_FALSE(message_of(whole.substr(0, size)).empty());
}

}  // namespace
}  // namespace rafter::planning
