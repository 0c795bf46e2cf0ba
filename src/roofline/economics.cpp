// Price an hour over tokens an hour.
#include "roofline/economics.h"

#include <algorithm>

namespace rafter::roofline {

double device_seconds(const Request& r) { return r.prefill_seconds + r.n_output * r.step_seconds / std::max(r.n_batch, 1e-300); }

double served_tokens_per_second(const Request& r) {
    const double seconds = device_seconds(r);
    return seconds > 0 ? r.n_output / seconds : 0.0;
}

double request_seconds(const Request& r) { return r.prefill_seconds + r.n_output * r.step_seconds; }

Cost cost_of_tokens(std::optional<double> price_per_hour, double decode_tokens_per_second, double prefill_tokens_per_second,
                    double served_tokens_per_second) {
    Cost cost{.price_per_hour = price_per_hour};
    if (!price_per_hour) return cost;
    const auto per_million = [&](double tokens_per_second) -> std::optional<double> {
        if (tokens_per_second <= 0) return std::nullopt;
        return *price_per_hour / 3600 / tokens_per_second * 1e6;
    };
    cost.per_million_output_tokens = per_million(decode_tokens_per_second);
    cost.per_million_input_tokens = per_million(prefill_tokens_per_second);
    cost.per_million_tokens_with_prefill = per_million(served_tokens_per_second);
    return cost;
}

}  // namespace rafter::roofline
