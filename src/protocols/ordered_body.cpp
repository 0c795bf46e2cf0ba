// Only the wanted key is stored: the rest of the text may hold objects of any width.
#include "protocols/ordered_body.h"

#include "base/json_reader.h"

namespace rafter::protocols {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

Result<void> check_widths(const json& value, const std::string& where) {
    if (value.is_object() && value.size() > kMaxOrderedKeys) {
        return bad_input("{}: expected objects of at most {} keys, found {}", where, kMaxOrderedKeys, value.size());
    }
    if (!value.is_structured()) return {};
    for (const json& one : value) RAFTER_TRY_VOID(check_widths(one, where));  // at most as deep as a body may be
    return {};
}

}  // namespace

Result<ordered_json> ordered_member(const BodyText& body, std::string_view key, const json& value, const std::string& where) {
    RAFTER_TRY_VOID(check_widths(value, where));
    if (body.text.empty()) return ordered_json(value);
    const int wanted_depth = body.inside.empty() ? 1 : 2;
    const auto keep = [&](int depth, ordered_json::parse_event_t event, ordered_json& parsed) {
        if (event != ordered_json::parse_event_t::key) return true;
        if (wanted_depth == 2 && depth == 1) return parsed == body.inside;
        return depth != wanted_depth || parsed == key;
    };
    ordered_json whole = ordered_json::parse(body.text, keep, false);
    const ordered_json* at = &whole;
    if (!body.inside.empty()) at = at->is_object() && at->contains(body.inside) ? &at->at(std::string(body.inside)) : nullptr;
    if (at == nullptr || !at->is_object() || !at->contains(key)) return ordered_json(value);
    return at->at(std::string(key));
}

Result<ordered_json> ordered_object(std::string_view text, const std::string& where) {
    const auto value = parse_json(text, where);
    if (!value || !value->is_object()) {
        return bad_input("{}: expected a JSON object as text, found {}", where, shown_json(json(std::string(text))));
    }
    RAFTER_TRY_VOID(check_widths(*value, where));
    return ordered_json::parse(text, nullptr, false);
}

}  // namespace rafter::protocols
