// One render: JSON becomes values, the interpreter runs, all values end with it.
#include "text/jinja/run/render.h"

#include <fmt/format.h>

#include <limits>
#include <unordered_map>

#include "text/jinja/parse/error_text.h"
#include "text/jinja/run/interpreter.h"
#include "text/utf8.h"

namespace rafter::text::jinja {

namespace {

using Json = nlohmann::ordered_json;

// Each byte that is not UTF-8 becomes U+FFFD.
std::string valid_text(std::string_view text) {
    std::string out;
    while (true) {
        const std::size_t valid = find_invalid_utf8(text);
        out += text.substr(0, valid);
        if (valid == text.size()) return out;
        out += kReplacementCharacter;
        text.remove_prefix(valid + 1);
    }
}

}  // namespace

Result<Value> to_value(Runtime& runtime, const Json& json, std::uint32_t depth) {
    if (depth > runtime.limits().max_value_depth) return bad_input("JSON nested more than {} deep", runtime.limits().max_value_depth);
    switch (json.type()) {
        case Json::value_t::null:
            return Value::none();
        case Json::value_t::boolean:
            return Value::boolean(json.get<bool>());
        case Json::value_t::number_integer:
            return Value::integer(json.get<std::int64_t>());
        case Json::value_t::number_unsigned:
            return runtime.integer(Int{json.get<std::uint64_t>()});
        case Json::value_t::number_float:
            return Value::real(json.get<double>());
        case Json::value_t::string:
            return runtime.string(valid_text(json.get_ref<const std::string&>()));
        case Json::value_t::array: {
            std::vector<Value> items;
            items.reserve(json.size());
            for (const Json& item : json) {
                RAFTER_TRY(Value value, to_value(runtime, item, depth + 1));
                items.push_back(std::move(value));
            }
            return runtime.list(std::move(items));
        }
        case Json::value_t::object: {
            DictObject dict;
            for (const auto& [name, item] : json.items()) {
                RAFTER_TRY(Value value, to_value(runtime, item, depth + 1));
                dict.set(runtime.string(valid_text(name)), std::move(value));
            }
            return runtime.dict(std::move(dict));
        }
        case Json::value_t::binary:
        case Json::value_t::discarded:
            break;
    }
    return bad_input("expected JSON, found {}", json.type_name());
}

Result<std::string> render(const Template& parsed, const Variables& variables, const RenderOptions& options) {
    Runtime runtime(options.limits, options.now);
    std::unordered_map<std::string, Value> values;
    for (const auto& [name, json] : variables) {
        auto value = to_value(runtime, *json);
        if (!value) return one_line(value.error().within(name).within(parsed.name));
        values[std::string(name)] = *std::move(value);
    }
    runtime.allow_for_input();
    auto text = interpret(parsed, runtime, values);
    if (!text) return one_line(text.error());
    return text;
}

}  // namespace rafter::text::jinja
