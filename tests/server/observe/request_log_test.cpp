// Lines of the request log: what they say, what they never say, and what a full disk or a stuck reader costs.
#include "server/observe/request_log.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "server/observe/traceparent.h"

namespace rafter::server {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTrace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
constexpr double kTime = 1'796'000'000.125;

RequestRecord logged_request() {
    RequestRecord record;
    record.id = "req-1";
    record.method = "POST";
    record.path = "/v1/chat/completions";
    record.client = "127.0.0.1";
    record.key = "team-a";
    record.traceparent = kTrace;
    record.span_id = "00f067aa0ba902b8";
    record.status = 200;
    record.seconds = 2.0;
    record.computed = true;
    record.finish_reason = "stop";
    record.n_sequences = 1;
    record.times = {.n_prompt = 30, .n_reused = 16, .n_generated = 7, .queue_seconds = 0.4, .prefill_seconds = 0.2, .decode_seconds = 1.4};
    record.first_token_seconds = 0.6;
    record.predicted_first_token_seconds = 0.54;
    record.bound = "memory";
    record.roof_fraction = 0.71;
    record.ignored_keys = {"top_a", "foo bar"};
    return record;
}

TEST(LogLine, SaysWhatARequestWas) {
    EXPECT_EQ(plain_line(logged_request(), kTime),
              "2026-11-30T00:53:20.125Z 200 POST   /v1/chat/completions     2.000s in=30(16 cached) out=7 queue=0.400 first=0.600(0.540) "
              "bound=memory roof=71% finish=stop key=team-a id=req-1 client=127.0.0.1 trace=4bf92f3577b34da6a3ce929d0e0e4736 "
              "ignored=top_a,\"foo bar\"");
    RequestRecord health{.id = "req-2", .method = "GET", .path = "/health", .status = 200, .seconds = 0.0001};
    EXPECT_EQ(plain_line(health, kTime), "2026-11-30T00:53:20.125Z 200 GET    /health                  0.000s id=req-2");
}

TEST(LogLine, AsJsonIsAnObjectWithItsSpan) {
    const auto line = nlohmann::json::parse(json_line(logged_request(), kTime));
    EXPECT_EQ(line["id"], "req-1");
    EXPECT_EQ(line["status"], 200);
    EXPECT_EQ(line["key"], "team-a");
    EXPECT_EQ(line["prompt_tokens"], 30);
    EXPECT_EQ(line["cached_tokens"], 16);
    EXPECT_EQ(line["completion_tokens"], 7);
    EXPECT_EQ(line["predicted_first_token_seconds"], 0.54);
    EXPECT_TRUE(line["predicted_last_token_seconds"].is_null());
    EXPECT_EQ(line["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    EXPECT_EQ(line["parent_span_id"], "00f067aa0ba902b7");
    EXPECT_EQ(line["span_id"], "00f067aa0ba902b8");
    EXPECT_EQ(line["start_time"], "2026-11-30T00:53:18.125Z");
    EXPECT_EQ(line["ignored_keys"], (std::vector<std::string>{"top_a", "foo bar"}));
    EXPECT_FALSE(line.contains("prompt"));
    EXPECT_FALSE(line.contains("error"));
}

// Whatever stands in a field, a line stays one line of printable ASCII, and a reader sees where a value ends.
TEST(LogLine, NothingFromOutsideEscapesItsValue) {
    const std::string nasty = std::string("\r\n200 GET /admin key=root \x1b[2J\"'\\ \0 \x80\xff \xe2\x80\xae", 43);
    RequestRecord record = logged_request();
    record.id = record.method = record.path = record.client = record.key = record.finish_reason = record.bound = record.error = nasty;
    record.traceparent = std::string(kTrace) + "\r\nx: y";
    record.ignored_keys = {nasty, std::string(1'000'000, 'k')};
    for (const std::string& line : {plain_line(record, kTime, nasty), json_line(record, kTime, nasty)}) {
        for (const char c : line) ASSERT_TRUE(c >= 0x20 && c < 0x7f) << line;
        EXPECT_LT(line.size(), 4'000U);
        EXPECT_EQ(line.find("4bf92f"), std::string::npos);  // no valid trace, so none
    }
    const auto parsed = nlohmann::json::parse(json_line(record, kTime, nasty));
    EXPECT_EQ(parsed["status"], 200);
    EXPECT_TRUE(parsed["path"].get<std::string>().starts_with("\r\n200 GET"));
    EXPECT_NE(plain_line(record, kTime).find("key=\"\\x0d\\x0a200 GET"), std::string::npos);
}

class RequestLogTest : public testing::Test {
  protected:
    void SetUp() override { fs::create_directories(folder_); }
    void TearDown() override { fs::remove_all(folder_); }

    RequestLogOptions options(const fs::path& file, LogFormat format = LogFormat::kJson) {
        return {.format = format, .file = file, .notice = [this](std::string_view message) {
                    const std::lock_guard lock(mutex_);
                    notices_.emplace_back(message);
                }};
    }
    std::vector<std::string> notices() {
        const std::lock_guard lock(mutex_);
        return notices_;
    }
    static std::vector<std::string> lines_of(const fs::path& file) {
        std::ifstream in(file);
        std::vector<std::string> lines;
        for (std::string line; std::getline(in, line);) lines.push_back(line);
        return lines;
    }

    const fs::path folder_ = fs::path(testing::TempDir()) / fmt::format("rafter-request-log-{}", getpid());
    std::mutex mutex_;
    std::vector<std::string> notices_;
};

TEST_F(RequestLogTest, WritesOneLineARequestAndNoPromptUnlessAsked) {
    for (const bool log_prompts : {false, true}) {
        const fs::path file = folder_ / (log_prompts ? "with" : "without");
        {
            RequestLogOptions all = options(file);
            all.log_prompts = log_prompts;
            auto log = RequestLog::open(std::move(all)).value();
            for (int i = 0; i < 50; ++i) log->write(logged_request(), "a secret prompt");
        }
        const auto lines = lines_of(file);
        ASSERT_EQ(lines.size(), 50U);
        for (const std::string& line : lines) EXPECT_EQ(line.find("secret") != std::string::npos, log_prompts);
    }
    EXPECT_TRUE(notices().empty());
}

TEST_F(RequestLogTest, GoesOnInANewFileAfterReopen) {
    const fs::path file = folder_ / "log";
    auto log = RequestLog::open(options(file)).value();
    log->write(logged_request());
    ASSERT_TRUE(log->wait_until_written(30.0));
    fs::rename(file, folder_ / "log.1");
    log->write(logged_request());
    ASSERT_TRUE(log->wait_until_written(30.0));
    EXPECT_EQ(lines_of(folder_ / "log.1").size(), 2U);
    log->reopen();
    ASSERT_TRUE(log->wait_until_written(30.0));
    log->write(logged_request());
    ASSERT_TRUE(log->wait_until_written(30.0));
    EXPECT_EQ(lines_of(folder_ / "log.1").size(), 2U);
    EXPECT_EQ(lines_of(file).size(), 1U);
}

TEST_F(RequestLogTest, AFullDiskLosesLinesAndIsSaidOnceAtItsBeginningAndOnceAtItsEnd) {
    if (!fs::exists("/dev/full")) GTEST_SKIP() << "the system has no /dev/full";
    const fs::path file = folder_ / "log";
    fs::create_symlink("/dev/full", file);
    auto log = RequestLog::open(options(file)).value();
    for (int i = 0; i < 5; ++i) {
        log->write(logged_request());
        ASSERT_TRUE(log->wait_until_written(30.0));
    }
    EXPECT_EQ(log->n_lost(), 5U);
    ASSERT_EQ(notices().size(), 1U);
    EXPECT_NE(notices()[0].find("No space left on device"), std::string::npos) << notices()[0];
    fs::remove(file);
    log->reopen();
    log->write(logged_request());
    ASSERT_TRUE(log->wait_until_written(30.0));
    ASSERT_EQ(notices().size(), 2U);
    EXPECT_EQ(notices()[1], "the request log is written again; 5 lines were lost");
    EXPECT_EQ(lines_of(file).size(), 1U);
}

// A reader that does not read: the caller goes on at once, and what does not fit is lost and counted.
TEST_F(RequestLogTest, AStuckReaderStopsNobody) {
    const fs::path pipe = folder_ / "pipe";
    ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
    std::ifstream reader;
    std::thread opens([&] { reader.open(pipe); });  // waits for the writer
    auto opened = RequestLog::open(options(pipe));
    for (int i = 0; i < 2000 && !opened; ++i) {  // until the reader is there
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
        opened = RequestLog::open(options(pipe));
    }
    ASSERT_TRUE(opened.has_value());
    opens.join();
    auto log = *std::move(opened);
    constexpr std::uint64_t kLines = 8'000;  // some 4 MB
    for (std::uint64_t i = 0; i < kLines; ++i) log->write(logged_request());
    const std::uint64_t n_lost = log->n_lost();
    EXPECT_GT(n_lost, kLines / 4);
    std::uint64_t n_read = 0;
    std::thread reads([&] {
        for (std::string line; std::getline(reader, line);) ++n_read;
    });
    EXPECT_TRUE(log->wait_until_written(60.0));
    log.reset();
    reads.join();
    EXPECT_EQ(n_read + n_lost, kLines);
    ASSERT_EQ(notices().size(), 1U);
    EXPECT_EQ(notices()[0], fmt::format("the request log is written again; {} lines were lost", n_lost));
}

TEST_F(RequestLogTest, AFileThatCannotBeOpenedIsAnError) {
    const auto log = RequestLog::open(options(folder_ / "no" / "such" / "folder"));
    ASSERT_FALSE(log.has_value());
    EXPECT_NE(log.error().message.find("no/such/folder"), std::string::npos);
}

TEST(Traceparent, IsReadAsTheSpecificationSays) {
    const auto trace = parse_traceparent(kTrace);
    ASSERT_TRUE(trace);
    EXPECT_EQ(trace->trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
    EXPECT_EQ(trace->parent_id, "00f067aa0ba902b7");
    EXPECT_EQ(trace->flags, "01");
    EXPECT_EQ(trace->text(), kTrace);
    EXPECT_TRUE(parse_traceparent("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes"));
    EXPECT_TRUE(parse_traceparent("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
    for (const char* wrong : {"", "00", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
                              "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",    // no such version
                              "00-00000000000000000000000000000000-00f067aa0ba902b7-01",    // no trace
                              "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",    // no parent
                              "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",    // upper case
                              "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",  // longer than version 00 is
                              "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",   // no dash before more
                              "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",    // no dash
                              "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",    // no digit
                              "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-\r\n"}) {
        EXPECT_FALSE(parse_traceparent(wrong)) << wrong;
    }
}

TEST(Traceparent, OfTheAnswerIsTheSameTraceWithASpanOfItsOwn) {
    SpanIds ids;
    std::set<std::string> seen;
    for (int i = 0; i < 100; ++i) {
        const auto answer = parse_traceparent(ids.answer_to(kTrace));
        ASSERT_TRUE(answer);
        EXPECT_EQ(answer->trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
        EXPECT_EQ(answer->flags, "01");
        EXPECT_NE(answer->parent_id, "00f067aa0ba902b7");
        seen.insert(answer->parent_id);
    }
    EXPECT_EQ(seen.size(), 100U);
    EXPECT_EQ(ids.answer_to("00-nonsense"), "");
}

}  // namespace
}  // namespace rafter::server
