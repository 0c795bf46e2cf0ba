// A reader of events, so that a body of many megabytes costs what its bytes before the name cost.
#include "server/models/asked_model.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/hex_digit.h"

namespace rafter::server {
namespace {

class ModelFinder : public nlohmann::json_sax<nlohmann::json> {
  public:
    explicit ModelFinder(bool stop_at_model) : stop_at_model_(stop_at_model) {}

    AskedModel found;
    bool stopped = false;  // on purpose

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
        if (key_ == "model") {
            found.model = std::move(value);
            stopped = stop_at_model_;
            return !stop_at_model_;
        }
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
    const bool stop_at_model_;
    std::size_t depth_ = 0;
    bool is_object_ = false;  // the outermost value
    std::string key_;         // the latest of the outermost object
};

std::string url_decoded(std::string_view text) {
    std::string decoded;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool is_escape = text[i] == '%' && i + 2 < text.size();
        const std::optional<unsigned> high = is_escape ? hex_digit(text[i + 1]) : std::nullopt;
        const std::optional<unsigned> low = is_escape ? hex_digit(text[i + 2]) : std::nullopt;
        if (high && low) {
            decoded += static_cast<char>(*high << 4U | *low);
            i += 2;
        } else {
            decoded += text[i] == '+' ? ' ' : text[i];
        }
    }
    return decoded;
}

}  // namespace

AskedModel asked_model(std::string_view body, bool stop_at_model) {
    ModelFinder finder(stop_at_model);
    const bool whole = nlohmann::json::sax_parse(body.begin(), body.end(), &finder);
    finder.found.is_json = whole || finder.stopped;
    return std::move(finder.found);
}

std::optional<std::string> model_in_query(std::string_view query) {
    constexpr std::string_view kKey = "model=";
    while (!query.empty()) {
        const std::size_t end = std::min(query.find('&'), query.size());
        const std::string_view part = query.substr(0, end);
        if (part.starts_with(kKey)) return url_decoded(part.substr(kKey.size()));
        query.remove_prefix(std::min(end + 1, query.size()));
    }
    return std::nullopt;
}

}  // namespace rafter::server
