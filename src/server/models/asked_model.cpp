// A reader of events, so that a body of many megabytes costs no values; and one that only skips.
#include "server/models/asked_model.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/hex_digit.h"

namespace rafter::server {
namespace {

class ModelFinder : public nlohmann::json_sax<nlohmann::json> {
  public:
    AskedModel found;

    bool null() override { return true; }
    bool boolean(bool value) override {
        if (depth_ == 1 && key_ == "stream") found.stream = value;
        return true;
    }
    bool number_integer(number_integer_t) override { return true; }
    bool number_unsigned(number_unsigned_t) override { return true; }
    bool number_float(number_float_t, const string_t&) override { return true; }
    bool string(string_t& value) override {
        if (depth_ != 1) return true;
        if (key_ == "model") found.model = std::move(value);
        if (key_ == "name") found.name = std::move(value);
        return true;
    }
    bool binary(binary_t&) override { return true; }
    bool start_object(std::size_t) override {
        ++depth_;
        if (depth_ == 1) is_object_ = true;
        return true;
    }
    bool key(string_t& value) override {
        if (depth_ == 1 && is_object_) key_ = std::move(value);
        return true;
    }
    bool end_object() override {
        --depth_;
        return true;
    }
    bool start_array(std::size_t) override {
        ++depth_;
        return true;
    }
    bool end_array() override {
        --depth_;
        return true;
    }
    bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override { return false; }

  private:
    std::size_t depth_ = 0;
    bool is_object_ = false;  // the outermost value
    std::string key_;         // the latest of the outermost object
};

std::size_t after_spaces(std::string_view text, std::size_t at) { return std::min(text.find_first_not_of(" \t\r\n", at), text.size()); }

// Behind the text in quotes that begins at `at`, or behind everything.
std::size_t end_of_text(std::string_view json, std::size_t at) {
    for (std::size_t quote = json.find('"', at + 1); quote != std::string_view::npos; quote = json.find('"', quote + 1)) {
        std::size_t n_backslashes = 0;
        while (json[quote - 1 - n_backslashes] == '\\') ++n_backslashes;  // the first quote ends it
        if (n_backslashes % 2 == 0) return quote + 1;
    }
    return json.size();
}

std::optional<std::string> text_at(std::string_view json, std::size_t at) {
    if (at >= json.size() || json[at] != '"') return std::nullopt;
    const auto value = nlohmann::json::parse(json.substr(at, end_of_text(json, at) - at), nullptr, false);
    return value.is_string() ? std::optional(value.get<std::string>()) : std::nullopt;
}

}  // namespace

AskedModel asked_model(std::string_view body) {
    ModelFinder finder;
    finder.found.is_json = nlohmann::json::sax_parse(body.begin(), body.end(), &finder);
    return std::move(finder.found);
}

std::optional<std::string> quick_model(std::string_view body) {
    std::size_t depth = 0;
    for (std::size_t at = after_spaces(body, 0); at < body.size(); ++at) {
        const char c = body[at];
        if (c == '{' || c == '[') {
            if (++depth == 1 && c == '[') return std::nullopt;
        } else if (c == '}' || c == ']') {
            if (depth <= 1) return std::nullopt;
            --depth;
        } else if (c == '"') {
            const std::size_t end = end_of_text(body, at);
            const std::size_t colon = after_spaces(body, end);
            const bool is_model = depth == 1 && body.substr(at, end - at) == "\"model\"";
            if (is_model && colon < body.size() && body[colon] == ':') return text_at(body, after_spaces(body, colon + 1));
            at = end - 1;
        } else if (depth == 0) {
            return std::nullopt;
        }
    }
    return std::nullopt;
}

std::string percent_decoded(std::string_view text) {
    std::string decoded;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool is_escape = text[i] == '%' && i + 2 < text.size();
        const std::optional<unsigned> high = is_escape ? hex_digit(text[i + 1]) : std::nullopt;
        const std::optional<unsigned> low = is_escape ? hex_digit(text[i + 2]) : std::nullopt;
        if (high && low) {
            decoded += static_cast<char>(*high << 4U | *low);
            i += 2;
        } else {
            decoded += text[i];
        }
    }
    return decoded;
}

std::optional<std::string> model_in_query(std::string_view query) {
    constexpr std::string_view kKey = "model=";
    while (!query.empty()) {
        const std::size_t end = std::min(query.find('&'), query.size());
        const std::string_view part = query.substr(0, end);
        if (part.starts_with(kKey)) {
            std::string value(part.substr(kKey.size()));
            std::ranges::replace(value, '+', ' ');
            return percent_decoded(value);
        }
        query.remove_prefix(std::min(end + 1, query.size()));
    }
    return std::nullopt;
}

}  // namespace rafter::server
