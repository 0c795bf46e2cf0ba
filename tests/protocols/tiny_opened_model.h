// A tiny model's words: tokenizer, chat template and the number of ids that requests are checked against.
#pragma once

#include <string>
#include <vector>

#include "engine/loading/loaded_model.h"
#include "files/gguf.h"
#include "tests/support/tiny_model.h"

namespace rafter::protocols::tests {

inline constexpr std::uint32_t kVocab = 300;  // of the configuration, which is what ids are checked against

inline engine::OpenedModel tiny_opened_model() {
    static const std::vector<std::byte> bytes = model::tiny_gguf({});
    auto file = files::GgufFile::parse(bytes, "tiny").value();
    auto tokenizer = text::Tokenizer::load(file.metadata()).value();
    const auto source = file.metadata().get_string("tokenizer.chat_template").value();
    engine::OpenedModel opened{.source = std::make_unique<files::GgufFile>(std::move(file)),
                               .tokenizer = std::move(tokenizer),
                               .config = {},
                               .chat_template = text::ChatTemplate::parse(std::string(source), "test").value(),
                               .has_own_template = true};
    opened.config.n_vocab = kVocab;
    return opened;
}

}  // namespace rafter::protocols::tests
