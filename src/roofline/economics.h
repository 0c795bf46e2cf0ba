// What speed is worth: tokens a dollar, and what a batch may be under a promise of latency.
#pragma once

#include <optional>

namespace rafter::roofline {

// A request: its prompt is computed once, its answer in steps that it shares with the rest of the batch.
struct Request {
    double n_output = 0.0;
    double prefill_seconds = 0.0;
    double step_seconds = 0.0;  // of the batch
    double n_batch = 1.0;
};

// Seconds that one request keeps the devices busy: prefill + n_output * step / batch.
[[nodiscard]] double device_seconds(const Request& request);
// Tokens answered a second by devices that always have a full batch, prefills included.
[[nodiscard]] double served_tokens_per_second(const Request& request);
// What one user waits for a whole answer, not counting a queue.
[[nodiscard]] double request_seconds(const Request& request);

struct Cost {
    std::optional<double> price_per_hour;                   // of all devices
    std::optional<double> per_million_output_tokens;        // decoding alone, at this batch
    std::optional<double> per_million_input_tokens;         // prefill alone
    std::optional<double> per_million_tokens_with_prefill;  // answered tokens, prefill paid by them
};
[[nodiscard]] Cost cost_of_tokens(std::optional<double> price_per_hour, double decode_tokens_per_second, double prefill_tokens_per_second,
                                  double served_tokens_per_second);

}  // namespace rafter::roofline
