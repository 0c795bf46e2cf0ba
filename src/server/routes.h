// The one table of what the server answers: paths, who may ask, the function that does it, and what /openapi.json says of it.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "server/call.h"
#include "server/models/models.h"
#include "server/services.h"

namespace rafter::server {

enum class Access {
    kOpen,  // no key is needed
    kKey,   // one of the API keys, where there are any
};

struct Route {
    std::string_view method;
    std::string_view path;
    Access access = Access::kKey;
    // One of three: by the model that the request's body names, which is loaded for it; by one that is in memory, which its query may name
    // (model=NAME); by the server alone.
    void (*answer)(Services& services, std::shared_ptr<Call> call) = nullptr;
    void (*answer_if_loaded)(Services& services, std::shared_ptr<Call> call) = nullptr;
    void (*answer_for_all)(Models& models, std::shared_ptr<Call> call) = nullptr;
    // Beside `answer`, while the model is not in memory: true where the request needs it neither, and has been answered. called: as the
    // client calls it.
    bool (*answer_unloaded)(std::string_view called, Call& call) = nullptr;
    std::string_view summary;
    std::string_view request_schema = "";  // of protocols/schemas.h; "": no body
    std::string_view answer_schema = "";   // the same; "": see `content_type`
    std::string_view content_type = "application/json";
    bool ends_in_name = false;  // paths go on with the name of a model
    bool streams = false;       // with "stream": true it answers in parts
    std::string_view stream_type = "text/event-stream";
    ErrorForm errors = ErrorForm::kOpenAi;
};
[[nodiscard]] std::span<const Route> routes();

struct FoundRoute {
    const Route* route = nullptr;  // null: none has this path and method
    std::string allowed;           // the methods that the path has: "GET, HEAD"; "": there is no such path
};
// HEAD is answered as GET is. Paths are compared as they are: no other spelling of one reaches it.
[[nodiscard]] FoundRoute find_route(std::string_view method, std::string_view path);

// Finds the model that the call is about, and answers it, now or later.
void answer_route(Models& models, const Route& route, std::shared_ptr<Call> call);

// Of the errors that requests to this path get, whatever their method.
[[nodiscard]] ErrorForm error_form_of(std::string_view path);

// Answers, each in the file of routes/ that bears its name: completions, responses, messages, embeddings, rerank, ollama, text, status.
void answer_chat(Services& services, std::shared_ptr<Call> call);
void answer_completion(Services& services, std::shared_ptr<Call> call);
void answer_response(Services& services, std::shared_ptr<Call> call);
void answer_message(Services& services, std::shared_ptr<Call> call);
void answer_message_tokens(Services& services, std::shared_ptr<Call> call);
void answer_embeddings(Services& services, std::shared_ptr<Call> call);
void answer_rerank(Services& services, std::shared_ptr<Call> call);
void answer_score(Services& services, std::shared_ptr<Call> call);
void answer_ollama_chat(Services& services, std::shared_ptr<Call> call);
void answer_ollama_generate(Services& services, std::shared_ptr<Call> call);
bool unload_for_ollama_chat(std::string_view called, Call& call);
bool unload_for_ollama_generate(std::string_view called, Call& call);
void answer_ollama_embed(Services& services, std::shared_ptr<Call> call);
void answer_ollama_embeddings(Services& services, std::shared_ptr<Call> call);
void answer_ollama_tags(Models& models, std::shared_ptr<Call> call);
void answer_ollama_ps(Models& models, std::shared_ptr<Call> call);
void answer_ollama_show(Services& services, std::shared_ptr<Call> call);
void answer_ollama_version(Models& models, std::shared_ptr<Call> call);
void answer_tokenize(Services& services, std::shared_ptr<Call> call);
void answer_detokenize(Services& services, std::shared_ptr<Call> call);
void answer_apply_template(Services& services, std::shared_ptr<Call> call);
void answer_health(Models& models, std::shared_ptr<Call> call);
void answer_ready(Models& models, std::shared_ptr<Call> call);
void answer_load(Models& models, std::shared_ptr<Call> call);
void answer_model(Models& models, std::shared_ptr<Call> call);
void answer_models(Models& models, std::shared_ptr<Call> call);
void answer_props(Services& services, std::shared_ptr<Call> call);
void answer_version(Models& models, std::shared_ptr<Call> call);
void answer_openapi(Models& models, std::shared_ptr<Call> call);
void answer_metrics(Models& models, std::shared_ptr<Call> call);
void answer_roofline(Services& services, std::shared_ptr<Call> call);
void answer_explain(Services& services, std::shared_ptr<Call> call);
void answer_page(Models& models, std::shared_ptr<Call> call);

}  // namespace rafter::server
