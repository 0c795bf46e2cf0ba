// The order of the climb. Models of the same weights share them in memory; a new type of weights means a new load, and a fresh probe before
// it, so that prices and measurements are of the same minutes.
#include "planning/ladder/climb.h"

#include <algorithm>
#include <ctime>
#include <set>

#include "base/clock.h"
#include "planning/ladder/climber.h"
#include "planning/ladder/texts.h"
#include "probe/probe.h"
#include "tensor/formats/formats.h"

namespace rafter::planning {
namespace {

constexpr double kMaxOwnBits = 5.2;   // a file of at most so many bits a weight is its own 4-bit rung
constexpr std::uint32_t kRounds = 3;  // of repeats, by turns
constexpr double kSlowStepSeconds = 0.8;
constexpr unsigned kMaxRetakes = 2;        // of a probe that a busy machine spoiled
constexpr double kFullProbeSeconds = 3.5;  // timing kernels, where the ladder is not quick

// Of the layers' matrices: files keep the embedding's table and the head in more.
double mean_matrix_bits(const model::Program& program) {
    double bits = 0.0;
    double n = 0.0;
    for (const model::Weight& w : program.weights) {
        const bool is_vector = w.kind == model::WeightKind::kVector || w.kind == model::WeightKind::kVectors;
        if (is_vector || w.n_source_rows == program.config.n_vocab) continue;
        const double count = static_cast<double>(w.n_experts) * w.n_rows * w.n_cols;
        bits += count * tensor::format_of(w.dtype).bits_per_element();
        n += count;
    }
    return n > 0.0 ? bits / n : 32.0;
}

double n_weights(const model::Program& program) {
    std::set<std::pair<std::string, std::uint32_t>> seen;  // an embedding may also be the head
    double n = 0.0;
    for (const model::Weight& w : program.weights) {
        if (seen.insert({w.tensor, w.first_row}).second) n += static_cast<double>(w.n_experts) * w.n_rows * w.n_cols;
    }
    return n;
}

std::vector<tensor::DType> matrix_types(const model::Program& program) {
    std::set<tensor::DType> types;
    for (const model::Weight& w : program.weights) {
        if (w.kind != model::WeightKind::kVector && w.kind != model::WeightKind::kVectors) types.insert(w.dtype);
    }
    return {types.begin(), types.end()};
}

// Two profiles of one machine and focus, taken one after the other.
void keep_fastest(hardware::Profile& profile, const hardware::Profile& other) {
    const auto faster = [](double& seconds, double others) { seconds = std::min(seconds, others); };
    for (std::size_t i = 0; i < std::min(profile.matrices.size(), other.matrices.size()); ++i) {
        faster(profile.matrices[i].seconds_per_weight, other.matrices[i].seconds_per_weight);
    }
    for (std::size_t i = 0; i < std::min(profile.attention.size(), other.attention.size()); ++i) {
        faster(profile.attention[i].seconds, other.attention[i].seconds);
    }
    for (std::size_t i = 0; i < std::min(profile.rows.size(), other.rows.size()); ++i) {
        faster(profile.rows[i].seconds_per_row, other.rows[i].seconds_per_row);
        faster(profile.rows[i].seconds_per_element, other.rows[i].seconds_per_element);
    }
    faster(profile.barrier_seconds, other.barrier_seconds);
    faster(profile.fork_join_seconds, other.fork_join_seconds);
    faster(profile.handover_seconds, other.handover_seconds);
    faster(profile.handover_seconds_per_byte, other.handover_seconds_per_byte);
    profile.stream_bytes_per_s = std::max(profile.stream_bytes_per_s, other.stream_bytes_per_s);
    profile.float_flop_per_s = std::max(profile.float_flop_per_s, other.float_flop_per_s);
    profile.int8_flop_per_s = std::max(profile.int8_flop_per_s, other.int8_flop_per_s);
    if (other.noise < profile.noise) {
        profile.noise = other.noise;
        profile.trusted = other.trusted;
        profile.doubt = other.doubt;
    }
}

}  // namespace

Result<void> Climb::probe(const std::vector<tensor::DType>& types) {
    double bits = 0.0;
    for (const tensor::DType type : types) bits = std::max(bits, tensor::format_of(type).bits_per_element());
    if (types == four_bit_types_) bits = own_is_4_bit_ ? own_bits_ : tensor::format_of(kFourBits).bits_per_element();
    const probe::ProbeFocus focus{.weights = types,
                                  .kv_types = {backend::KvType::kQ8},
                                  .working_set_bytes = ladder_.parameters * bits / 8,
                                  .seconds = options_.quick ? 1.6 : kFullProbeSeconds};
    const auto measure_once = [&]() -> Result<hardware::Profile> {
        ++ladder_.n_probes;
        if (options_.probe) return options_.probe(focus);
        return probe::probe_machine(runtime_.pool(), runtime_.isa(), {.quick = true, .version = options_.version, .focus = focus});
    };
    RAFTER_TRY(machine_, measure_once());
    // Other programs can only make a reading slower: of a busy moment and a quieter one each reading's fastest counts.
    for (unsigned retake = 0; !machine_.trusted && retake < (options_.quick ? 1U : kMaxRetakes); ++retake) {
        RAFTER_TRY(const hardware::Profile again, measure_once());
        keep_fastest(machine_, again);
    }
    ladder_.noise = std::max(ladder_.noise, machine_.noise);
    if (!machine_.trusted && machine_.noise >= worst_noise_) {
        ladder_.trusted = false;
        worst_noise_ = machine_.noise;
        ladder_.warnings = {fmt::format("The machine was busy while it was measured: {}.", machine_.doubt)};
    }
    const auto keep_best = [&](const std::string& name, double flop_per_s) {
        for (LadderRoof& roof : ladder_.roofs) {
            if (roof.name == name) roof.flop_per_s = std::max(roof.flop_per_s, flop_per_s);
        }
    };
    const std::string int8 = machine_.int8_unit + " arithmetic";
    const std::string float32 = fmt::format("{} arithmetic", hardware::kFloatUnit);
    if (ladder_.roofs.empty()) ladder_.roofs = {{int8, 0.0}, {float32, 0.0}};
    keep_best(int8, machine_.int8_flop_per_s);
    keep_best(float32, machine_.float_flop_per_s);
    return {};
}

// The roofs are the best that were seen in the whole climb.
void Climb::refresh(double working_set_bytes) {
    if (!options_.probe) probe::refresh_bandwidth(runtime_.pool(), working_set_bytes, machine_);
    for (hardware::BandwidthReading& reading : machine_.bandwidth) {
        const double known = hardware::best_bandwidth_at(best_, reading.working_set_bytes, reading.n_threads);
        reading.best_bytes_per_s = std::max(reading.best_bytes_per_s, known);
    }
    best_ = machine_;
    ladder_.bytes_per_s = std::max(ladder_.bytes_per_s, hardware::best_bandwidth_at(machine_, 1e12, machine_.key.n_threads));
}

// Between measurements: shows that it goes on, and fails where it shall not.
Result<void> Climb::go_on() {
    if (options_.is_stopped && options_.is_stopped()) return Error{"stopped early", ErrorKind::kCancelled};
    // How much of a stage is done is not known: each measurement takes a quarter of what is left.
    constexpr double kOfRest = 0.25;
    stage_done_ += kOfRest * (1.0 - stage_done_);
    if (options_.progress) options_.progress((seconds_done_ + stage_done_ * stage_->seconds) / seconds_in_all_, stage_->what);
    return {};
}

Result<std::vector<LadderPoint>> Climb::measure(const std::vector<Stand*>& stands, const Stand::Steps& steps) {
    RAFTER_TRY_VOID(go_on());
    refresh(stands.front()->working_set_bytes(steps, machine_));
    std::vector<LadderPoint> points;
    for (const Stand* stand : stands) points.push_back(stand->price(steps, machine_));
    std::vector<std::vector<double>> seconds(stands.size());
    const bool is_slow = points.front().predicted_seconds > kSlowStepSeconds;
    const std::uint32_t n_rounds = is_slow ? kSlowRepeats : kRounds;
    const double each_seconds = (options_.quick ? 0.15 : 0.6) / n_rounds;
    for (std::uint32_t round = 0; round < n_rounds; ++round) {
        for (std::size_t i = 0; i < stands.size(); ++i) {
            RAFTER_TRY(const std::vector<double> more,
                       stands[i]->sample(steps, is_slow ? Stand::Repeats{.n = 1, .least_seconds = 0.0}
                                                        : Stand::Repeats{.n = 2, .least_seconds = each_seconds}));
            seconds[i].insert(seconds[i].end(), more.begin(), more.end());
        }
    }
    for (std::size_t i = 0; i < stands.size(); ++i) set_measured(points[i], std::move(seconds[i]));
    return points;
}

Result<std::unique_ptr<Stand>> Climb::stand(const StandOptions& options, const Stand* weights_of) {
    RAFTER_TRY(std::unique_ptr<Stand> loaded, Stand::load(runtime_, opened_, options, weights_of, {}));
    loaded->loaded().device->tune(machine_);
    return loaded;
}

void Climb::describe(const model::Program& program) {
    ladder_.model = options_.model.empty() ? opened_.config.name : options_.model;
    ladder_.file = options_.file;
    ladder_.parameters = n_weights(program);
    ladder_.quick = options_.quick;
    ladder_.time = static_cast<std::int64_t>(std::time(nullptr));
    ladder_.version = options_.version;
    const hardware::ProfileKey key = probe::profile_key(runtime_.pool(), runtime_.isa(), options_.version);
    ladder_.hardware = fmt::format("{}, {} {}, {}", key.cpu, key.n_threads, key.n_threads == 1 ? "thread" : "threads", key.isa);
}

// The weights of the progress bar: what each stage takes, in steps over float32 weights and in bytes that are packed. Rough.
void Climb::add_stages(double parameters) {
    const double step = parameters * 4 / 2e10;
    const double prefill = parameters * 2 / 2.5e11;
    const double n = options_.quick ? 6 : 10;
    const double probe = 3.0;
    const double packed = parameters / 4e8;
    stages_ = {
        {"float32 weights",
         probe + 2 * packed + 4 * prefill * sizes_.context + n * step,
         {"naive", "kv_cache"},
         [this] { return naive_and_cached(); }},
        {"fused operations",
         4 * n * step + 10 * prefill * sizes_.chunk,
         {"fused", "flash_decode", "flash_prompt"},
         [this] { return fused_and_flash(); }},
        {"16-bit weights", probe + packed + n * step / 2, {"weights_16"}, [this] { return weights("weights_16", tensor::DType::kF16); }},
        {"8-bit weights", probe + packed + n * step / 4, {"weights_8"}, [this] { return weights("weights_8", tensor::DType::kQ8_0); }},
        {"4-bit weights", probe + packed + n * step / 8, {"weights_4"}, [this] { return four_bits(); }},
        {"long contexts", 0.3 + n * step / 2, {"kv_8"}, [this] { return long_cache(); }},
        {"batches", 5 * n * step, {"batch", "paged"}, [this] { return batches(); }},
        {"requests", 0.5, {}, [this] { return load_for_requests(); }},
        {"prefix cache", prefill * sizes_.n_shared * (sizes_.n_prefix_requests + 1), {"prefix_cache"}, [this] { return prefix_cache(); }},
        {"speculation", 60 * step, {"speculation"}, [this] { return speculation(); }},
        {"all together",
         prefill * (2 * sizes_.n_shared + sizes_.n_together * (sizes_.n_own + sizes_.n_generated)),
         {"all"},
         [this] { return all_together(); }},
    };
}

void Climb::finish(double seconds) {
    ladder_.seconds = seconds;
    const LadderRung* const base = ladder_.find("kv_cache");
    const LadderRung* const top = ladder_.find("all");
    const auto climbed = [](const LadderRung* rung) { return rung != nullptr && !rung->skipped; };
    constexpr double kMinParameters = 0.7e9;
    constexpr double kMaxParameters = 2e9;
    constexpr double kBaseShare = 0.7;
    if (climbed(base)) {
        LadderAim aim{.what = "share of its own roof that the KV cache reaches",
                      .wanted = kBaseShare,
                      .reached = base->after.roof_fraction(),
                      .is_share = true};
        if (!aim.met()) {
            aim.reason = fmt::format("its step was predicted to take {} and took {}, where the roof allows {}",
                                     report::seconds(base->after.predicted_seconds), report::seconds(base->after.seconds()),
                                     report::seconds(base->after.roof_seconds));
        }
        ladder_.aims.push_back(std::move(aim));
    }
    if (climbed(base) && climbed(top) && ladder_.parameters >= kMinParameters && ladder_.parameters <= kMaxParameters) {
        const std::string_view isa = runtime_.isa();
        LadderAim aim{.what = fmt::format("all together over the KV cache, {}", sequences(sizes_.n_together)),
                      .wanted = isa == "amx"      ? 40.0
                                : isa == "avx512" ? 20.0
                                                  : 15.0,
                      .reached = top->after.tokens_per_s() / base->after.tokens_per_s()};
        if (!aim.met()) aim.reason = fmt::format("it reached {} of its own roof", report::percent(top->after.roof_fraction()));
        ladder_.aims.push_back(std::move(aim));
    }
    for (LadderRung& rung : ladder_.rungs) {
        if (rung.skipped) continue;
        for (const LadderPoint* point : {&rung.before, &rung.after}) {
            if (point->level == "memory") ladder_.bytes_per_s = std::max(ladder_.bytes_per_s, point->roof_rate);
        }
        if (!rung.check.passed) {
            ladder_.warnings.push_back(fmt::format("{}: the outputs differ from those of {}.", rung.name, rung.check.against));
        }
        if (!rung.as_predicted()) {
            rung.notes.push_back(fmt::format("The prediction was {:.2f} times, the measurement {:.2f}: the wrong direction.",
                                             rung.predicted_gain(), rung.gain()));
        }
    }
    ladder_.method = {
        fmt::format("Each point is a step of the model, repeated; its time is the one that nine in ten repeats exceed, as in the probes, "
                    "and its spread is between the quartiles. Where two points share weights they take turns. The last rungs answer "
                    "real requests once."),
        fmt::format("The machine was probed {} times, before and between the rungs, and its bandwidth again before each point. Predictions "
                    "come from these probes alone: no measured step corrects them.",
                    ladder_.n_probes),
        "A step's tokens are made up and its past is a cache of zeros: its time depends on shapes and bytes alone. Outputs are checked on "
        "a "
        "text of their own.",
        "Predictions of the last rungs come from the same scheduler, with the price of each step as its clock.",
    };
    ladder_.caveats = {
        "Weights of other types are decoded from the file and rounded again at load: a careful quantiser loses less.",
        "The cache holds 16-bit keys and values from the first rung on.",
        "A contiguous cache is shown by its memory: the kernels read blocks in either case.",
    };
}

// A report is shared: the model's file is named, not where it lies.
std::string Climb::without_folder(std::string message) const {
    const std::string path = opened_.source->name();
    if (path.empty() || path == options_.file) return message;
    for (std::size_t at = 0; (at = message.find(path, at)) != std::string::npos; at += options_.file.size()) {
        message.replace(at, path.size(), options_.file);
    }
    return message;
}

Result<Ladder> Climb::run() {
    const std::int64_t start_ns = monotonic_ns();
    RAFTER_TRY(const engine::PreparedModel own,
               engine::prepare_model(runtime_.backend(), opened_, {.context = sizes_.context, .n_outputs = 1}));
    describe(own.program);
    own_bits_ = mean_matrix_bits(own.program);
    own_is_4_bit_ = own_bits_ <= kMaxOwnBits;
    four_bit_types_ = own_is_4_bit_ ? matrix_types(own.program) : std::vector{kFourBits, tensor::DType::kF16};
    prose_ = opened_.tokenizer->encode(kProse, text::SpecialTokens::kAsText);
    const text::SpecialIds& special = opened_.tokenizer->special();
    if (special.add_bos && special.bos) prose_.insert(prose_.begin(), *special.bos);
    if (prose_.empty()) return bad_input("{}: the tokenizer makes no tokens of an English text", options_.file);
    for (std::size_t i = 0; prose_.size() < sizes_.n_compared; ++i) prose_.push_back(prose_[i]);
    prose_.resize(sizes_.n_compared);
    add_stages(ladder_.parameters);
    for (const Stage& stage : stages_) seconds_in_all_ += stage.seconds;
    std::optional<std::string> cannot;  // why the stages after it cannot be climbed
    for (const Stage& stage : stages_) {
        if (options_.is_stopped && options_.is_stopped()) {
            ladder_.complete = false;
            break;
        }
        stage_ = &stage;
        stage_done_ = 0.0;
        if (options_.progress) options_.progress(seconds_done_ / seconds_in_all_, stage.what);
        Result<void> climbed;
        if (cannot) climbed = Error{*cannot};
        if (climbed) climbed = stage.climb();
        seconds_done_ += stage.seconds;
        if (climbed) continue;
        if (climbed.error().kind == ErrorKind::kCancelled) {
            ladder_.complete = false;
            break;
        }
        if (stage.what == "4-bit weights" || stage.rungs.empty()) cannot = climbed.error().message;  // what follows builds on it
        for (const std::string& id : stage.rungs) {
            if (ladder_.find(id) != nullptr) continue;
            LadderRung rung = make_rung(id, "", id == "all" ? sizes_.n_together : sizes_.contiguous_batches.back());
            rung.skipped = without_folder(climbed.error().message);
            ladder_.rungs.push_back(std::move(rung));
        }
    }
    if (cannot && !has_path_) return Error{*cannot};
    finish(static_cast<double>(monotonic_ns() - start_ns) * 1e-9);
    return std::move(ladder_);
}

Result<Ladder> climb(engine::Runtime& runtime, const engine::OpenedModel& opened, const ClimbOptions& options) {
    RAFTER_TRY(LadderSizes sizes, ladder_sizes(opened.config, options.quick));
    return Climb(runtime, opened, options, std::move(sizes)).run();
}

}  // namespace rafter::planning
