// The metrics of GET /metrics, in Prometheus' text format: vLLM's names, so that its dashboards work, and this program's own beyond them.
// With the prefix "vllm:" names are exactly vLLM's; with any other, a histogram whose name ends in "_total" loses that ending.
//
// Every function is for the server's thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "engine/engine_thread.h"
#include "server/admission/gate.h"
#include "server/http/http_server.h"
#include "server/observe/request_record.h"
#include "server/observe/step_watch.h"

namespace rafter::server {

struct MetricsOptions {
    std::string prefix = "rafter_";  // letters, digits, '_' and ':'; not a digit first
    std::string model_name;          // of the label model_name
    std::uint32_t context = 4096;    // tokens of a sequence at most: the last bucket of token counts
};

class Metrics {
  public:
    // watch outlives this.
    Metrics(const MetricsOptions& options, const StepWatch& watch);
    ~Metrics();
    Metrics(const Metrics&) = delete;
    Metrics& operator=(const Metrics&) = delete;

    // What these count is lost where there is no memory for it; no request depends on it.
    // Each HTTP request that was answered or whose client is gone, once.
    void add_request(const RequestRecord& record) noexcept;
    // Of each sequence: from its arrival to its first token; from one token to the next.
    void first_token(double seconds);
    void between_tokens(double seconds);
    // Requests that the gate or the limits refused: "busy", "rate", "too_large", "stopping", "unauthorized", "bad_request", ...: a fixed
    // set of words of the program, never text of a request.
    void refused(std::string_view reason) noexcept;
    // Lines that the request log has lost, since the start.
    void lost_log_lines(std::uint64_t total);

    // How things are now.
    struct Now {
        engine::EngineSnapshot engine;
        GateLoad load;
        std::optional<HttpCounters> http = {};      // none: another page has what is the whole server's, and the process's
        std::uint64_t n_changed_system_tokens = 0;  // PrefixWatch's, since the start
        double seconds = watch_seconds();
    };
    struct Page {
        Metrics& metrics;
        Now now;
    };
    // One page of all: what they have under one name stands together.
    [[nodiscard]] static std::string text(std::span<const Page> pages);
    [[nodiscard]] static constexpr std::string_view content_type() { return "text/plain; version=0.0.4; charset=utf-8"; }

  private:
    class State;
    std::unique_ptr<State> state_;
};

// Why a prefix cannot stand before metrics' names; empty: it can.
[[nodiscard]] std::string check_metrics_prefix(std::string_view prefix);

}  // namespace rafter::server
