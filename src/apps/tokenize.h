// rafter tokenize MODEL [--special] [--bos] [--null] [--decode] < TEXT
#pragma once

#include <filesystem>
#include <iosfwd>

#include "base/result.h"

namespace rafter::apps {

struct TokenizeOptions {
    std::filesystem::path model;  // a vocabulary-only GGUF is enough
    bool special = false;         // special tokens in the text count as such; decoding: are shown
    bool bos = false;             // each text's ids start with BOS
    bool null = false;            // texts are separated by NUL bytes, ids are a line a text
    bool decode = false;          // ids in, text out
};

// Reads all of `in` first. Without `decode`: the ids of a text on one line, separated by spaces. With it: ids in, separated by white space
// or as a JSON list, the text's bytes out, nothing added; `null` then takes a line for each text and separates the texts by NUL bytes.
[[nodiscard]] Result<void> run_tokenize(const TokenizeOptions& options, std::istream& in, std::ostream& out);

}  // namespace rafter::apps
