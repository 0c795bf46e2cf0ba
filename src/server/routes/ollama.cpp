// Ollama's routes: /api/chat, /api/generate, /api/embed, /api/embeddings, /api/tags, /api/ps, /api/show, /api/version.
#include <algorithm>
#include <chrono>

#include "protocols/json_body.h"
#include "protocols/ollama_answer.h"
#include "protocols/ollama_embed.h"
#include "protocols/ollama_models.h"
#include "protocols/ollama_request.h"
#include "server/generation.h"
#include "server/routes.h"
#include "server/routes/new_answer.h"
#include "server/routes/served_info.h"

namespace rafter::server {
namespace {

using protocols::OllamaAnswer;
using protocols::OllamaEmbedEndpoint;
using protocols::OllamaEndpoint;

std::int64_t now_unix_us() {
    const auto since = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::microseconds>(since).count();
}

std::string now() { return protocols::rfc3339(now_unix_us()); }

class OllamaWhole : public AnswerWriter {
  public:
    explicit OllamaWhole(OllamaAnswer answer) : answer_(std::move(answer)) {}
    void begin(Call&) override {}
    void update(Call&, std::size_t, engine::StreamUpdate&& update) override { answer_.take(std::move(update)); }
    void end(Call& call, const protocols::AnswerTimings& timings) override { call.json(answer_.answer(timings)); }
    bool fail(Call&, const Refused&) override { return false; }

  private:
    OllamaAnswer answer_;
};

class OllamaLines : public AnswerWriter {
  public:
    explicit OllamaLines(OllamaAnswer answer) : answer_(std::move(answer)) {}
    void begin(Call& call) override { call.begin_lines(); }
    void update(Call& call, std::size_t, engine::StreamUpdate&& update) override { send(call, answer_.update(std::move(update))); }
    void end(Call& call, const protocols::AnswerTimings& timings) override {
        send(call, answer_.end(timings));
        call.end_events();
    }
    bool fail(Call& call, const Refused& refused) override {
        send(call, answer_.fail(refused.message));
        call.end_events();
        return true;
    }

  private:
    static void send(Call& call, const std::vector<std::string>& lines) {
        for (const std::string& line : lines) call.send_line(line);
    }

    OllamaAnswer answer_;
};

class OllamaEmbeddings : public AnswerWriter {
  public:
    // request: its sequences are not looked at.
    OllamaEmbeddings(protocols::OllamaEmbedRequest request, std::size_t n_texts, std::string model)
        : request_(std::move(request)), model_(std::move(model)), hidden_(n_texts) {}
    void begin(Call&) override {}
    void update(Call&, std::size_t index, engine::StreamUpdate&& update) override {
        if (!update.embedding.empty()) hidden_[index] = std::move(update.embedding);
    }
    void end(Call& call, const protocols::AnswerTimings& timings) override {
        call.text("application/json", protocols::ollama_embed_answer(request_, hidden_, model_, timings));
    }
    bool fail(Call&, const Refused&) override { return false; }

  private:
    protocols::OllamaEmbedRequest request_;
    std::string model_;
    std::vector<std::vector<float>> hidden_;  // [n_texts][d_model]
};

// Gives the job its model; one that is not served is refused without the engine. called: what answers call it.
void name_model(const Services& services, const std::optional<std::string>& model, Job& job, std::string& called) {
    called = services.model_name();
    job.model.reset();
    if (!model || model->empty()) return;
    called = *model;
    const ModelEntry* entry = services.models.find(*model);
    if (entry != nullptr && entry->name() == services.model_name()) job.model = entry->name();
    if (job.model) return;
    job.keep_alive_seconds.reset();
    job.without_engine = [&services, name = *model](Call& call) { call.refuse(services.models.not_found(name, ErrorForm::kOllama)); };
}

void answer_ollama(Services& services, std::shared_ptr<Call> call, OllamaEndpoint endpoint) {
    generate(services, std::move(call), [&services, endpoint](const std::string& text, const std::string& id) -> Result<Job> {
        const engine::OpenedModel& opened = services.served.opened();
        RAFTER_TRY(const nlohmann::json body, protocols::parse_json_body(text));
        RAFTER_TRY(protocols::OllamaRequest request, protocols::parse_ollama_request(endpoint, body, opened, new_defaults(services, text)));
        Job job = job_of(request);
        protocols::OllamaIdentity identity{.id = id, .model = {}, .now = now};
        name_model(services, request.model, job, identity.model);
        if (job.without_engine) return job;
        if (request.purpose != protocols::OllamaPurpose::kAnswer) {
            job.without_engine = [answer = protocols::ollama_loaded(request, identity)](Call& asked) { asked.json(answer); };
            return job;
        }
        OllamaAnswer answer(request, std::move(identity), *opened.tokenizer);
        job.sequences.push_back(std::move(request.sequence));
        if (request.stream) {
            job.writer = std::make_unique<OllamaLines>(std::move(answer));
        } else {
            job.writer = std::make_unique<OllamaWhole>(std::move(answer));
        }
        return job;
    });
}

void answer_ollama_vectors(Services& services, std::shared_ptr<Call> call, OllamaEmbedEndpoint endpoint) {
    generate(services, std::move(call), [&services, endpoint](const std::string& text, const std::string&) -> Result<Job> {
        RAFTER_TRY(const nlohmann::json body, protocols::parse_json_body(text));
        RAFTER_TRY(protocols::OllamaEmbedRequest request,
                   protocols::parse_ollama_embed(endpoint, body, services.served.opened(), new_defaults(services, text)));
        Job job = job_of(request);
        std::string called;
        name_model(services, request.model, job, called);
        if (job.without_engine) return job;
        if (request.sequences.empty()) {
            job.without_engine = [answer = protocols::ollama_embed_answer(request, {}, called, {})](Call& asked) {
                asked.text("application/json", answer);
            };
            return job;
        }
        job.sequences = std::exchange(request.sequences, {});
        job.writer = std::make_unique<OllamaEmbeddings>(std::move(request), job.sequences.size(), std::move(called));
        return job;
    });
}

// A model that is not in memory is not loaded to be unloaded.
bool answer_unload(std::string_view called, Call& call, OllamaEndpoint endpoint) {
    const auto body = protocols::parse_json_body(call.request().body);
    if (!body || !protocols::asks_to_unload(endpoint, *body)) return false;
    protocols::OllamaRequest request;
    request.endpoint = endpoint;
    request.purpose = protocols::OllamaPurpose::kUnload;
    call.json(protocols::ollama_loaded(request, {.id = call.id(), .model = std::string(called), .now = now}));
    return true;
}

protocols::OllamaModel ollama_model(const Services& services) {
    return {.info = model_info(services), .quantization = services.quantization, .opened = &services.served.opened()};
}

}  // namespace

void answer_ollama_chat(Services& services, std::shared_ptr<Call> call) { answer_ollama(services, std::move(call), OllamaEndpoint::kChat); }
void answer_ollama_generate(Services& services, std::shared_ptr<Call> call) {
    answer_ollama(services, std::move(call), OllamaEndpoint::kGenerate);
}
bool unload_for_ollama_chat(std::string_view called, Call& call) { return answer_unload(called, call, OllamaEndpoint::kChat); }
bool unload_for_ollama_generate(std::string_view called, Call& call) { return answer_unload(called, call, OllamaEndpoint::kGenerate); }
void answer_ollama_embed(Services& services, std::shared_ptr<Call> call) {
    answer_ollama_vectors(services, std::move(call), OllamaEmbedEndpoint::kEmbed);
}
void answer_ollama_embeddings(Services& services, std::shared_ptr<Call> call) {
    answer_ollama_vectors(services, std::move(call), OllamaEmbedEndpoint::kEmbeddings);
}
void answer_ollama_tags(Models& models, std::shared_ptr<Call> call) {
    std::vector<protocols::OllamaModel> listed;
    for (const auto& entry : models.entries()) {
        listed.push_back(entry->services() != nullptr ? ollama_model(*entry->services())
                                                      : protocols::OllamaModel{.info = {.name = entry->name()}});
    }
    const std::shared_ptr<Call> asked = std::move(call);
    asked->json(protocols::ollama_tags(listed));
}
void answer_ollama_ps(Models& models, std::shared_ptr<Call> call) {
    std::vector<protocols::OllamaModel> loaded;
    for (const auto& entry : models.entries()) {
        if (entry->services() == nullptr) continue;
        loaded.push_back(ollama_model(*entry->services()));
        if (const std::optional<double> left = models.seconds_left(*entry)) {
            loaded.back().expires_unix_us = now_unix_us() + static_cast<std::int64_t>(*left * 1e6);
        }
    }
    const std::shared_ptr<Call> asked = std::move(call);
    asked->json(protocols::ollama_ps(loaded));
}

// On a worker: a vocabulary is long.
void answer_ollama_show(Services& services, std::shared_ptr<Call> call) {
    generate(services, std::move(call), [&services](const std::string& text, const std::string&) -> Result<Job> {
        RAFTER_TRY(const nlohmann::json body, protocols::parse_json_body(text));
        RAFTER_TRY(const protocols::OllamaShowRequest request, protocols::parse_ollama_show(body));
        Job job;
        std::string called;
        name_model(services, request.model, job, called);
        if (job.without_engine) return job;
        RAFTER_TRY(const nlohmann::ordered_json answer, protocols::ollama_show(request, ollama_model(services), services.answer_format));
        job.ignored_keys = request.unknown_keys;
        job.without_engine = [shown = dump(answer)](Call& asked) { asked.text("application/json", shown); };
        return job;
    });
}

void answer_ollama_version(Models& models, std::shared_ptr<Call> call) { answer_version(models, std::move(call)); }

}  // namespace rafter::server
