// Bodies of requests that a fuzzer writes, for every endpoint. Whatever they are: what is taken is within the engine's limits and can be
// answered in well-formed JSON; what is refused is refused in one short line that names its place.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "engine/sampling/sampler.h"
#include "files/gguf.h"
#include "files/gguf_writer.h"
#include "protocols/anthropic_answer.h"
#include "protocols/embeddings.h"
#include "protocols/json_body.h"
#include "protocols/openai_answer.h"
#include "protocols/openai_stream.h"
#include "protocols/responses_answer.h"
#include "protocols/tokenize.h"
#include "text/utf8.h"

namespace {

using namespace rafter;
using namespace rafter::protocols;

void require(bool holds) {
    if (!holds) std::abort();
}

// Each byte is a token.
class Bytes : public text::Tokenizer {
  public:
    Bytes() {
        for (int byte = 0; byte < 256; ++byte) bytes_ += static_cast<char>(byte);
        special_.end_of_generation = {0};
    }
    [[nodiscard]] std::vector<text::TokenId> encode(std::string_view text, text::SpecialTokens /*special*/) const override {
        std::vector<text::TokenId> ids;
        for (const char byte : text) ids.push_back(static_cast<unsigned char>(byte));
        return ids;
    }
    [[nodiscard]] std::string_view piece(text::TokenId id, text::SpecialTokens /*special*/) const override {
        require(id >= 0 && id < 256);
        return std::string_view(bytes_).substr(static_cast<std::size_t>(id), 1);
    }
    [[nodiscard]] std::string decode(std::span<const text::TokenId> ids, text::SpecialTokens special) const override {
        std::string text;
        for (const text::TokenId id : ids) text += piece(id, special);
        return text;
    }
    [[nodiscard]] std::size_t n_tokens() const override { return 256; }
    [[nodiscard]] const text::SpecialIds& special() const override { return special_; }
    [[nodiscard]] std::optional<text::TokenId> find(std::string_view /*token_text*/) const override { return std::nullopt; }
    [[nodiscard]] std::string description() const override { return "bytes"; }

  private:
    std::string bytes_;
    text::SpecialIds special_;
};

constexpr std::uint32_t kVocab = 260;  // more ids than texts
constexpr std::uint32_t kContext = 300;

const engine::OpenedModel& opened() {
    static const std::vector<std::byte> file = files::GgufWriter().to_bytes();
    static const engine::OpenedModel model = [] {
        constexpr const char* kTemplate = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{{ x }}{{ reasoning_effort }}";
        engine::OpenedModel made{.source = std::make_unique<files::GgufFile>(files::GgufFile::parse(file, "fuzz").value()),
                                 .tokenizer = std::make_unique<Bytes>(),
                                 .config = {},
                                 .chat_template = text::ChatTemplate::parse(kTemplate, "fuzz").value()};
        made.config.n_vocab = kVocab;
        made.config.d_model = 8;
        return made;
    }();
    return model;
}

void check_error(const Error& error) {
    require(error.kind == ErrorKind::kBadInput);
    require(!error.message.empty() && error.message.size() < 1500);
    require(error.message.find('\n') == std::string::npos);
    require(text::find_invalid_utf8(error.message) == error.message.size());
    require(error.message.starts_with("body"));
    require(!openai_error(status_of(error), error.message).dump().empty());
}

void check_sequence(const engine::Request& sequence) {
    require(!sequence.prompt.empty() && sequence.prompt.size() <= kContext);
    for (const engine::TokenId id : sequence.prompt) require(id >= 0 && static_cast<std::uint32_t>(id) < kVocab);
    require(sequence.min_tokens <= sequence.max_tokens);
    require(engine::validate(sequence.sampling, kVocab).has_value());
    for (const std::string& stop : sequence.stop) require(!stop.empty());
}

// What an engine could bring for a request.
std::vector<engine::StreamUpdate> updates(const engine::Request& sequence) {
    std::vector<engine::StreamUpdate> all(2);
    for (const int id : {65, 0xC3, 0xA9}) {
        engine::GeneratedToken token{.id = id};
        if (sequence.n_logprobs) token.logprobs = engine::TokenLogprobs{.logprob = -1.0, .top = {{id, -1.0}, {66, -2.0}}};
        all[0].tokens.push_back(token);
    }
    all[0].text = "A\u00e9";
    if (sequence.score_prompt_from) all[0].prompt_scores.resize(sequence.prompt.size() - 1);
    all[1].finish = engine::Finish{.reason = engine::FinishReason::kLength};
    return all;
}

void check_events(const std::vector<std::string>& events) {
    for (const std::string& event : events) {
        require(event.find('\n') == std::string::npos);
        require(event == "[DONE]" || nlohmann::json::accept(event));
    }
}

void try_completions(OpenAiEndpoint endpoint, const nlohmann::json& body, const OpenAiDefaults& defaults) {
    const auto request = parse_openai_request(endpoint, body, opened(), defaults);
    if (!request) return check_error(request.error());
    require(!request->choices.empty() && request->choices.size() % request->n == 0);
    for (const engine::Request& choice : request->choices) check_sequence(choice);
    if (request->choices.size() > 4) return;
    const OpenAiIdentity identity{.id = "1", .created_unix_s = 1, .model = request->model.value_or("m")};
    std::vector<OpenAiChoice> choices(request->choices.size());
    OpenAiStream stream(*request, identity, *opened().tokenizer);
    for (std::size_t i = 0; i < choices.size(); ++i) {
        for (engine::StreamUpdate& update : updates(request->choices[i])) {
            engine::StreamUpdate copy = update;
            static_cast<void>(choices[i].take(std::move(copy)));
            check_events(stream.update(i, std::move(update)));
        }
    }
    require(stream.complete());
    const AnswerTimings timings;
    check_events(stream.end(&timings));
    const auto whole = openai_answer(*request, choices, identity, *opened().tokenizer, {.timings = &timings});
    require(!whole.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace).empty());
}

void try_response(const nlohmann::json& body, const OpenAiDefaults& defaults) {
    const auto request = parse_responses_request(body, opened(), defaults);
    if (!request) return check_error(request.error());
    check_sequence(request->sequence);
    ResponsesAnswer answer(*request, {.id = "1", .created_unix_s = 1, .model = "m"}, *opened().tokenizer);
    const auto check = [](const std::vector<NamedEvent>& events) {
        for (const NamedEvent& event : events) check_events({event.data});
    };
    check(answer.begin());
    for (engine::StreamUpdate& update : updates(request->sequence)) check(answer.update(std::move(update)));
    check(answer.end());
}

void try_message(const nlohmann::json& body, const OpenAiDefaults& defaults) {
    const auto request = parse_anthropic_request(body, opened(), defaults);
    if (!request) return check_error(request.error());
    check_sequence(request->sequence);
    AnthropicAnswer answer(*request, "1", request->model.value_or("m"), *opened().tokenizer);
    const auto check = [](const std::vector<NamedEvent>& events) {
        for (const NamedEvent& event : events) check_events({event.data});
    };
    check(answer.begin());
    for (engine::StreamUpdate& update : updates(request->sequence)) check(answer.update(std::move(update)));
    check(answer.end());
    require(!answer.answer().dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace).empty());
}

void try_embeddings(const nlohmann::json& body, const OpenAiDefaults& defaults) {
    const auto request = parse_embeddings_request(body, opened(), defaults);
    if (!request) return check_error(request.error());
    for (const engine::Request& sequence : request->sequences) check_sequence(sequence);
    const std::vector<std::vector<float>> hidden(std::min<std::size_t>(request->sequences.size(), 4), std::vector<float>(8, 0.5F));
    require(nlohmann::json::accept(embeddings_answer(*request, hidden, request->model.value_or("m"))));
}

void try_text(const Result<TokenizeAnswer>& answer) {
    if (!answer) return check_error(answer.error());
    require(!answer->body.dump().empty());
}

}  // namespace

// The first byte chooses the endpoint.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
    const auto body = parse_json_body(text);
    if (!body) {
        check_error(body.error());
        return 0;
    }
    const OpenAiDefaults defaults{.max_tokens = std::nullopt, .context = kContext, .max_prompt_bytes = 1000};
    switch (data[0] % 9) {
        case 0:
            try_completions(OpenAiEndpoint::kChatCompletions, *body, defaults);
            break;
        case 1:
            try_completions(OpenAiEndpoint::kCompletions, *body, defaults);
            break;
        case 2:
            try_response(*body, defaults);
            break;
        case 3:
            try_embeddings(*body, defaults);
            break;
        case 4:
            try_text(tokenize(*body, opened(), defaults));
            break;
        case 5:
            try_text(detokenize(*body, opened(), defaults));
            break;
        case 7:
            try_message(*body, defaults);
            break;
        case 8:
            try_text(count_anthropic_tokens(*body, opened(), defaults));
            break;
        default:
            try_text(apply_template(*body, opened(), defaults));
            break;
    }
    return 0;
}
