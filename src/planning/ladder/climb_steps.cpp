// Rungs whose points are steps of the lab: from the naive program to batches.
#include <algorithm>

#include "planning/ladder/climber.h"
#include "tensor/formats/formats.h"

namespace rafter::planning {
namespace {

constexpr std::string_view kUnfusedAttention = "attention";

}  // namespace

Result<void> Climb::naive_and_cached() {
    RAFTER_TRY_VOID(probe({tensor::DType::kF32}));
    RAFTER_TRY(unfused_, stand({.weights = tensor::DType::kF32,
                                .without_fusions = {model::kFusions.begin(), model::kFusions.end()},
                                .context = sizes_.context}));
    const std::span<const TokenId> few = std::span(prose_).first(std::min<std::size_t>(prose_.size(), kFewTokens));
    const TextLogits decoded = logits_of_text(unfused_->loaded(), few, {.chunk = 1});

    LadderRung naive = make_rung("naive", decode_load(1, sizes_.context) + ", all of them computed again");
    RAFTER_TRY(naive.after, measure(*unfused_, {.n_new = sizes_.context, .n_context = sizes_.context}));
    naive.after.tokens = 1.0;
    naive.check = same_bits(logits_of_text(unfused_->loaded(), few, {.from_scratch = true, .n_rows = 2}), decoded, "a KV cache");
    naive.notes.push_back(fmt::format("Measured on {} tokens.", kSlowRepeats));
    add_rung(std::move(naive));

    LadderRung cached = make_rung("kv_cache", decode_load(1, sizes_.context));
    cached.before = path_;
    RAFTER_TRY(cached.after, measure(*unfused_, {.n_context = sizes_.context}));
    cached.check = same_bits(decoded, logits_of_text(unfused_->loaded(), few), "the whole prefix computed at once");
    add_rung(std::move(cached));
    return {};
}

Result<void> Climb::fused_and_flash() {
    if (!unfused_) return bad_input("it needs the float32 weights of the rungs below");
    const TextLogits reference = logits_of_text(unfused_->loaded(), prose_);
    const std::uint32_t context = std::max(sizes_.long_context, sizes_.long_prompt + sizes_.chunk);
    StandOptions options{.weights = tensor::DType::kF32, .without_fusions = {std::string(kUnfusedAttention)}, .context = context};
    RAFTER_TRY(const std::unique_ptr<Stand> unflashed, stand(options, unfused_.get()));
    options.without_fusions.clear();
    RAFTER_TRY(const std::unique_ptr<Stand> flash, stand(options, unfused_.get()));
    LadderRung fused = make_rung("fused", decode_load(1, sizes_.context));
    RAFTER_TRY(const std::vector<LadderPoint> with_and_without, measure({unfused_.get(), flash.get()}, {.n_context = sizes_.context}));
    // The two take turns, so the rung below is measured again.
    ladder_.rungs.back().after = with_and_without[0];
    fused.before = with_and_without[0];
    fused.after = with_and_without[1];
    const TextLogits fused_logits = logits_of_text(unflashed->loaded(), prose_);
    fused.check = same_bits(fused_logits, reference, "nothing fused");
    fused.notes.push_back("Attention is fused too, and is checked by itself: its sums are in another order.");
    add_rung(std::move(fused));
    unfused_.reset();

    float_logits_ = logits_of_text(flash->loaded(), prose_);
    const OutputCheck same = divergence(float_logits_, fused_logits, "attention in three operations");
    LadderRung decode = make_rung("flash_decode", decode_load(1, sizes_.long_context));
    RAFTER_TRY(const std::vector<LadderPoint> at_long, measure({unflashed.get(), flash.get()}, {.n_context = sizes_.long_context}));
    decode.before = at_long[0];
    decode.after = at_long[1];
    decode.check = same;
    add_rung(std::move(decode));

    LadderRung prompt = make_rung("flash_prompt", fmt::format("{} tokens of a prompt after {} others", report::grouped(sizes_.chunk),
                                                              report::grouped(sizes_.long_prompt)));
    RAFTER_TRY(const std::vector<LadderPoint> chunks,
               measure({unflashed.get(), flash.get()}, {.n_new = sizes_.chunk, .n_context = sizes_.long_prompt + sizes_.chunk}));
    prompt.before = chunks[0];
    prompt.after = chunks[1];
    prompt.check = same;
    add_rung(std::move(prompt));

    return {};
}

// Nothing where the float32 weights did not fit into memory.
OutputCheck Climb::against_floats(Stand& stand) const {
    if (float_logits_.rows.empty()) return {};
    return divergence(logits_of_text(stand.loaded(), prose_), float_logits_, "float32 weights");
}

Result<void> Climb::weights(std::string_view rung, tensor::DType dtype) {
    RAFTER_TRY_VOID(probe({dtype}));
    RAFTER_TRY(const std::unique_ptr<Stand> held, stand({.weights = dtype, .without_fusions = {}, .context = sizes_.context}));
    LadderRung climbed = make_rung(rung, decode_load(1, sizes_.context));
    climbed.before = path_;
    RAFTER_TRY(climbed.after, measure(*held, {.n_context = sizes_.context}));
    climbed.check = against_floats(*held);
    if (const double bits = tensor::format_of(dtype).bits_per_element(); bits > own_bits_ + 1.0) {
        climbed.notes.push_back(
            fmt::format("The file's layers have {:.1f} bits a weight, from which these {:.1f} were made: more bits cannot bring back what "
                        "its quantiser lost.",
                        own_bits_, bits));
    }
    add_rung(std::move(climbed));
    return {};
}

Result<void> Climb::four_bits() {
    RAFTER_TRY_VOID(probe(four_bit_types_));
    const std::uint32_t most = sizes_.paged_batches.empty() ? sizes_.contiguous_batches.back() : sizes_.paged_batches.back();
    RAFTER_TRY(quantised_, stand({.weights = four_bit_type(), .without_fusions = {}, .context = sizes_.context, .n_sequences = most}));
    LadderRung climbed = make_rung("weights_4", decode_load(1, sizes_.context));
    climbed.before = path_;
    RAFTER_TRY(climbed.after, measure(*quantised_, {.n_context = sizes_.context}));
    climbed.check = against_floats(*quantised_);
    if (own_is_4_bit_) {
        climbed.options.clear();
        climbed.name = fmt::format("{:.1f}-bit own weights", own_bits_);
        climbed.why = "Fewer bytes again, in the file's own types. What they cost in quality was decided when the file was made.";
        climbed.notes.push_back(
            fmt::format("The file's own weights, {:.1f} bits each in its layers: the float32 weights were decoded from them, so only "
                        "activations of 8 bits tell the two apart.",
                        own_bits_));
    } else {
        climbed.notes.push_back(
            fmt::format("The file's layers have {:.1f} bits a weight: these 4.5 were rounded from them once more, and are worse than a "
                        "careful quantiser's.",
                        own_bits_));
    }
    add_rung(std::move(climbed));
    return {};
}

Result<void> Climb::long_cache() {
    StandOptions options{.weights = four_bit_type(), .without_fusions = {}, .context = sizes_.long_context};
    RAFTER_TRY(const std::unique_ptr<Stand> wide, stand(options, quantised_.get()));
    options.kv_type = backend::KvType::kQ8;
    RAFTER_TRY(const std::unique_ptr<Stand> narrow, stand(options, quantised_.get()));
    LadderRung climbed = make_rung("kv_8", decode_load(1, sizes_.long_context));
    RAFTER_TRY(const std::vector<LadderPoint> points, measure({wide.get(), narrow.get()}, {.n_context = sizes_.long_context}));
    climbed.before = points[0];
    climbed.after = points[1];
    climbed.check = divergence(logits_of_text(narrow->loaded(), prose_), logits_of_text(wide->loaded(), prose_), "a 16-bit cache");
    add_rung(std::move(climbed));
    return {};
}

Result<void> Climb::batches() {
    const std::span<const TokenId> few = std::span(prose_).first(std::min<std::size_t>(prose_.size(), kFewTokens));
    const TextLogits alone = logits_of_text(quantised_->loaded(), few);
    const backend::MemoryUse use = quantised_->loaded().device->memory();
    const double most = sizes_.paged_batches.empty() ? sizes_.contiguous_batches.back() : sizes_.paged_batches.back();
    const double position_bytes = static_cast<double>(use.cache_bytes) / (most * sizes_.context);
    const auto rest = static_cast<double>(use.weights_bytes + use.workspace_bytes);
    const auto climb_to = [&](std::string_view id, std::uint32_t n, double cache_bytes, bool scattered) -> Result<void> {
        LadderRung rung = make_rung(id, decode_load(n, sizes_.context), n);
        rung.before = path_;
        RAFTER_TRY(rung.after, measure(*quantised_, {.n_sequences = n, .n_context = sizes_.context, .scattered_blocks = scattered}));
        rung.after.memory_bytes = rest + cache_bytes;
        rung.check = same_bits(logits_of_text(quantised_->loaded(), few, {.n_sequences = n, .scattered_blocks = scattered}), alone,
                               "the sequence alone");
        rung.notes.push_back(
            scattered ? fmt::format("Blocks of {} positions, scattered over the cache.", quantised_->loaded().scheduler.block_size)
                      : fmt::format("Each sequence reserves {} positions.", report::grouped(sizes_.reserved)));
        add_rung(std::move(rung));
        return {};
    };
    for (const std::uint32_t n : sizes_.contiguous_batches) {
        RAFTER_TRY_VOID(climb_to("batch", n, static_cast<double>(n) * sizes_.reserved * position_bytes, false));
    }
    const double budget_bytes = static_cast<double>(sizes_.budget_positions()) * position_bytes;
    ladder_.rungs.back().notes.push_back(
        fmt::format("The {} of the cache's memory are reserved: no further sequence fits.", report::bytes(budget_bytes)));
    for (const std::uint32_t n : sizes_.paged_batches) {
        RAFTER_TRY_VOID(climb_to("paged", n, static_cast<double>(n) * sizes_.context * position_bytes, true));
    }
    return {};
}

}  // namespace rafter::planning
