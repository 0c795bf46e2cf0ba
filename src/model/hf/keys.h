// A config.json over its family's defaults. Lookups take several names, since families kept those of their first code; the first thing
// wrong is remembered, so that a reader asks for key after key and its caller checks once.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/json_reader.h"

namespace rafter::model::hf {

using Names = std::initializer_list<const char*>;

class Keys {
  public:
    // Views `merged`: what the file says, over the family's defaults. A null of the file hides the default.
    explicit Keys(JsonReader merged) : keys_(std::move(merged)) {}

    // The first of the names that has a value; the fallback without any. Of a list, its first: uneven() remembers it when others differ.
    [[nodiscard]] std::uint32_t uint(Names names, std::uint32_t fallback = 0);
    // The same, an error when missing or 0.
    [[nodiscard]] std::uint32_t need(Names names);
    [[nodiscard]] double number(const char* name, double fallback);
    [[nodiscard]] bool flag(const char* name, bool fallback = false);
    [[nodiscard]] std::string word(const char* name);
    [[nodiscard]] bool has(const char* name) const { return keys_.find(name) != nullptr; }
    // A list of words or of numbers; a number alone counts for every one of n. Empty without the key.
    [[nodiscard]] std::vector<std::string> words(const char* name);
    [[nodiscard]] std::vector<std::uint32_t> uints(const char* name, std::uint32_t n);
    [[nodiscard]] const nlohmann::json* find(const char* name) const { return keys_.find(name); }
    // The same of a list with one value a layer: shorter is an error; of a longer one the first n count, and said() has a sentence.
    [[nodiscard]] std::vector<std::string> words_per_layer(const char* name, std::uint32_t n);
    [[nodiscard]] std::vector<std::uint32_t> uints_per_layer(const char* name, std::uint32_t n);
    // A list of layers by number, from `first` on; one that the model does not have is an error.
    [[nodiscard]] std::vector<std::uint32_t> layer_numbers(const char* name, std::uint32_t n, std::uint32_t first = 0);
    // An object inside, as keys of its own; its first error is this one's too.
    [[nodiscard]] std::optional<JsonReader> object(const char* name);

    // Keys with a value a layer of which only the first was asked for.
    [[nodiscard]] const std::set<std::string>& uneven() const { return uneven_; }

    // What reading found that makes the answer doubtful.
    void say(std::string sentence) { said_.push_back(std::move(sentence)); }
    [[nodiscard]] const std::vector<std::string>& said() const { return said_; }

    void fail(Error error) {
        if (!error_) error_ = std::move(error);
    }
    [[nodiscard]] Result<void> status() const {
        if (error_) return *error_;
        return {};
    }
    [[nodiscard]] const JsonReader& reader() const { return keys_; }

  private:
    JsonReader keys_;
    std::optional<Error> error_;
    std::set<std::string> uneven_;
    std::vector<std::string> said_;

    [[nodiscard]] bool is_per_layer(const char* name, std::uint32_t n);
};

}  // namespace rafter::model::hf
