// The text is looked through once before the parser gets it, so that what the parser builds is bounded.
#include "protocols/json_body.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/json_reader.h"
#include "base/quote.h"
#include "text/utf8.h"

namespace rafter::protocols {
namespace {

constexpr std::size_t kMaxMessageBytes = 300;

// "line 3, column 14": both counted from 1, columns in bytes.
std::string place(std::string_view text, std::size_t at) {
    const std::string_view before = text.substr(0, at);
    const auto line = static_cast<std::size_t>(std::count(before.begin(), before.end(), '\n')) + 1;
    const std::size_t begin = before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
    return fmt::format("line {}, column {}", line, at - begin + 1);
}

Result<void> check_size(std::string_view text) {
    std::size_t depth = 0;
    std::size_t n_values = 1;
    bool in_text = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (in_text) {
            if (c == '\\') ++i;
            if (c == '"') in_text = false;
            continue;
        }
        if (c == '"') in_text = true;
        if (c == '[' || c == '{') {
            ++n_values;
            if (++depth > kMaxJsonDepth) {
                return bad_input("body: expected JSON nested at most {} deep, found deeper at {}", kMaxJsonDepth, place(text, i));
            }
        }
        if ((c == ']' || c == '}') && depth > 0) --depth;
        if (c == ',') ++n_values;
        if (n_values > kMaxJsonValues) return bad_input("body: expected JSON of at most {} values, found more", kMaxJsonValues);
    }
    return {};
}

// Builds nothing, but knows where it is when the parser stops: at a number that no double holds, which is a fault of a key.
class PathFinder : public nlohmann::json::json_sax_t {
  public:
    std::string path() const {
        std::string path;
        for (const std::string& key : keys_) {
            if (!key.empty()) path += ": " + key;
        }
        return path;
    }
    std::string token;
    std::string why;
    std::size_t at = 0;  // bytes that were read

    bool null() override { return true; }
    bool boolean(bool /*value*/) override { return true; }
    bool number_integer(std::int64_t /*value*/) override { return true; }
    bool number_unsigned(std::uint64_t /*value*/) override { return true; }
    bool number_float(double /*value*/, const std::string& /*text*/) override { return true; }
    bool string(std::string& /*value*/) override { return true; }
    bool binary(nlohmann::json::binary_t& /*value*/) override { return true; }
    bool start_object(std::size_t /*n*/) override { return open(); }
    bool start_array(std::size_t /*n*/) override { return open(); }
    bool end_object() override { return close(); }
    bool end_array() override { return close(); }
    bool key(std::string& name) override {
        // A name of the client's: short and printable, or left out.
        const bool is_name = name.size() <= 40 && name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_0123456789") == std::string::npos;
        keys_.back() = is_name ? name : "";
        return true;
    }
    bool parse_error(std::size_t position, const std::string& last, const nlohmann::json::exception& error) override {
        at = position;
        token = last;
        why = error.what();
        is_number = dynamic_cast<const nlohmann::json::out_of_range*>(&error) != nullptr;
        return false;
    }
    bool is_number = false;

  private:
    bool open() {
        keys_.emplace_back();
        return true;
    }
    bool close() {
        keys_.pop_back();
        return true;
    }
    std::vector<std::string> keys_;
};

}  // namespace

Result<nlohmann::json> parse_json_body(std::string_view text) {
    if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) return bad_input("body: expected a JSON object, found nothing");
    if (const std::size_t at = text::find_invalid_utf8(text); at < text.size()) {
        return bad_input("body: expected UTF-8, found the byte 0x{:02x} at {}", static_cast<unsigned char>(text[at]), place(text, at));
    }
    RAFTER_TRY_VOID(check_size(text));
    PathFinder finder;
    auto parsed = nlohmann::json::parse(text, nullptr, false);
    if (!parsed.is_discarded()) return parsed;
    if (nlohmann::json::sax_parse(text, &finder)) return Error{"body: two readings of the same JSON differ", ErrorKind::kInternal};
    if (finder.is_number) {
        return bad_input("body{}: expected a number that 64 bits can hold, found {} at {}", finder.path(), quote(finder.token),
                         place(text, std::min(finder.at, text.size())));
    }
    Error error = parse_json(text, "body").error();
    // The parser repeats the last token, which the client made as long as it liked.
    if (error.message.size() > kMaxMessageBytes) error.message = error.message.substr(0, kMaxMessageBytes) + "...";
    return error;
}

}  // namespace rafter::protocols
