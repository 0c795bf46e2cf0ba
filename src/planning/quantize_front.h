// What a quantiser with a target found: the front of sizes, speeds and losses, the choice on it, and how the choice was measured. Plain
// data; the functions below show it.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "engine/measure/divergence.h"
#include "engine/quantize/repair.h"
#include "engine/quantize/type_losses.h"
#include "report/style.h"

namespace rafter::planning {

struct FrontPoint {
    double size_bytes = 0.0;    // of the file
    double bits = 0.0;          // a weight, all tensors together
    double tokens_per_s = 0.0;  // predicted, one sequence; 0: not asked for
    double kl = 0.0;            // predicted, nats a token
    std::string types;          // "30 Q4_K, 1 Q6_K"
    bool is_chosen = false;
};

struct QuantizeFront {
    std::string model;               // "SmolLM2 135M Instruct"
    std::string target;              // in the target's own measure: "size=105.5 MB (105,454,144 bytes)"
    bool is_speed = false;           // the target is one of tokens a second
    double source_bytes = 0.0;       // of the source's tensors
    std::vector<FrontPoint> points;  // from the cheapest on
    engine::DivergenceSummary loss;  // of the choice, measured on the text
    double predicted_kl = 0.0;       // of the choice
    std::vector<engine::TypeLoss> type_losses;
    double first_kl = 0.0;  // of the choice before any repair, measured
    std::vector<engine::RepairTrial> trials;
    std::string text;                 // that all was measured on
    std::string hardware;             // whose speed is predicted; "": nobody's
    std::uint32_t n_context = 0;      // positions that the decoded token sees
    std::vector<std::string> doubts;  // sentences: what makes the numbers doubtful
    std::string version;              // of the program
    std::string command;              // that makes this again
};

[[nodiscard]] std::string front_text(const QuantizeFront& front, const report::Style& style);
// Loss against size, or against tokens a second, as a picture of its own.
[[nodiscard]] std::string front_svg(const QuantizeFront& front);
// One self-contained page: the choice, the picture, the table, and how it was measured.
[[nodiscard]] std::string front_html(const QuantizeFront& front);

}  // namespace rafter::planning
