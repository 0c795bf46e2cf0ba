// What all forms of a comparison say in the same words.
#pragma once

#include <string>
#include <vector>

#include "planning/comparison.h"
#include "report/tradeoff_chart.h"

namespace rafter::planning {

[[nodiscard]] report::TradeoffChart tradeoff_of(const Comparison& comparison);
[[nodiscard]] std::string comparison_title(const Comparison& comparison);  // "3 models on AMD EPYC, 2 threads"
// The answer: which models no other beats. "On the Pareto front, from the fastest: 3 (Q4_0, 74.2 tok/s, KL 0.012), 1 (...)"
[[nodiscard]] std::string front_words(const Comparison& comparison);
// "KL divergence from X (float32 activations and cache), nats a token, on the built-in text: 11 windows of 512, 2,805 tokens"
[[nodiscard]] std::string loss_words(const Comparison& comparison);
[[nodiscard]] std::string speed_words(const Comparison& comparison);  // what was timed
[[nodiscard]] std::string kl_error_words(double kl, double error);    // "0.0123 ± 0.0004", both to the same digit
[[nodiscard]] std::string kl_words(double kl);  // "0.0123", three digits that count, seven after the point at most; "0"

}  // namespace rafter::planning
