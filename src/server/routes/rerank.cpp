// /v1/rerank and /v1/score: a sequence for each document or text, whose results become scores.
#include "protocols/rerank.h"

#include "protocols/json_body.h"
#include "server/generation.h"
#include "server/routes.h"
#include "server/routes/new_answer.h"

namespace rafter::server {
namespace {

using protocols::RerankEndpoint;
using protocols::RerankRequest;

class Scores : public AnswerWriter {
  public:
    // request: its sequences are not looked at.
    Scores(RerankRequest request, std::size_t n_sequences, protocols::OpenAiIdentity identity)
        : request_(std::move(request)), identity_(std::move(identity)), results_(n_sequences) {}
    void begin(Call&) override {}
    void update(Call&, std::size_t index, engine::StreamUpdate&& update) override { results_[index].take(std::move(update)); }
    void end(Call& call, const protocols::AnswerTimings& timings) override {
        const std::vector<double> scores = protocols::relevance_scores(request_, results_);
        call.json(protocols::rerank_answer(request_, scores, identity_, request_.timings ? &timings : nullptr));
    }
    bool fail(Call&, const Refused&) override { return false; }

  private:
    RerankRequest request_;
    protocols::OpenAiIdentity identity_;
    std::vector<protocols::RelevanceResult> results_;  // [n_sequences]
};

void answer_relevance(Services& services, std::shared_ptr<Call> call, RerankEndpoint endpoint) {
    generate(services, std::move(call), [&services, endpoint](const std::string& text, const std::string& id) -> Result<Job> {
        RAFTER_TRY(const nlohmann::json body, protocols::parse_json_body(text));
        RAFTER_TRY(RerankRequest request,
                   protocols::parse_rerank_request(endpoint, body, services.served.opened(), new_defaults(services, text)));
        Job job = job_of(request);
        job.sequences = std::exchange(request.sequences, {});
        protocols::OpenAiIdentity identity = new_identity(services, id, request.model);
        job.writer = std::make_unique<Scores>(std::move(request), job.sequences.size(), std::move(identity));
        return job;
    });
}

}  // namespace

void answer_rerank(Services& services, std::shared_ptr<Call> call) { answer_relevance(services, std::move(call), RerankEndpoint::kRerank); }
void answer_score(Services& services, std::shared_ptr<Call> call) { answer_relevance(services, std::move(call), RerankEndpoint::kScore); }

}  // namespace rafter::server
