// The schemas of requests against the parsers: the same keys, the same ranges, the same defaults.
#include "protocols/schemas.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <regex>
#include <set>
#include <sstream>

#include "protocols/anthropic_request.h"
#include "protocols/embeddings.h"
#include "protocols/ollama_embed.h"
#include "protocols/ollama_models.h"
#include "protocols/ollama_request.h"
#include "protocols/openai_error.h"
#include "protocols/openai_request.h"
#include "protocols/rerank.h"
#include "protocols/responses_request.h"
#include "protocols/tokenize.h"
#include "tests/protocols/tiny_opened_model.h"

namespace rafter::protocols {
namespace {

using nlohmann::json;
using UnknownKeys = Result<std::vector<std::string>>;

// An endpoint as this test sees it: a body gives the keys that it does not know, or an error.
struct Endpoint {
    std::string schema;
    json body;  // the least that it takes
    std::function<UnknownKeys(const json&)> parse;
};

template <typename T>
UnknownKeys unknown_keys(const Result<T>& request) {
    if (!request) return request.error();
    return request->unknown_keys;
}

class Schemas : public testing::Test {
  protected:
    Schemas() { opened_.config.d_model = 8; }

    std::vector<Endpoint> endpoints() {
        const json messages = {{{"role", "user"}, {"content", "hello"}}};
        const auto openai = [&](OpenAiEndpoint endpoint) {
            return [this, endpoint](const json& body) { return unknown_keys(parse_openai_request(endpoint, body, opened_, defaults_)); };
        };
        const auto ollama = [&](OllamaEndpoint endpoint) {
            return [this, endpoint](const json& body) { return unknown_keys(parse_ollama_request(endpoint, body, opened_, defaults_)); };
        };
        const auto ollama_embed = [&](OllamaEmbedEndpoint endpoint) {
            return [this, endpoint](const json& body) { return unknown_keys(parse_ollama_embed(endpoint, body, opened_, defaults_)); };
        };
        const auto relevance = [&](RerankEndpoint endpoint) {
            return [this, endpoint](const json& body) { return unknown_keys(parse_rerank_request(endpoint, body, opened_, defaults_)); };
        };
        return {{"ChatCompletionRequest", {{"messages", messages}}, openai(OpenAiEndpoint::kChatCompletions)},
                {"CompletionRequest", {{"prompt", "hello"}}, openai(OpenAiEndpoint::kCompletions)},
                {"ResponseRequest",
                 {{"input", "hello"}},
                 [this](const json& body) { return unknown_keys(parse_responses_request(body, opened_, defaults_)); }},
                {"MessageRequest",
                 {{"messages", messages}, {"max_tokens", 10}},
                 [this](const json& body) { return unknown_keys(parse_anthropic_request(body, opened_, defaults_)); }},
                {"MessageTokensRequest",
                 {{"messages", messages}},
                 [this](const json& body) { return unknown_keys(count_anthropic_tokens(body, opened_, defaults_)); }},
                {"OllamaChatRequest", {{"messages", messages}}, ollama(OllamaEndpoint::kChat)},
                {"OllamaGenerateRequest", {{"prompt", "hello"}}, ollama(OllamaEndpoint::kGenerate)},
                {"OllamaEmbedRequest", {{"input", "hello"}}, ollama_embed(OllamaEmbedEndpoint::kEmbed)},
                {"OllamaEmbeddingsRequest", {{"prompt", "hello"}}, ollama_embed(OllamaEmbedEndpoint::kEmbeddings)},
                {"OllamaShowRequest", json::object(), [](const json& body) { return unknown_keys(parse_ollama_show(body)); }},
                {"RerankRequest", {{"query", "q"}, {"documents", {"d"}}}, relevance(RerankEndpoint::kRerank)},
                {"ScoreRequest", {{"text_1", "q"}, {"text_2", "d"}}, relevance(RerankEndpoint::kScore)},
                {"EmbeddingRequest",
                 {{"input", "hello"}},
                 [this](const json& body) { return unknown_keys(parse_embeddings_request(body, opened_, defaults_)); }},
                {"TokenizeRequest",
                 {{"content", "hello"}},
                 [this](const json& body) { return unknown_keys(tokenize(body, opened_, defaults_)); }},
                {"DetokenizeRequest",
                 {{"tokens", {1}}},
                 [this](const json& body) { return unknown_keys(detokenize(body, opened_, defaults_)); }},
                {"ApplyTemplateRequest", {{"messages", messages}}, [this](const json& body) {
                     return unknown_keys(apply_template(body, opened_, defaults_));
                 }}};
    }
    json properties(const std::string& schema) { return json(schemas_[schema]["properties"]); }

    engine::OpenedModel opened_ = tests::tiny_opened_model();
    OpenAiDefaults defaults_{.max_tokens = std::nullopt};
    const nlohmann::ordered_json schemas_ = component_schemas();
};

// Every text in the parsers' sources that could be a key, and every key of every schema.
std::set<std::string> candidates(const nlohmann::ordered_json& schemas) {
    std::set<std::string> keys;
    for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(RAFTER_SOURCE_DIR) / "src" / "protocols")) {
        std::stringstream text;
        text << std::ifstream(entry.path()).rdbuf();
        const std::string source = text.str();
        const std::regex key("\"([a-z][a-z_0-9]*)\"");
        for (std::sregex_iterator found(source.begin(), source.end(), key); found != std::sregex_iterator(); ++found) {
            keys.insert((*found)[1]);
        }
    }
    for (const auto& [name, schema] : schemas.items()) {
        if (!schema.contains("properties")) continue;
        for (const auto& [property, unused] : schema["properties"].items()) keys.insert(property);
    }
    return keys;
}

// A key whose value is null is looked up all the same, and changes nothing.
TEST_F(Schemas, HaveTheKeysThatTheParsersLookUpAndNoOthers) {
    const std::set<std::string> all = candidates(schemas_);
    EXPECT_GT(all.size(), 150U);
    for (const Endpoint& endpoint : endpoints()) {
        const json known = properties(endpoint.schema);
        std::vector<std::string> expected;
        json body = endpoint.body;
        for (const std::string& key : all) {
            if (!body.contains(key)) body[key] = nullptr;
            if (!known.contains(key)) expected.push_back(key);
        }
        auto unknown = endpoint.parse(body);
        ASSERT_TRUE(unknown) << endpoint.schema << ": " << unknown.error().message;
        std::sort(unknown->begin(), unknown->end());
        std::vector<std::string> wrong;
        std::ranges::set_symmetric_difference(*unknown, expected, std::back_inserter(wrong));
        EXPECT_EQ(wrong, std::vector<std::string>()) << endpoint.schema;
    }
}

// What must stand beside a key so that its own range decides.
json beside(const std::string& key) {
    if (key == "top_logprobs") return {{"logprobs", true}};
    if (key == "min_tokens") return {{"max_tokens", 4294967295U}, {"max_output_tokens", 4294967295U}};
    if (key == "max_tokens") return {{"echo", true}};
    return json::object();
}

TEST_F(Schemas, HaveTheRangesThatTheParsersCheck) {
    std::size_t n_ranges = 0;
    for (const Endpoint& endpoint : endpoints()) {
        const json properties_of_it = properties(endpoint.schema);
        for (const auto& [key, schema] : properties_of_it.items()) {
            if (!schema.contains("minimum")) continue;
            ++n_ranges;
            json body = endpoint.body;
            const bool is_completion = endpoint.schema == "CompletionRequest";
            if (key != "max_tokens" || is_completion) body.update(beside(key));
            if (endpoint.schema == "ResponseRequest") body.erase("logprobs");
            const auto with = [&](const json& value) {
                json changed = body;
                changed[key] = value;
                return endpoint.parse(changed);
            };
            // At most d_model as well, which no schema knows.
            const json high = key == "dimensions" ? json(8) : schema["maximum"];
            for (const json& value : {schema["minimum"], high}) {
                const auto taken = with(value);
                EXPECT_TRUE(taken) << endpoint.schema << " " << key << " = " << value << ": " << taken.error().message;
            }
            const double low = schema["minimum"].get<double>();
            const double outside_low = std::floor(low - std::max(1.0, std::abs(low) * 1e-3));
            const double most = schema["maximum"].get<double>();
            const double outside_high = std::ceil(most + std::max(1.0, std::abs(most) * 1e-3));
            for (const double value : {outside_low, outside_high}) {
                const auto refused = with(value);
                ASSERT_FALSE(refused) << endpoint.schema << " " << key << " = " << value;
                EXPECT_EQ(openai_error_param(refused.error().message), key) << refused.error().message;
            }
            const json type = schema["type"];
            const bool is_whole = std::find(type.begin(), type.end(), "integer") != type.end();
            EXPECT_EQ(with(low + 0.5).has_value(), !is_whole && low + 0.5 <= most) << endpoint.schema << " " << key;
            for (const json& value : {json("1"), json(true), json::array({1}), json::object()}) {
                const auto refused = with(value);
                ASSERT_FALSE(refused) << endpoint.schema << " " << key << " = " << value;
                EXPECT_EQ(openai_error_param(refused.error().message), key) << refused.error().message;
            }
        }
    }
    EXPECT_GT(n_ranges, 40U);
}

TEST_F(Schemas, HaveTextsAndEnumerationsThatTheParsersTake) {
    for (const Endpoint& endpoint : endpoints()) {
        const json properties_of_it = properties(endpoint.schema);
        for (const auto& [key, schema] : properties_of_it.items()) {
            std::vector<json> good;
            std::vector<json> bad;
            if (schema.contains("enum")) {
                good = schema["enum"].get<std::vector<json>>();
                bad = {"no such thing", 7};
            }
            if (schema.contains("maxLength")) {
                good = {std::string(schema["maxLength"].get<std::size_t>(), 'x')};
                bad = {std::string(schema["maxLength"].get<std::size_t>() + 1, 'x')};
            }
            if (schema.contains("default")) good.push_back(schema["default"]);
            const bool is_bool = schema.contains("type") && schema["type"] == json{"boolean", "null"};
            if (is_bool) {
                good.insert(good.end(), {true, false, nullptr});
                bad = {0, 1, "true", json::array()};
            }
            const auto with = [&](const json& value) {
                json body = endpoint.body;
                body[key] = value;
                return endpoint.parse(body);
            };
            for (const json& value : good) {
                const auto taken = with(value);
                EXPECT_TRUE(taken) << endpoint.schema << " " << key << " = " << value << ": " << taken.error().message;
            }
            for (const json& value : bad) {
                const auto refused = with(value);
                ASSERT_FALSE(refused) << endpoint.schema << " " << key << " = " << value;
                EXPECT_EQ(openai_error_param(refused.error().message), key) << refused.error().message;
            }
        }
    }
}

TEST_F(Schemas, SayOfEachKeyWhatItIs) {
    for (const Endpoint& endpoint : endpoints()) {
        const json properties_of_it = properties(endpoint.schema);
        for (const auto& [key, schema] : properties_of_it.items()) {
            EXPECT_FALSE(schema.value("description", "").empty()) << endpoint.schema << " " << key;
        }
        for (const auto& [key, unused] : endpoint.body.items()) EXPECT_TRUE(properties_of_it.contains(key));
    }
}

TEST_F(Schemas, AreReferredToByNamesThatThereAre) {
    const std::string text = schemas_.dump();
    const std::regex reference("#/components/schemas/([A-Za-z]+)");
    std::size_t n = 0;
    for (std::sregex_iterator found(text.begin(), text.end(), reference); found != std::sregex_iterator(); ++found, ++n) {
        EXPECT_TRUE(schemas_.contains((*found)[1].str())) << (*found)[1];
    }
    EXPECT_GT(n, 5U);
}

}  // namespace
}  // namespace rafter::protocols
