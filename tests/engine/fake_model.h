// A model without weights for engine tests: its logits are a hash of the tokens that it finds in its cache through the block tables. One
// wrong block, position or token changes every later choice.
#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "text/tokenizer.h"

namespace rafter::engine::tests {

// 26 letters and a few tokens of special meaning, each letter's text being itself.
class FakeTokenizer : public text::Tokenizer {
  public:
    static constexpr std::size_t kTokens = 32;
    static constexpr text::TokenId kEnd = 26;        // ends an answer; no text
    static constexpr text::TokenId kHalf = 27;       // first byte of a two-byte character
    static constexpr text::TokenId kOtherHalf = 28;  // its second

    [[nodiscard]] std::vector<text::TokenId> encode(std::string_view text, text::SpecialTokens /*special*/) const override {
        std::vector<text::TokenId> ids;
        for (const char c : text) ids.push_back(c - 'a');
        return ids;
    }
    [[nodiscard]] std::string_view piece(text::TokenId id, text::SpecialTokens /*special*/) const override {
        static constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz";
        if (id < 26) return kLetters.substr(static_cast<std::size_t>(id), 1);
        if (id == kHalf) return "\xC3";
        if (id == kOtherHalf) return "\xA9";
        return "";
    }
    [[nodiscard]] std::string decode(std::span<const text::TokenId> ids, text::SpecialTokens special) const override {
        std::string text;
        for (const text::TokenId id : ids) text += piece(id, special);
        return text;
    }
    [[nodiscard]] std::size_t n_tokens() const override { return kTokens; }
    [[nodiscard]] const text::SpecialIds& special() const override { return special_; }
    [[nodiscard]] std::optional<text::TokenId> find(std::string_view /*token_text*/) const override { return std::nullopt; }
    [[nodiscard]] std::string description() const override { return "letters"; }

  private:
    text::SpecialIds special_;
};

class FakeModel : public backend::DeviceModel {
  public:
    // windows: of each cache group; the first must see everything.
    FakeModel(std::vector<std::uint32_t> windows, std::uint32_t n_blocks, std::uint32_t block_size)
        : block_size_(block_size),
          windows_(std::move(windows)),
          cache_(windows_.size(), std::vector<text::TokenId>(std::size_t{n_blocks} * block_size, -1)) {
        program_.config.n_vocab = FakeTokenizer::kTokens;
        for (const std::uint32_t window : windows_) program_.cache_groups.push_back({.window = window});
    }

    // When set, an answer goes on with these tokens, the first for the position after the prompt's last, whatever the history.
    std::vector<text::TokenId> script;
    std::uint32_t script_from = 0;  // position of script[0]
    text::TokenId poison = -1;      // logits after this token are NaN
    std::uint32_t contrary = 0;     // when set, it thinks otherwise after each multiple of so many tokens
    std::vector<model::StepShape> steps;
    std::function<void()> before_step;  // called in forward()

    // What the model thinks after these tokens.
    [[nodiscard]] std::vector<float> logits_after(std::span<const text::TokenId> tokens) const {
        std::uint64_t hash = 1469598103934665603ULL;
        for (const text::TokenId token : tokens) hash = (hash ^ static_cast<std::uint64_t>(token + 1)) * 1099511628211ULL;
        if (contrary > 0 && tokens.size() % contrary == 0) hash = ~hash;
        std::vector<float> logits(FakeTokenizer::kTokens);
        for (std::size_t i = 0; i < logits.size(); ++i) {
            std::uint64_t x = hash + (i + 1) * 0x9E3779B97F4A7C15ULL;
            x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
            x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
            logits[i] = static_cast<float>((x >> 40) % 1000) * 0.01F;
        }
        for (const text::TokenId special : {FakeTokenizer::kEnd, FakeTokenizer::kHalf, FakeTokenizer::kOtherHalf, 29, 30, 31}) {
            logits[static_cast<std::size_t>(special)] = -20.0F;  // only when a script says so
        }
        if (tokens.size() >= script_from && tokens.size() < script_from + script.size()) {
            logits[static_cast<std::size_t>(script[tokens.size() - script_from])] = 50.0F;
        }
        if (tokens.back() == poison) logits.assign(logits.size(), __builtin_nanf(""));
        return logits;
    }

    // Its hidden state after these tokens: [kHidden].
    static constexpr std::size_t kHidden = 3;
    [[nodiscard]] std::vector<float> hidden_after(std::span<const text::TokenId> tokens) const {
        std::vector<float> hidden = logits_after(tokens);
        hidden.resize(kHidden);
        for (float& x : hidden) x = 1.0F / (x + 0.37F);
        return hidden;
    }

    [[nodiscard]] backend::StepOutput forward(const backend::Batch& batch) override {
        if (before_step) before_step();
        steps.push_back(batch.shape());
        for (const backend::BlockCopy& copy : batch.copies) {
            for (std::uint32_t i = 0; i < block_size_; ++i) {
                cache_[copy.group].at(copy.to * block_size_ + i) = cache_[copy.group].at(copy.from * block_size_ + i);
            }
        }
        for (const backend::BatchSequence& sequence : batch.sequences) {
            for (std::uint32_t row = sequence.first_row; row < sequence.first_row + sequence.step.n_new; ++row) {
                for (std::size_t group = 0; group < cache_.size(); ++group) slot(sequence, group, batch.positions[row]) = batch.tokens[row];
            }
        }
        logits_.clear();
        hidden_.clear();
        for (const std::uint32_t row : batch.output_rows) {
            const std::vector<text::TokenId> history = history_of(batch, row);
            append(logits_after(history), logits_);
            append(hidden_after(history), hidden_);
        }
        for (const std::uint32_t row : batch.hidden_rows) append(hidden_after(history_of(batch, row)), hidden_);
        return {.logits = logits_, .hidden = hidden_, .n_vocab = FakeTokenizer::kTokens, .d_model = kHidden};
    }
    [[nodiscard]] const model::Program& program() const override { return program_; }
    [[nodiscard]] backend::MemoryUse memory() const override { return {}; }
    [[nodiscard]] std::size_t block_bytes(std::size_t /*group*/) const override { return block_size_ * sizeof(text::TokenId); }
    void read_block(std::size_t group, backend::BlockId block, std::span<std::byte> to) const override {
        RAFTER_CHECK(to.size() == block_bytes(group));
        std::memcpy(to.data(), &cache_[group].at(std::size_t{block} * block_size_), to.size());
    }
    void write_block(std::size_t group, backend::BlockId block, std::span<const std::byte> from) override {
        RAFTER_CHECK(from.size() == block_bytes(group));
        std::memcpy(&cache_[group].at(std::size_t{block} * block_size_), from.data(), from.size());
    }
    void set_timing(bool /*on*/) override {}
    [[nodiscard]] std::span<const double> op_seconds() const override { return {}; }

  private:
    static void append(const std::vector<float>& row, std::vector<float>& rows) { rows.insert(rows.end(), row.begin(), row.end()); }
    // The tokens up to a row's, as the cache holds them.
    std::vector<text::TokenId> history_of(const backend::Batch& batch, std::uint32_t row) {
        const backend::BatchSequence& sequence = sequence_of(batch, row);
        std::vector<text::TokenId> history;
        for (std::uint32_t position = 0; position <= batch.positions[row]; ++position) {
            history.push_back(slot(sequence, 0, position));
            for (std::size_t group = 1; group < cache_.size(); ++group) {
                if (position + windows_[group] <= batch.positions[row]) continue;  // left behind
                RAFTER_CHECK(slot(sequence, group, position) == history.back(), "cache groups differ at position {}", position);
            }
        }
        return history;
    }
    text::TokenId& slot(const backend::BatchSequence& sequence, std::size_t group, std::uint32_t position) {
        return cache_[group].at(std::size_t{sequence.block_tables[group].at(position / block_size_)} * block_size_ +
                                position % block_size_);
    }
    static const backend::BatchSequence& sequence_of(const backend::Batch& batch, std::uint32_t row) {
        for (const backend::BatchSequence& sequence : batch.sequences) {
            if (row >= sequence.first_row && row < sequence.first_row + sequence.step.n_new) return sequence;
        }
        RAFTER_CHECK(false, "row {} is no sequence's", row);
        return batch.sequences[0];
    }

    std::uint32_t block_size_;
    std::vector<std::uint32_t> windows_;
    model::Program program_;
    std::vector<std::vector<text::TokenId>> cache_;  // [n_groups][n_blocks * block_size]
    std::vector<float> logits_;
    std::vector<float> hidden_;
};

}  // namespace rafter::engine::tests
