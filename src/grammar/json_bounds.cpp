// The text is read twice: once to find its depth and its objects' sizes, and then to keep it.
#include "grammar/json_bounds.h"

#include <string>
#include <vector>

namespace rafter::grammar {
namespace {

using Json = nlohmann::ordered_json;

// Looks at the text without keeping it.
class BoundsReader : public nlohmann::json_sax<Json> {
  public:
    bool null() override { return true; }
    bool boolean(bool) override { return true; }
    bool number_integer(number_integer_t) override { return true; }
    bool number_unsigned(number_unsigned_t) override { return true; }
    bool number_float(number_float_t, const string_t&) override { return true; }
    bool string(string_t&) override { return true; }
    bool binary(binary_t&) override { return true; }
    bool key(string_t&) override {
        if (++n_members_.back() <= kMaxJsonMembers) return true;
        fault_ = fmt::format("expected at most {} members of one object, found more", kMaxJsonMembers);
        return false;
    }
    bool start_object(std::size_t) override { return deeper(); }
    bool start_array(std::size_t) override { return deeper(); }
    bool end_object() override { return shallower(); }
    bool end_array() override { return shallower(); }
    bool parse_error(std::size_t position, const std::string&, const Json::exception&) override {
        fault_ = fmt::format("expected JSON, found something else at byte {}", position);
        return false;
    }
    [[nodiscard]] const std::string& fault() const { return fault_; }

  private:
    bool deeper() {
        n_members_.push_back(0);
        if (static_cast<int>(n_members_.size()) <= kMaxJsonDepth) return true;
        fault_ = fmt::format("expected at most {} levels of objects and arrays, found more", kMaxJsonDepth);
        return false;
    }
    bool shallower() {
        n_members_.pop_back();
        return true;
    }

    std::vector<std::size_t> n_members_;  // of each open object or array
    std::string fault_;
};

}  // namespace

Result<Json> parse_bounded_json(std::string_view text, std::string_view name) {
    if (text.size() > kMaxGrammarBytes) return bad_input("{}: expected at most {} bytes, found {}", name, kMaxGrammarBytes, text.size());
    BoundsReader bounds;
    if (!Json::sax_parse(text, &bounds)) return bad_input("{}: {}", name, bounds.fault());
    Json parsed = Json::parse(text, nullptr, false);
    if (parsed.is_discarded()) return bad_input("{}: expected JSON", name);
    return parsed;
}

}  // namespace rafter::grammar
