// Results come in the order of their scores, equal ones in that of their documents.
#include "protocols/rerank.h"

#include <algorithm>
#include <numeric>

#include "base/json_reader.h"
#include "base/quote.h"
#include "protocols/embeddings.h"
#include "protocols/openai_prompts.h"
#include "protocols/openai_sampling.h"
#include "protocols/rerank_parameters.h"
#include "protocols/reranker.h"

namespace rafter::protocols {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

// A text and where it stands, for messages.
struct PlacedText {
    std::string text;
    std::string where;
};

Result<std::string> text_of_document(const json& document, const std::string& where) {
    if (document.is_string()) return document.get<std::string>();
    if (!document.is_object()) return bad_input("{}: expected a text or an object with a text, found {}", where, shown_json(document));
    RAFTER_TRY(const JsonReader reader, JsonReader::open(document, where));
    RAFTER_TRY(const auto text, reader.find_string("text"));
    if (!text) return bad_input("{}: text: expected a text, found no such key", where);
    return *text;
}

enum class Alone { kTaken, kRefused };  // a text in place of a list
Result<std::vector<PlacedText>> read_text_list(const JsonReader& body, const std::string& key, Alone alone) {
    const json* given = body.find(key);
    const std::string where = fmt::format("{}: {}", body.where(), key);
    if (given != nullptr && given->is_string() && alone == Alone::kTaken) {
        return std::vector<PlacedText>{{.text = given->get<std::string>(), .where = where}};
    }
    if (given == nullptr || !given->is_array() || given->empty()) {
        return bad_input("{}: expected {}a list of at least one text, found {}", where, alone == Alone::kTaken ? "a text or " : "",
                         given == nullptr ? "no such key" : shown_json(*given));
    }
    if (given->size() > kMaxChoices) return bad_input("{}: expected at most {} texts, found {}", where, kMaxChoices, given->size());
    std::vector<PlacedText> texts;
    for (std::size_t i = 0; i < given->size(); ++i) {
        PlacedText& placed = texts.emplace_back(PlacedText{.text = {}, .where = fmt::format("{}[{}]", where, i)});
        RAFTER_TRY(placed.text, text_of_document((*given)[i], placed.where));
    }
    return texts;
}

// One or as many queries as documents.
struct RelevanceQuestion {
    std::vector<PlacedText> queries, documents;
    [[nodiscard]] std::size_t query_of(std::size_t document) const { return queries.size() == 1 ? 0 : document; }
};

Result<RelevanceQuestion> read_rerank(const JsonReader& body, RerankRequest& request) {
    RelevanceQuestion question;
    RAFTER_TRY(auto query, read_text(body, parameters::kQuery));
    if (!query) return bad_input("{}: query: expected a text, found no such key", body.where());
    question.queries.push_back({.text = *std::move(query), .where = body.where() + ": query"});
    RAFTER_TRY(question.documents, read_text_list(body, parameters::kDocuments.name, Alone::kRefused));
    RAFTER_TRY(request.top_n, read_whole(body, parameters::kTopN));
    RAFTER_TRY(const auto shown, read_bool(body, parameters::kReturnDocuments));
    if (shown.value_or(false)) {
        for (const PlacedText& document : question.documents) request.documents.push_back(document.text);
    }
    return question;
}

Result<RelevanceQuestion> read_score(const JsonReader& body) {
    RelevanceQuestion question;
    RAFTER_TRY(question.queries, read_text_list(body, parameters::kText1.name, Alone::kTaken));
    RAFTER_TRY(question.documents, read_text_list(body, parameters::kText2.name, Alone::kTaken));
    if (question.queries.size() == 1 || question.queries.size() == question.documents.size()) return question;
    return bad_input("{}: text_1: expected one text, or {} as text_2 has, found {}", body.where(), question.documents.size(),
                     question.queries.size());
}

Result<RelevanceMethod> read_method(const JsonReader& body, const engine::OpenedModel& opened) {
    RAFTER_TRY(const auto name, body.find_string(parameters::kMethod.name));
    if (name == "yes_no") return RelevanceMethod::kYesNo;
    if (name == "embedding") return RelevanceMethod::kEmbedding;
    if (name && *name != "auto") {
        return bad_input("{}: method: expected auto, yes_no or embedding, found {}", body.where(), quote(*name));
    }
    return is_reranker(opened) && reranker_of(opened) ? RelevanceMethod::kYesNo : RelevanceMethod::kEmbedding;
}

// What all of a request's sequences share.
struct Reading {
    const engine::OpenedModel& opened;
    const OpenAiDefaults& defaults;
    std::string cache_salt;
};

void add_sequence(RerankRequest& request, engine::Request sequence, const Reading& reading) {
    sequence.priority = request.priority;
    sequence.cache_salt = reading.cache_salt;
    request.n_prompt_tokens += sequence.prompt.size();
    request.sequences.push_back(std::move(sequence));
}

Result<void> ask_yes_no(const JsonReader& body, const RelevanceQuestion& question, const Reading& reading, RerankRequest& request) {
    RAFTER_TRY(const auto instruction, read_text(body, parameters::kInstruction));
    auto reranker = reranker_of(reading.opened);
    if (!reranker) return reranker.error().within(body.where() + ": method");
    for (std::size_t i = 0; i < question.documents.size(); ++i) {
        RerankPair pair{.query = question.queries[question.query_of(i)].text, .document = question.documents[i].text};
        if (instruction) pair.instruction = *instruction;
        engine::Request sequence = yes_no_sequence(*reranker);
        const json prompt = rerank_prompt(*reranker, pair);
        RAFTER_TRY(sequence.prompt, prompt_tokens(prompt, reading.opened, reading.defaults, question.documents[i].where, true));
        add_sequence(request, std::move(sequence), reading);
        request.pairs.push_back({i, i});
    }
    return {};
}

Result<void> add_texts(std::span<const PlacedText> texts, const std::string& prefix, Pooling pooling, const Reading& reading,
                       RerankRequest& request) {
    for (const PlacedText& placed : texts) {
        engine::Request sequence = embedding_sequence(pooling);
        RAFTER_TRY(sequence.prompt, tokens_to_embed(prefix + placed.text, reading.opened, reading.defaults, placed.where));
        add_sequence(request, std::move(sequence), reading);
    }
    return {};
}

Result<void> compare_vectors(const JsonReader& body, const RelevanceQuestion& question, const Reading& reading, RerankRequest& request) {
    RAFTER_TRY(const Pooling pooling, read_pooling(body, reading.opened));
    RAFTER_TRY(const auto query_prefix, read_text(body, parameters::kQueryPrefix));
    RAFTER_TRY(const auto document_prefix, read_text(body, parameters::kDocumentPrefix));
    RAFTER_TRY_VOID(add_texts(question.queries, query_prefix.value_or(""), pooling, reading, request));
    RAFTER_TRY_VOID(add_texts(question.documents, document_prefix.value_or(""), pooling, reading, request));
    for (std::size_t i = 0; i < question.documents.size(); ++i) {
        request.pairs.push_back({question.query_of(i), question.queries.size() + i});
    }
    return {};
}

}  // namespace

Result<RerankRequest> parse_rerank_request(RerankEndpoint endpoint, const json& body_json, const engine::OpenedModel& opened,
                                           const OpenAiDefaults& defaults) {
    RAFTER_TRY(const JsonReader body, JsonReader::open(body_json, "body"));
    RerankRequest request;
    request.endpoint = endpoint;
    RAFTER_TRY_VOID(check_unused(body, parameters::kUserOfEmbeddings));
    RAFTER_TRY(request.model, read_text(body, parameters::kModel));
    RAFTER_TRY(request.priority, read_priority(body));
    RAFTER_TRY(request.max_ttft_seconds, read_number(body, parameters::kMaxTtftSeconds));
    RAFTER_TRY(const auto timings, read_bool(body, parameters::kTimings));
    RAFTER_TRY(const auto salt, read_text(body, parameters::kCacheSalt));
    request.timings = timings.value_or(true);
    RAFTER_TRY(request.method, read_method(body, opened));
    RAFTER_TRY(const RelevanceQuestion question, endpoint == RerankEndpoint::kRerank ? read_rerank(body, request) : read_score(body));
    const Reading reading{.opened = opened, .defaults = defaults, .cache_salt = salt.value_or("")};
    // Keys of the other method are checked all the same.
    if (request.method == RelevanceMethod::kYesNo) {
        RAFTER_TRY_VOID(ask_yes_no(body, question, reading, request));
        RAFTER_TRY_VOID(read_pooling(body, opened));
        for (const Parameter* row : {&parameters::kQueryPrefix, &parameters::kDocumentPrefix}) RAFTER_TRY_VOID(read_text(body, *row));
    } else {
        RAFTER_TRY_VOID(compare_vectors(body, question, reading, request));
        RAFTER_TRY_VOID(read_text(body, parameters::kInstruction));
    }
    request.unknown_keys = body.unknown_keys();
    return request;
}

void RelevanceResult::take(engine::StreamUpdate&& update) {
    if (!update.embedding.empty()) vector = normalized(update.embedding, std::nullopt);
    for (const engine::GeneratedToken& token : update.tokens) {
        if (!token.logprobs || token.logprobs->probed.size() != 2) continue;
        yes = token.logprobs->probed[0];
        no = token.logprobs->probed[1];
    }
}

std::vector<double> relevance_scores(const RerankRequest& request, std::span<const RelevanceResult> results) {
    std::vector<double> scores;
    scores.reserve(request.pairs.size());
    for (const auto& [first, second] : request.pairs) {
        if (request.method == RelevanceMethod::kYesNo) {
            scores.push_back(yes_probability(results[first].yes, results[first].no));
        } else {
            const std::vector<float>& a = results[first].vector;
            const std::vector<float>& b = results[second].vector;
            double cosine = 0.0;
            for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) cosine += static_cast<double>(a[i]) * b[i];
            scores.push_back(cosine);
        }
    }
    return scores;
}

ordered_json rerank_answer(const RerankRequest& request, std::span<const double> scores, const OpenAiIdentity& identity,
                           const AnswerTimings* timings) {
    const bool is_rerank = request.endpoint == RerankEndpoint::kRerank;
    std::vector<std::size_t> order(scores.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    if (is_rerank) std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return scores[a] > scores[b]; });
    order.resize(std::min<std::size_t>(order.size(), request.top_n.value_or(UINT32_MAX)));
    ordered_json list = ordered_json::array();
    for (const std::size_t i : order) {
        ordered_json one{{"index", i}};
        if (!is_rerank) one["object"] = "score";
        one[is_rerank ? "relevance_score" : "score"] = scores[i];
        if (!request.documents.empty()) one["document"] = {{"text", request.documents[i]}};
        list.push_back(std::move(one));
    }
    ordered_json answer{{"id", (is_rerank ? "rerank-" : "score-") + identity.id}};
    if (!is_rerank) answer["object"] = "list";
    answer["created"] = identity.created_unix_s;
    answer["model"] = identity.model;
    answer["method"] = request.method == RelevanceMethod::kYesNo ? "yes_no" : "embedding";
    answer[is_rerank ? "results" : "data"] = std::move(list);
    answer["usage"] = {{"prompt_tokens", request.n_prompt_tokens}, {"total_tokens", request.n_prompt_tokens}};
    if (timings != nullptr) answer["timings"] = timings_json(*timings);
    return answer;
}

}  // namespace rafter::protocols
