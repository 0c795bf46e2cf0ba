// Models of one vocabulary side by side: bytes, speed as predicted and as measured, and how far each is from a reference. Plain data;
// comparison_run.h measures it, and the functions below show it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/measure/divergence.h"
#include "report/style.h"

namespace rafter::planning {

struct ComparedSpeed {
    double predicted = 0.0;  // tokens a second, by the machine's profile
    double measured = 0.0;
    double spread = 0.0;  // between the quartiles of the measurements, over their median
};

struct ComparedModel {
    std::string title;        // "SmolLM2 135M Instruct, Q4_0"
    std::string file;         // without its folder
    double size_bytes = 0.0;  // of the file
    double bits = 0.0;        // a weight, all tensors together
    ComparedSpeed prefill, decode;
    bool disturbed = false;  // other programs used the CPUs while it was timed
    engine::DivergenceSummary loss;
};

struct Comparison {
    std::vector<ComparedModel> models;
    std::string reference_title;
    std::string reference_file;
    std::string reference_mode;  // "exact", "same": apps/reference_model.h
    std::string text;            // its file, or "the built-in text"
    std::size_t n_windows = 0;
    std::uint32_t context = 0;        // tokens a window
    std::uint32_t n_prompt = 0;       // tokens of the measured prefill
    std::uint32_t n_context = 0;      // positions that the measured decoding step sees
    std::string hardware;             // "AMD EPYC, 2 threads, avx2"
    std::string version;              // of the program
    std::string command;              // that makes this again
    std::vector<std::string> doubts;  // sentences: what makes the numbers doubtful
};

// columns: of the terminal; 80 in a pipe.
[[nodiscard]] std::string comparison_text(const Comparison& comparison, const report::Style& style, std::size_t columns = 80);
[[nodiscard]] std::string comparison_json(const Comparison& comparison);
// Quality lost against tokens a second with the Pareto front, as a picture of its own.
[[nodiscard]] std::string comparison_svg(const Comparison& comparison);
// One self-contained page: the answer, the picture, the table, and how it was measured.
[[nodiscard]] std::string comparison_html(const Comparison& comparison);

}  // namespace rafter::planning
