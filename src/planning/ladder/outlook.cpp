// Each rung is the scenario of a plan with one thing changed.
#include "planning/ladder/outlook.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <filesystem>

#include "model/rewrites.h"
#include "planning/ladder/rungs.h"
#include "planning/plan_words.h"
#include "report/units.h"
#include "roofline/engine.h"
#include "roofline/number_types.h"

namespace rafter::planning {
namespace {

using roofline::PricedList;
using roofline::PricedStep;
using roofline::Scenario;
using roofline::Step;

constexpr double kContext = 1024.0;       // positions that a step on the path sees
constexpr double kLongContext = 32768.0;  // or as many as the model has
constexpr double kChunk = 2048.0;         // tokens of a long prompt
constexpr double kShared = 1000.0;        // tokens that requests share
constexpr double kOwn = 24.0;
constexpr double kGenerated = 16.0;
constexpr double kRequests = 4.0;
constexpr double kMaxBatch = 1024.0;

// The list with attention as three ops that hand over all scores.
PricedList with_split_attention(PricedList list) {
    std::vector<roofline::CountedOp> ops;
    for (roofline::CountedOp& counted : list.ops) {
        if (!roofline::attends(counted.op) || counted.op.kind == model::OpKind::kAttentionScores) {
            ops.push_back(std::move(counted));
            continue;
        }
        model::Program one = list.program;
        one.ops = {counted.op};
        one = model::split_attention(std::move(one));
        for (model::Op& op : one.ops) {
            std::string name = op.name.substr(op.name.rfind('.') + 1);
            ops.push_back({.op = std::move(op), .name = std::move(name), .count = counted.count});
        }
        one.ops = std::move(list.program.ops);
        list.program = std::move(one);
    }
    list.ops = std::move(ops);
    return list;
}

double power_of_two_below(double n) { return n < 1 ? 0.0 : std::exp2(std::floor(std::log2(n))); }

class Outlook {
  public:
    Outlook(PlanRequest request, Ladder& ladder) : request_(std::move(request)), base_(request_.scenario), ladder_(ladder) {
        unflashed_ = with_split_attention(base_.model->fused);
        const double most = base_.model->n_context > 0 ? base_.model->n_context : kLongContext;
        context_ = std::min(kContext, most);
        long_context_ = std::min(kLongContext, most);
        chunk_ = std::min(kChunk, long_context_ / 2);
        shared_ = std::min(kShared, most / 2);
    }

    void climb() {
        float32();
        weights("weights_16", "fp16");
        weights("weights_8", "int8");
        weights("weights_4", "q4_0");
        cache();
        batches();
        prefix_cache();
        speculation();
        all_together();
    }

  private:
    [[nodiscard]] static LadderPoint point_of(const Scenario& s, const PricedStep& price, double tokens, double n_sequences,
                                              double n_context) {
        const double devices = s.setup.parallel.devices();
        const double bandwidth = s.setup.hardware.memory_bandwidth_bytes_per_s * devices;
        // The arithmetic's roof is that of the op which does most of it.
        const auto most = std::ranges::max_element(price.ops, {}, [](const roofline::PricedOp& op) { return op.count * op.cost.flops; });
        const auto known = most == price.ops.end() ? std::nullopt : hardware::peak_for(s.setup.hardware, most->precision);
        const double peak = known ? known->flop_per_s * devices : 0.0;
        LadderPoint point{.tokens = tokens, .n_sequences = n_sequences, .n_context = n_context, .predicted_seconds = price.seconds};
        point.flops = price.flops;
        point.bytes = price.read_bytes;
        const double reading = price.read_bytes / bandwidth;
        const double computing = peak > 0 ? price.flops / peak : 0.0;
        point.roof_seconds = std::max(reading, computing);
        point.roof = reading >= computing ? roofline::PriceBound::kMemory : roofline::PriceBound::kCompute;
        point.roof_rate = reading >= computing ? bandwidth : peak;
        point.level = "memory";
        if (reading < computing && known) point.level = hardware::roof_name(s.setup.hardware, known->precision) + " arithmetic";
        return point;
    }
    [[nodiscard]] LadderPoint priced(const Scenario& s, const PricedList& list, const Step& step, double tokens, double n_context) const {
        LadderPoint point =
            point_of(s, roofline::price_step(list, s.setup, step, roofline::Detail::kOps), tokens, step.n_sequences(), n_context);
        Scenario at = s;
        at.load.n_batch = step.n_sequences();
        at.load.n_context = n_context;
        const roofline::MemoryFit fit = roofline::price_memory(at);
        point.memory_bytes = fit.weights_bytes + fit.kv_bytes + fit.workspace_bytes;
        return point;
    }
    [[nodiscard]] LadderPoint decode(const Scenario& s, double n_batch, double n_context) const {
        return priced(s, s.list(), roofline::decode_step(n_batch, n_context), n_batch, n_context);
    }
    static std::string load_text(double n, double n_context) {
        return fmt::format("{} sequence{}, {} tokens seen", report::whole(n), n == 1 ? "" : "s", report::whole(n_context));
    }
    static Scenario with_types(Scenario s, const char* weights) {
        const auto type = roofline::number_type(weights);
        roofline::set_weight_bits(s.setup, type->bits);
        if (!type->keeps_table) s.setup.types.table_bits.reset();
        const bool floats = std::string_view(weights) == "fp32";
        s.setup.types.activations = floats ? hardware::Precision::kFp32 : hardware::Precision::kFp16;
        s.setup.types.activation_bytes = floats ? 4.0 : 2.0;
        s.setup.types.kv = {2.0, 2.0};
        return s;
    }
    // A step that cannot be there: said of the rung itself.
    void add(LadderRung rung) {
        const double memory = base_.setup.hardware.memory_bytes * base_.setup.parallel.devices();
        if (memory > 0.0 && rung.after.memory_bytes > memory) {
            rung.notes.push_back(fmt::format("It does not fit: {} of memory needed, {} there.", report::bytes(rung.after.memory_bytes),
                                             report::bytes(memory)));
        }
        if (rung.on_path) path_ = rung.after;
        ladder_.rungs.push_back(std::move(rung));
    }

    void float32() {
        now_ = with_types(base_, "fp32");
        Scenario unfused = now_;
        unfused.setup.fused = false;
        LadderRung naive = make_rung("naive", load_text(1, context_) + ", all of them computed again");
        naive.after = priced(unfused, unfused.list(), roofline::prefill_step(1, context_), 1.0, context_);
        add(std::move(naive));
        LadderRung cached = make_rung("kv_cache", load_text(1, context_));
        cached.before = path_;
        cached.after = decode(unfused, 1, context_);
        add(std::move(cached));
        LadderRung fused = make_rung("fused", load_text(1, context_));
        fused.before = path_;
        fused.after = decode(now_, 1, context_);
        add(std::move(fused));
        LadderRung flash = make_rung("flash_decode", load_text(1, long_context_));
        flash.before = priced(now_, unflashed_, roofline::decode_step(1, long_context_), 1, long_context_);
        flash.after = decode(now_, 1, long_context_);
        add(std::move(flash));
        LadderRung prompt = make_rung("flash_prompt", fmt::format("{} tokens of a prompt after {} others", report::whole(chunk_),
                                                                  report::whole(long_context_ - chunk_)));
        const Step step = roofline::prefill_step(1, long_context_, long_context_ - chunk_);
        prompt.before = priced(now_, unflashed_, step, chunk_, long_context_);
        prompt.after = priced(now_, now_.list(), step, chunk_, long_context_);
        add(std::move(prompt));
    }
    void weights(const char* id, const char* type) {
        now_ = with_types(base_, type);
        LadderRung rung = make_rung(id, load_text(1, context_));
        rung.before = path_;
        rung.after = decode(now_, 1, context_);
        add(std::move(rung));
    }
    void cache() {
        LadderRung rung = make_rung("kv_8", load_text(1, long_context_));
        rung.before = decode(now_, 1, long_context_);
        narrow_ = now_;
        narrow_.setup.types.kv = {roofline::kv_number_type("q8")->bits / 8, roofline::kv_number_type("q8")->bits / 8};
        rung.after = decode(narrow_, 1, long_context_);
        add(std::move(rung));
    }
    void batch_rung(const char* id, double n, double sequence_bytes) {
        LadderRung rung = make_rung(id, load_text(n, context_), static_cast<std::uint32_t>(n));
        rung.before = path_;
        rung.after = decode(now_, n, context_);
        rung.after.memory_bytes = rest_bytes_ + n * sequence_bytes;
        n_batch_ = n;
        add(std::move(rung));
    }
    void batches() {
        Scenario at = now_;
        at.load.n_context = context_;
        at.load.n_batch = 1;
        const roofline::MemoryFit fit = roofline::price_memory(at);
        rest_bytes_ = fit.weights_bytes + fit.workspace_bytes;
        const double contiguous = std::min(kMaxBatch, power_of_two_below(fit.contiguous.max_sequences));
        const double paged = std::min(kMaxBatch, power_of_two_below(fit.paged.max_sequences));
        if (!fit.fits)
            ladder_.warnings.push_back("The model does not fit into this device's memory: the steps are what they would be if it did.");
        for (double n = 4; n < contiguous; n *= 8) batch_rung("batch", n, fit.contiguous.bytes_per_sequence);
        if (contiguous >= 2) {
            batch_rung("batch", contiguous, fit.contiguous.bytes_per_sequence);
            ladder_.rungs.back().notes.push_back(
                contiguous < kMaxBatch ? fmt::format("With the model's whole context of {} positions reserved for each sequence, {} fit.",
                                                     report::whole(base_.model->n_context), report::whole(fit.contiguous.max_sequences))
                                       : fmt::format("{} sequences would fit; the ladder ends at {}.",
                                                     report::whole(fit.contiguous.max_sequences), report::whole(kMaxBatch)));
        }
        if (paged > contiguous) {
            batch_rung("paged", paged, fit.paged.bytes_per_sequence);
            ladder_.rungs.back().notes.push_back(fmt::format("{} sequences of {} tokens fit when blocks are taken as tokens come.",
                                                             report::whole(fit.paged.max_sequences), report::whole(context_)));
        }
    }
    void prefix_cache() {
        LadderRung rung = make_rung(
            "prefix_cache", fmt::format("{} requests, {} tokens shared, {} own, {} generated; prompts included", report::whole(kRequests),
                                        report::whole(shared_), report::whole(kOwn), report::whole(kGenerated)));
        const double n_context = shared_ + kOwn + kGenerated;
        const double answers = kRequests * kGenerated;
        const auto sum = [&](const std::vector<std::pair<double, Step>>& steps) {
            LadderPoint total{.is_run = true, .tokens = answers, .n_sequences = kRequests, .n_context = n_context};
            for (const auto& [n, step] : steps) {
                const LadderPoint one = priced(narrow_, narrow_.list(), step, 1, n_context);
                total.predicted_seconds += n * one.predicted_seconds;
                total.flops += n * one.flops;
                total.bytes += n * one.bytes;
                total.roof_seconds += n * one.roof_seconds;
                total.memory_bytes = std::max(total.memory_bytes, one.memory_bytes);
                total.roof = one.roof;
                total.roof_rate = one.roof_rate;
                total.level = one.level;
            }
            return total;
        };
        const Step decoding = roofline::decode_step(kRequests, n_context);
        rung.before = sum({{kRequests, roofline::prefill_step(1, shared_ + kOwn)}, {kGenerated, decoding}});
        rung.after = sum({{1, roofline::prefill_step(1, shared_ + kOwn)},
                          {1, roofline::prefill_step(kRequests - 1, shared_ + kOwn, shared_)},
                          {kGenerated, decoding}});
        add(std::move(rung));
    }
    // n_shared: of the context, what all sequences of the batch share.
    [[nodiscard]] LadderPoint speculative(double n_batch, double n_context, double n_shared, double& gamma) const {
        roofline::SpeculationQuestion question = base_.speculation;
        question.n_sequences = n_batch;
        question.n_context = n_context;
        question.gamma = 0;
        const roofline::Speculation spec = roofline::speculate(narrow_.list(), narrow_.setup, question);
        gamma = spec.best_gamma;
        Step step = roofline::decode_step(n_batch, n_context + gamma, gamma + 1);
        if (n_shared > 0.0 && n_batch > 1.0) {
            step.rows.push_back(step.rows.front());
            step.rows.front().n_sequences = 1.0;
            step.rows.back().n_sequences = n_batch - 1.0;
            step.rows.back().n_shared = n_shared;
        }
        LadderPoint point = priced(narrow_, narrow_.list(), step, n_batch, n_context);
        if (gamma > 0) {
            point.tokens = n_batch * roofline::expected_tokens(question.alpha, gamma);
            point.predicted_seconds += gamma * question.c * decode(narrow_, n_batch, n_context).predicted_seconds;  // drafting
        }
        return point;
    }
    void speculation() {
        LadderRung rung = make_rung("speculation", load_text(1, context_));
        double gamma = 0.0;
        rung.before = decode(narrow_, 1, context_);
        rung.after = speculative(1, context_, 0.0, gamma);
        rung.options = "--speculate draft";
        rung.notes.push_back(
            fmt::format("{} draft tokens a step, each right with a probability of {:.2f}, from a drafter that takes {:.0f}% of "
                        "a step: assumed.",
                        report::whole(gamma), base_.speculation.alpha, 100 * base_.speculation.c));
        add(std::move(rung));
    }
    void all_together() {
        const double n_context = shared_ + kOwn;
        const double n = std::max(1.0, n_batch_);
        LadderRung rung = make_rung("all", load_text(n, n_context), static_cast<std::uint32_t>(n));
        double gamma = 0.0;
        rung.before = ladder_.find("kv_cache")->after;
        rung.after = speculative(n, n_context, shared_, gamma);
        rung.options = fmt::format("--kv-type q8 --batch {} --speculate draft", report::whole(n));
        rung.notes.push_back("Its gain is over the KV cache and nothing else.");
        if (gamma > 0.0)
            rung.notes.push_back(fmt::format("{} draft token{} a step, assumed as above.", report::whole(gamma), gamma == 1.0 ? "" : "s"));
        if (gamma <= 0.0) rung.notes.push_back("No draft tokens: at this batch a wrong one costs more than a right one brings.");
        add(std::move(rung));
    }

    PlanRequest request_;
    const Scenario& base_;
    Ladder& ladder_;
    PricedList unflashed_;
    Scenario now_, narrow_;
    LadderPoint path_;
    double n_batch_ = 1.0;
    double rest_bytes_ = 0.0;  // of memory: weights and workspace
    double context_ = 0.0, long_context_ = 0.0, chunk_ = 0.0, shared_ = 0.0;
};

}  // namespace

Result<Ladder> ladder_outlook(const PlanOptions& asked, const PlanSources& sources, const std::string& version) {
    // The rungs have loads of their own: that of a plan must not be beyond a short model's context.
    PlanOptions options = asked;
    options.prompt = options.output = 8.0;
    RAFTER_TRY(PlanRequest request, make_request(options, sources));
    Ladder ladder;
    const roofline::Setup& setup = request.scenario.setup;
    ladder.model = request.model->name;
    ladder.file = std::filesystem::path(options.model).filename().string();
    ladder.parameters = roofline::parameters(request.model->fused);
    ladder.measured = false;
    ladder.time = static_cast<std::int64_t>(std::time(nullptr));
    ladder.version = version;
    const double devices = setup.parallel.devices();
    ladder.hardware = setup.hardware.description.empty() ? setup.hardware.name : setup.hardware.description;
    if (devices > 1) ladder.hardware = fmt::format("{} × {}", report::whole(devices), ladder.hardware);
    ladder.bytes_per_s = setup.hardware.memory_bandwidth_bytes_per_s * devices;
    for (const hardware::Precision p : {hardware::Precision::kFp16, hardware::Precision::kFp32}) {
        if (setup.hardware.peak(p)) {
            ladder.roofs.push_back({fmt::format("{} arithmetic", hardware::to_string(p)), *setup.hardware.peak(p) * devices});
        }
    }
    for (const std::string& assumed : request.model->assumed) ladder.warnings.push_back(fmt::format("Not certain: {}.", assumed));
    for (const std::string& warning : request.warnings) ladder.warnings.push_back(warning);
    ladder.method = {
        "Nothing was measured: each point is the plan's price of one step on this device, as `rafter plan` gives it.",
        fmt::format("Rates are {}.",
                    setup.efficiency.name == "ideal" ? "the data sheet's" : "the part of the data sheet's that engines usually reach"),
    };
    ladder.caveats = {"Quality is not predicted: what fewer bits cost is measured by `rafter ladder` on a machine that runs the model.",
                      "Float32 matrices are priced at the device's float32 rate."};
    const double memory_bytes = setup.hardware.memory_bytes * devices;
    Outlook(std::move(request), ladder).climb();
    if (const LadderRung* base = ladder.find("kv_cache"); memory_bytes > 0.0 && base->after.memory_bytes > memory_bytes) {
        ladder.warnings.push_back(
            fmt::format("The KV cache's rung, which the total is compared with, does not fit into this memory: it needs {} of {}.",
                        report::bytes(base->after.memory_bytes), report::bytes(memory_bytes)));
    }
    return ladder;
}

}  // namespace rafter::planning
