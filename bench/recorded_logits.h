// Logits that a real model gives for a real text, recorded when the benchmark runs: random ones are less peaked and less alike.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "engine/loading/loaded_model.h"

namespace rafter::bench {

inline constexpr std::string_view kRecordedText =
    "The tide went out slowly that morning, and the boats settled one after another on the mud. Nobody in the harbour seemed to mind: "
    "there "
    "were nets to mend, and the price of herring had fallen again. \"We could go on Thursday,\" she said, \"if the wind turns.\" In 1897 "
    "the "
    "first lighthouse was built here of granite, 31 metres high, at a cost of 12,400 pounds.\n\nfor (int i = 0; i < n; ++i) {\n    sum += "
    "x[i]";

// One row a token of the text, cut to n_vocab logits. Fails where the model cannot be loaded or has a smaller vocabulary.
inline Result<std::vector<std::vector<float>>> record_logits(const std::filesystem::path& path, std::size_t n_vocab) {
    RAFTER_TRY(engine::Runtime runtime, engine::Runtime::create({}));
    RAFTER_TRY(const engine::OpenedModel opened, engine::open_model(path));
    std::vector<text::TokenId> tokens = opened.tokenizer->encode(kRecordedText, text::SpecialTokens::kAsText);
    if (const auto begin = opened.tokenizer->special().bos) tokens.insert(tokens.begin(), *begin);
    const auto n = static_cast<std::uint32_t>(tokens.size());
    RAFTER_TRY(const engine::LoadedModel loaded, engine::load_model(runtime, opened, {.context = 512, .n_outputs = n}));
    backend::Batch batch;
    backend::BatchSequence sequence{.step = {.n_new = n, .n_past = 0, .n_outputs = n}};
    for (const std::uint32_t n_blocks : loaded.scheduler.n_blocks) {
        auto& table = sequence.block_tables.emplace_back();
        for (std::uint32_t block = 0; block < std::min(n_blocks, 512 / loaded.scheduler.block_size); ++block) table.push_back(block);
    }
    batch.sequences.push_back(std::move(sequence));
    for (std::uint32_t i = 0; i < n; ++i) {
        batch.tokens.push_back(tokens[i]);
        batch.positions.push_back(i);
        batch.output_rows.push_back(i);
    }
    const backend::StepOutput out = loaded.device->forward(batch);
    if (out.n_vocab < n_vocab) return bad_input("{}: expected {} logits or more, found {}", path.string(), n_vocab, out.n_vocab);
    std::vector<std::vector<float>> rows;
    for (std::uint32_t i = 0; i < n; ++i) {
        const auto logits = out.logits_of(i).first(n_vocab);
        rows.emplace_back(logits.begin(), logits.end());
    }
    return rows;
}

}  // namespace rafter::bench
