// A climb while it is under way: the model in the forms that its rungs need, and the ladder so far. Its steps are in climb_steps.cpp, its
// requests in climb_requests.cpp, and the order of both in climb.cpp.
#pragma once

#include <fmt/format.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/measure/host_times.h"
#include "planning/ladder/answers.h"
#include "planning/ladder/climb.h"
#include "planning/ladder/outputs.h"
#include "planning/ladder/rungs.h"
#include "planning/ladder/sizes.h"
#include "planning/ladder/stand.h"
#include "report/units.h"

namespace rafter::planning {

inline constexpr std::uint32_t kFewTokens = 16;
inline constexpr std::uint32_t kSlowRepeats = 2;  // of a step that takes long
// Of the formats of 4.5 bits the one that plain rounding harms least: its levels are not evenly spaced.
inline constexpr tensor::DType kFourBits = tensor::DType::kIQ4_NL;

[[nodiscard]] inline std::string sequences(std::uint32_t n) { return n == 1 ? "1 sequence" : fmt::format("{} sequences", n); }

class Climb {
  public:
    Climb(engine::Runtime& runtime, const engine::OpenedModel& opened, const ClimbOptions& options, LadderSizes sizes)
        : runtime_(runtime), opened_(opened), options_(options), sizes_(std::move(sizes)) {}

    Result<Ladder> run();

  private:
    struct Stage {
        std::string what;
        double seconds;                  // that it should take, roughly: for the progress alone
        std::vector<std::string> rungs;  // that it climbs: skipped where it fails
        std::function<Result<void>()> climb;
    };

    void describe(const model::Program& program);
    void add_stages(double parameters);
    void finish(double seconds);

    // Before what is measured with weights of these types.
    Result<void> probe(const std::vector<tensor::DType>& types);
    Result<std::unique_ptr<Stand>> stand(const StandOptions& options, const Stand* weights_of = nullptr);
    Result<void> naive_and_cached();
    Result<void> fused_and_flash();
    [[nodiscard]] OutputCheck against_floats(Stand& stand) const;
    Result<void> weights(std::string_view rung, tensor::DType dtype);
    Result<void> four_bits();
    Result<void> long_cache();
    Result<void> batches();
    Result<void> load_for_requests();
    Result<void> prefix_cache();
    Result<void> speculation();
    Result<void> all_together();

    struct Answering {
        std::uint32_t n_together = 1;
        bool prefix_cache = false;
        bool drafts = false;
        AnswerSpan span = AnswerSpan::kAll;
    };
    // On the engine, and before that on its simulation.
    Result<AnswerRun> answer(const Answering& how, const std::vector<engine::Request>& requests);
    // Of the free answers, greedy and short.
    Result<std::uint64_t> greedy_hash(const Answering& how, std::vector<engine::Request> requests);
    [[nodiscard]] engine::SchedulerOptions scheduler_for(const Answering& how) const;

    // One stand, or several that take turns so that a machine which changes treats them alike. Prices are of the moment before.
    Result<std::vector<LadderPoint>> measure(const std::vector<Stand*>& stands, const Stand::Steps& steps);
    Result<LadderPoint> measure(Stand& stand, const Stand::Steps& steps) {
        RAFTER_TRY(std::vector<LadderPoint> points, measure({&stand}, steps));
        return points.front();
    }
    void refresh(double working_set_bytes);
    Result<void> go_on();
    [[nodiscard]] std::string without_folder(std::string message) const;
    [[nodiscard]] std::optional<tensor::DType> four_bit_type() const { return own_is_4_bit_ ? std::nullopt : std::optional(kFourBits); }
    [[nodiscard]] std::string decode_load(std::uint32_t n, std::uint32_t n_context) const {
        return fmt::format("{}, {} tokens seen", sequences(n), report::grouped(n_context));
    }
    // Where the rungs below it were skipped, a rung begins the path.
    void add_rung(LadderRung rung) {
        if (!has_path_ && rung.on_path) rung.before = {};
        has_path_ = has_path_ || rung.on_path;
        if (rung.on_path) path_ = rung.after;
        ladder_.rungs.push_back(std::move(rung));
    }

    engine::Runtime& runtime_;
    const engine::OpenedModel& opened_;
    const ClimbOptions& options_;
    LadderSizes sizes_;

    Ladder ladder_;
    hardware::Profile machine_;
    double worst_noise_ = 0.0;  // of the probes that are not to be trusted
    hardware::Profile best_;    // its roofs are the best so far
    bool own_is_4_bit_ = false;
    double own_bits_ = 0.0;                      // a weight of the file's layers
    std::vector<tensor::DType> four_bit_types_;  // that matrices have on the 4-bit rung
    std::vector<TokenId> prose_;                 // [sizes_.n_compared]
    std::vector<Stage> stages_;
    const Stage* stage_ = nullptr;  // that is being climbed
    double stage_done_ = 0.0;       // part of it
    double seconds_done_ = 0.0;     // of the stages before it, as they were estimated
    double seconds_in_all_ = 0.0;
    bool has_path_ = false;
    LadderPoint path_;  // of the rung that the climb stands on

    std::unique_ptr<Stand> unfused_;    // float32, nothing fused
    std::unique_ptr<Stand> quantised_;  // 4-bit weights, room for the batches
    std::unique_ptr<Stand> requests_;   // the same with an 8-bit cache, room for the requests
    TextLogits float_logits_;
    engine::HostTimes host_;
};

}  // namespace rafter::planning
