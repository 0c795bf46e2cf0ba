// A request is hashed as compact JSON with sorted keys, so that white space and order do not count.
#include "apps/batch_identity.h"

#include <algorithm>
#include <charconv>

#include "base/xxh3.h"

namespace rafter::apps {
namespace {

constexpr std::size_t kHashDigits = 16;

std::optional<std::uint64_t> hash_in(std::string_view digits) {
    std::uint64_t hash = 0;
    const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), hash, 16);
    if (digits.size() != kHashDigits || read.ec != std::errc() || read.ptr != digits.data() + digits.size()) return std::nullopt;
    return hash;
}

// Takes the text behind the last hyphen off.
std::string_view last_part(std::string_view& text) {
    const std::size_t hyphen = text.rfind('-');
    if (hyphen == std::string_view::npos) return {};
    const std::string_view part = text.substr(hyphen + 1);
    text = text.substr(0, hyphen);
    return part;
}

bool has_length(const nlohmann::json& body) {
    return std::ranges::any_of(std::initializer_list<const char*>{"max_tokens", "max_completion_tokens"}, [&](const char* key) {
        const auto found = body.find(key);
        return found != body.end() && !found->is_null();
    });
}

}  // namespace

std::uint64_t request_hash(const BatchLine& line, const nlohmann::json* value, const RequestSettings& settings) {
    if (value == nullptr || !value->is_object()) return xxh3(line.text);
    nlohmann::json asked = nlohmann::json::object();
    for (const char* key : {"method", "url", "body"}) {
        if (const auto found = value->find(key); found != value->end()) asked[key] = *found;
    }
    std::uint64_t hash = xxh3(asked.dump());
    const auto body = value->find("body");
    if (body == value->end() || !body->is_object() || !has_length(*body)) hash = xxh3(std::uint64_t{settings.n_tokens}, hash);
    if (settings.context) hash = xxh3(std::uint64_t{*settings.context}, hash);
    return hash;
}

std::string batch_result_id(std::string_view unique, const ResultIdentity& identity) {
    return fmt::format("{}{}-{:016x}-{:016x}", kResultIdPrefix, unique, identity.request, identity.model);
}

std::optional<ResultIdentity> identity_in(std::string_view id) {
    if (!id.starts_with(kResultIdPrefix)) return std::nullopt;
    const auto model = hash_in(last_part(id));
    const auto request = hash_in(last_part(id));
    if (!model || !request) return std::nullopt;
    return ResultIdentity{.request = *request, .model = *model};
}

}  // namespace rafter::apps
