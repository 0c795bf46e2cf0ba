// The page of metrics: names that dashboards read, numbers that were counted, and promtool's opinion where it is installed.
#include "server/observe/metrics.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <regex>

namespace rafter::server {
namespace {

engine::StepReport metered_step(double seconds) {
    engine::StepReport step;
    step.kind = engine::StepKind::kDecode;
    step.shape.sequences.assign(4, {.n_new = 1, .n_past = 100, .n_outputs = 1});
    step.n_chosen = 4;
    step.n_decoding = 4;
    step.predicted_seconds = seconds / 2;
    step.step_seconds = seconds;
    step.forward_seconds = seconds;
    return step;
}

RequestRecord request() {
    RequestRecord record;
    record.status = 200;
    record.seconds = 2.0;
    record.computed = true;
    record.finish_reason = "cancelled";
    record.n_sequences = 1;
    record.times = {.n_prompt = 30, .n_reused = 16, .n_generated = 7, .queue_seconds = 0.4, .prefill_seconds = 0.2, .decode_seconds = 1.4};
    record.first_token_seconds = 0.6;
    record.predicted_first_token_seconds = 0.54;
    return record;
}

struct Page {
    explicit Page(const std::string& prefix) : metrics({.prefix = prefix, .model_name = "a \"model\"\\", .context = 4096}, watch) {}

    std::string text() {
        const Metrics::Page page{metrics, {.engine = engine, .load = load, .http = http, .n_changed_system_tokens = 120}};
        return Metrics::text({&page, 1});
    }
    // A busy page: every family has a member.
    void fill() {
        for (int i = 0; i < 10; ++i) watch.record(metered_step(0.02));
        metrics.add_request(request());
        metrics.add_request({.status = 404});
        metrics.first_token(0.6);
        metrics.between_tokens(0.02);
        metrics.refused("busy");
        metrics.lost_log_lines(3);
        engine.n_running = 4;
        engine.cache = {.n_blocks = 100, .n_used = 30, .n_kept = 20};
        engine.prefix = {.tokens_asked = 1000, .tokens_found = 400, .tokens_restored = 5, .missed_new = 500, .missed_evicted = 95};
        engine.scheduler.preemptions = 2;
        engine.speculation.n_drafts = 5;
        engine.speculation.n_draft_tokens = 10;
        engine.speculation.n_accepted_tokens = 6;
        engine.speculation.accepted_per_position = {5, 1};
        load = {.n_queued = 3, .n_waiting = 2, .queued_seconds = 1.5};
        http = {.n_connections = 7, .n_accepted = 20, .n_refused = 1, .n_bad_requests = 2};
    }

    StepWatch watch;
    Metrics metrics;
    engine::EngineSnapshot engine;
    GateLoad load;
    HttpCounters http;
};

// The value of a line that begins so; NaN: there is none.
double value_of(const std::string& page, const std::string& name, const std::string& labels = "") {
    std::istringstream lines(page);
    for (std::string line; std::getline(lines, line);) {
        if (!line.starts_with(name + "{") && !line.starts_with(name + " ")) continue;
        if (line.find(labels) == std::string::npos) continue;
        return std::strtod(line.substr(line.rfind(' ')).c_str(), nullptr);
    }
    return std::nan("");
}

TEST(Metrics, HaveTheNamesThatDashboardsRead) {
    Page page("vllm:");
    page.fill();
    const std::string text = page.text();
    for (const char* name : {"num_requests_running",
                             "num_requests_waiting",
                             "kv_cache_usage_perc",
                             "prompt_tokens_total",
                             "generation_tokens_total",
                             "prefix_cache_queries_total",
                             "prefix_cache_hits_total",
                             "num_preemptions_total",
                             "request_success_total",
                             "spec_decode_num_drafts_total",
                             "spec_decode_num_draft_tokens_total",
                             "spec_decode_num_accepted_tokens_total",
                             "spec_decode_num_accepted_tokens_per_pos_total",
                             "time_to_first_token_seconds_bucket",
                             "inter_token_latency_seconds_bucket",
                             "time_per_output_token_seconds_bucket",
                             "e2e_request_latency_seconds_bucket",
                             "request_queue_time_seconds_bucket",
                             "request_prefill_time_seconds_bucket",
                             "request_decode_time_seconds_bucket",
                             "request_inference_time_seconds_bucket",
                             "request_prompt_tokens_bucket",
                             "request_generation_tokens_bucket",
                             "iteration_tokens_total_bucket"}) {
        EXPECT_FALSE(std::isnan(value_of(text, std::string("vllm:") + name, "model_name=\"a \\\"model\\\"\\\\\""))) << name;
    }
    EXPECT_EQ(value_of(text, "vllm:request_success_total", "finished_reason=\"abort\""), 1.0);
    EXPECT_EQ(value_of(text, "vllm:time_to_first_token_seconds_bucket", "le=\"0.75\""), 1.0);
    EXPECT_EQ(value_of(text, "vllm:time_to_first_token_seconds_bucket", "le=\"0.5\""), 0.0);
}

TEST(Metrics, SayWhatWasCounted) {
    Page page("rafter_");
    page.fill();
    const std::string text = page.text();
    EXPECT_EQ(value_of(text, "rafter_num_requests_running"), 4.0);
    EXPECT_EQ(value_of(text, "rafter_num_requests_waiting"), 5.0);
    EXPECT_NEAR(value_of(text, "rafter_kv_cache_usage_perc"), 0.3, 1e-9);
    EXPECT_EQ(value_of(text, "rafter_kv_cache_blocks", "state=\"free\""), 50.0);
    EXPECT_EQ(value_of(text, "rafter_prompt_tokens_total"), 30.0);
    EXPECT_EQ(value_of(text, "rafter_generation_tokens_total"), 40.0);
    EXPECT_EQ(value_of(text, "rafter_prefix_cache_hits_total"), 405.0);
    EXPECT_EQ(value_of(text, "rafter_prefix_cache_missed_tokens_total", "reason=\"evicted\""), 95.0);
    EXPECT_EQ(value_of(text, "rafter_prefix_cache_missed_tokens_total", "reason=\"system_changed\""), 120.0);
    EXPECT_EQ(value_of(text, "rafter_prefix_cache_missed_tokens_total", "reason=\"new\""), 380.0);  // of the engine's 500
    EXPECT_EQ(value_of(text, "rafter_spec_decode_num_accepted_tokens_per_pos_total", "position=\"1\""), 1.0);
    EXPECT_EQ(value_of(text, "rafter_request_success_total", "finished_reason=\"cancelled\""), 1.0);
    EXPECT_EQ(value_of(text, "rafter_http_responses_total", "status=\"404\""), 1.0);
    EXPECT_EQ(value_of(text, "rafter_refusals_total", "reason=\"busy\""), 1.0);
    EXPECT_EQ(value_of(text, "rafter_log_lines_lost_total"), 3.0);
    EXPECT_EQ(value_of(text, "rafter_iteration_tokens_count"), 10.0);
    EXPECT_EQ(value_of(text, "rafter_step_measured_seconds_count", "bound=\"unknown\""), 10.0);
    EXPECT_NEAR(value_of(text, "rafter_step_measured_seconds_sum", "phase=\"decode\""), 0.2, 1e-9);
    EXPECT_NEAR(value_of(text, "rafter_step_predicted_seconds_sum", "phase=\"decode\""), 0.1, 1e-9);
    EXPECT_EQ(value_of(text, "rafter_prediction_error_ratio_bucket", "le=\"1\""), 10.0);
    EXPECT_EQ(value_of(text, "rafter_prediction_error_ratio_bucket", "le=\"0.5\""), 0.0);
    EXPECT_EQ(value_of(text, "rafter_time_to_first_token_prediction_error_ratio_bucket", "le=\"0.15\""), 1.0);
    EXPECT_EQ(value_of(text, "rafter_time_to_first_token_prediction_error_ratio_bucket", "le=\"0.05\""), 0.0);
    EXPECT_TRUE(std::isnan(value_of(text, "rafter_bandwidth_utilization")));  // no machine profile
    EXPECT_GT(value_of(text, "process_resident_memory_bytes"), 1e6);
    EXPECT_GT(value_of(text, "process_open_fds"), 2.0);
    EXPECT_GT(value_of(text, "process_start_time_seconds"), 1.5e9);
    EXPECT_EQ(value_of(text, "rafter_build_info"), 1.0);
}

TEST(Metrics, AskedTwiceTheEngineIsCountedOnce) {
    Page page("rafter_");
    page.fill();
    (void)page.text();
    page.metrics.lost_log_lines(3);
    page.watch.record(metered_step(0.02));
    const std::string text = page.text();
    EXPECT_EQ(value_of(text, "rafter_log_lines_lost_total"), 3.0);
    EXPECT_EQ(value_of(text, "rafter_prefix_cache_queries_total"), 1000.0);
    EXPECT_EQ(value_of(text, "rafter_generation_tokens_total"), 44.0);
    EXPECT_EQ(value_of(text, "rafter_iteration_tokens_count"), 11.0);
    EXPECT_EQ(value_of(text, "rafter_step_measured_seconds_count"), 11.0);
}

// promtool's words on a page; "skipped" where it is not installed.
std::string promtool(const std::string& page) {
    if (std::system("command -v promtool >/dev/null 2>&1") != 0) return "skipped";
    const std::string path = testing::TempDir() + fmt::format("metrics-{}.txt", getpid());
    std::ofstream(path) << page;
    FILE* const pipe = popen(fmt::format("promtool check metrics < {} 2>&1", path).c_str(), "r");
    std::string said;
    std::array<char, 4096> chunk{};
    for (std::size_t n = 0; (n = fread(chunk.data(), 1, chunk.size(), pipe)) > 0;) said.append(chunk.data(), n);
    const int status = pclose(pipe);
    std::remove(path.c_str());
    return status == 0 || !said.empty() ? said : fmt::format("status {}", status);
}

TEST(Metrics, PromtoolHasNothingToSay) {
    for (const bool filled : {false, true}) {
        Page page("rafter_");
        if (filled) page.fill();
        const std::string said = promtool(page.text());
        if (said == "skipped") GTEST_SKIP() << "promtool is not installed";
        EXPECT_EQ(said, "");
    }
}

// Colons are for recording rules, and a histogram should not be called "_total": vLLM's names are what they are.
TEST(Metrics, OfVllmsNamesPromtoolMindsColonsAndOneTotal) {
    Page page("vllm:");
    page.fill();
    const std::string said = promtool(page.text());
    if (said == "skipped") GTEST_SKIP() << "promtool is not installed";
    std::istringstream lines(said);
    for (std::string line; std::getline(lines, line);) {
        const bool colon = line.find("should not contain ':'") != std::string::npos;
        const bool total = line == "vllm:iteration_tokens_total non-counter metrics should not have \"_total\" suffix";
        EXPECT_TRUE(colon || total) << line;
    }
}

TEST(Metrics, APrefixIsPartOfAName) {
    EXPECT_EQ(check_metrics_prefix("rafter_"), "");
    EXPECT_EQ(check_metrics_prefix("vllm:"), "");
    for (const char* wrong : {"", "1st_", "a-b", "a b", "a\n"}) EXPECT_NE(check_metrics_prefix(wrong), "") << wrong;
}

}  // namespace
}  // namespace rafter::server
