// /v1/embeddings: one sequence an input, whose hidden states become normalised vectors.
#include "protocols/embeddings.h"

#include "protocols/json_body.h"
#include "server/generation.h"
#include "server/routes.h"
#include "server/routes/new_answer.h"

namespace rafter::server {
namespace {

class Embeddings : public AnswerWriter {
  public:
    // request: its sequences are not looked at.
    Embeddings(protocols::EmbeddingsRequest request, std::size_t n_inputs, std::string model)
        : request_(std::move(request)), model_(std::move(model)), hidden_(n_inputs) {}
    void begin(Call&) override {}
    void update(Call&, std::size_t index, engine::StreamUpdate&& update) override {
        if (!update.embedding.empty()) hidden_[index] = std::move(update.embedding);
    }
    void end(Call& call, const protocols::AnswerTimings& timings) override {
        const std::string shown = request_.timings ? dump(protocols::timings_json(timings)) : std::string();
        call.text("application/json", protocols::embeddings_answer(request_, hidden_, model_, shown));
    }
    bool fail(Call&, const Refused&) override { return false; }

  private:
    protocols::EmbeddingsRequest request_;
    std::string model_;
    std::vector<std::vector<float>> hidden_;  // [n_inputs][d_model]
};

}  // namespace

void answer_embeddings(Services& services, std::shared_ptr<Call> call) {
    generate(services, std::move(call), [&services](const std::string& text, const std::string& id) -> Result<Job> {
        RAFTER_TRY(const nlohmann::json body, protocols::parse_json_body(text));
        RAFTER_TRY(protocols::EmbeddingsRequest request,
                   protocols::parse_embeddings_request(body, services.served.opened(), new_defaults(services, text)));
        Job job = job_of(request);
        job.sequences = std::exchange(request.sequences, {});
        std::string model = new_identity(services, id, request.model).model;
        job.writer = std::make_unique<Embeddings>(std::move(request), job.sequences.size(), std::move(model));
        return job;
    });
}

}  // namespace rafter::server
