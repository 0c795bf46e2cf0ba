// rafter eval in parts: the perplexity of a text (eval.cpp), the divergence from a reference (eval_against.cpp), and multiple choice
// (eval_tasks.cpp).
#pragma once

#include <optional>
#include <string>

#include "apps/cli.h"
#include "apps/judging_texts.h"
#include "apps/profile_report.h"
#include "apps/session.h"
#include "engine/measure/text_windows.h"

namespace rafter::apps {

struct EvalOptions {
    SessionOptions session;
    std::string text_file;   // "": the text in the program
    std::string tasks_file;  // "": none; "built-in": the tasks in the program
    std::string reference;   // of --against; "": none
    std::string reference_mode = "exact";
    std::string logprobs_file;
    std::optional<std::uint32_t> n_windows;
    bool json = false;
    ProfileReportOptions profile;
};

// Rows of logits that a step of the models may have room for.
[[nodiscard]] std::uint32_t eval_outputs(const model::ModelConfig& config, std::uint32_t context);
// Fails where --context is too short for a window.
[[nodiscard]] Result<void> check_eval_context(const EvalOptions& options);
// What the text is called in messages and results: its file, or "the built-in text".
[[nodiscard]] std::string eval_text_name(const EvalOptions& options);
// The text in windows, as the options ask.
[[nodiscard]] Result<engine::TextWindows> eval_windows(const EvalOptions& options, const text::Tokenizer& tokenizer);

// The exit status.
[[nodiscard]] Result<int> eval_against(const EvalOptions& options, const Environment& environment);
[[nodiscard]] Result<int> eval_tasks(const EvalOptions& options, const Environment& environment);

}  // namespace rafter::apps
